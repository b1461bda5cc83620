"""Two real vLLM servers with tiny random weights, started and watched as serve_tiers does it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from collab_core.backends.base import ModelRequest
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.backends.retry import RetryPolicy
from collab_core.domain import Tier
from collab_core.transcript import Transcript

START_S = 600.0
KEY = "vllm-test-key"
_RUN = (
    "import sys; from pathlib import Path; from collab_core.backends import serving, supervisor; "
    "supervisor.run(serving.load(Path(sys.argv[1])), log_folder=Path(sys.argv[2]), "
    "report=lambda line: print(line, flush=True))"
)
_TIER = """
[[tier]]
name = "{name}"
model = "{model}"
port = {port}
device = "cpu"
dtype = "float32"
max_model_len = 4096
{more}
extra_args = ["--max-num-seqs", "16", "--enforce-eager"]
[tier.env]
VLLM_CPU_KVCACHE_SPACE = "1"
VLLM_CPU_OMP_THREADS_BIND = "nobind"
OMP_NUM_THREADS = "1"
HF_HUB_OFFLINE = "1"
"""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these tests to ``make test-vllm``: they need 3.5 GB that ``make test`` does not install.

    Whoever asks for them by name gets them, and a failure that says what is missing.
    """
    asked = os.environ.get("TANDEM_VLLM_VENV") or any(
        "vllm" in argument for argument in config.invocation_params.args
    )
    return None if asked or not collection_path.name.startswith("test_") else True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Servers:
    """The running supervisor, its output so far, and the tiers it serves."""

    process: subprocess.Popen[bytes]
    output: Path
    logs: Path
    small: Tier
    large: Tier

    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    def wait_for(self, pattern: str, *, count: int = 1, timeout_s: float = START_S) -> None:
        """Wait until ``count`` lines of the supervisor match."""
        until = time.monotonic() + timeout_s
        while sum(bool(re.search(pattern, line)) for line in self.lines()) < count:
            assert self.process.poll() is None, f"serve_tiers ended: {self.lines()}"
            assert time.monotonic() < until, f"no {pattern!r} in {timeout_s:g} s: {self._tails()}"
            time.sleep(0.2)

    def pid_of(self, name: str) -> int:
        """Return the process id of a tier's server, from the last line that tells it."""
        found = re.findall(rf"^{name}: starting - pid (\d+)", "\n".join(self.lines()), re.MULTILINE)
        return int(found[-1])

    def _tails(self) -> str:
        tails = [log.read_text(errors="replace")[-1500:] for log in self.logs.glob("*.log")]
        return "\n".join([*self.lines(), *tails])


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    venv = os.environ.get("TANDEM_VLLM_VENV")
    if not venv:
        pytest.fail(
            "These tests need a real vLLM: run them with tests/vllm/run.sh (make test-vllm)."
        )
    folder = tmp_path_factory.mktemp("vllm")
    ports = free_port(), free_port()
    text = f'python = "{venv}/bin/python"\nstart_timeout_s = {START_S}\n'
    for name, port in zip(("small", "large"), ports, strict=True):
        more = 'api_key_env = "VLLM_TEST_KEY"' if name == "large" else ""
        text += _TIER.format(name=name, model=f"{venv}/models/{name}", port=port, more=more)
    (folder / "tiers.toml").write_text(text)
    output = folder / "serve.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(folder / "tiers.toml"), str(folder / "logs")],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "VLLM_TEST_KEY": KEY},
        )
    small, large = (
        Tier(
            name=name,
            model=name,
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key_env="VLLM_TEST_KEY" if name == "large" else "",
            context_tokens=4096,
            structured_output=True,
            supports_priority=True,
        )
        for name, port in zip(("small", "large"), ports, strict=True)
    )
    running = Servers(process, output, folder / "logs", small, large)
    try:
        running.wait_for(r"^(small|large): ready", count=2)
        yield running
    finally:
        groups = [running.pid_of(name) for name in ("small", "large")]
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    print("\n".join(running.lines()))
    assert all(not group_alive(group) for group in groups)


def group_alive(pgid: int) -> bool:
    """Return whether any process of the group is left that is not a zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[2]) == pgid and fields[0] != "Z":
            return True
    return False


@pytest_asyncio.fixture
async def backend() -> AsyncIterator[OpenAICompatible]:
    made = OpenAICompatible(environ={"VLLM_TEST_KEY": KEY}, retry=RetryPolicy(max_attempts=1))
    yield made
    await made.aclose()


def ask(
    tier: Tier, text: str = "Tell me about the port of Odessa.", **changes: Any
) -> ModelRequest:
    transcript = changes.pop("transcript", Transcript([{"role": "user", "content": text}]))
    changes.setdefault("max_output_tokens", 24)
    return ModelRequest(tier=tier, transcript=transcript, **changes)


async def metric(tier: Tier, name: str) -> float:
    """Return the sum of a metric of the server over its labels."""
    root = tier.base_url.removesuffix("/v1")
    async with aiohttp.ClientSession() as session, session.get(f"{root}/metrics") as response:
        text = await response.text()
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? ([0-9.e+-]+)$", text, re.MULTILINE)
    assert found, f"the server has no metric {name}"
    return sum(map(float, found))
