from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collab_core.backends import serving, supervisor

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "tests/fakes/vllm_package"
QUICK = supervisor.Watch(
    start_poll_s=0.1, check_every_s=0.1, check_patience_s=2, stop_patience_s=5, stable_after_s=60
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@dataclass
class Running:
    pids_file: Path
    lines: list[str] = field(default_factory=list)

    async def says(self, words: str, count: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(words in line for line in self.lines) < count:
                await asyncio.sleep(0.02)

    def pids(self) -> tuple[int, int]:
        """Return the server's and its engine's process id."""
        server, engine = self.pids_file.read_text().split()
        return int(server), int(engine)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], serving.ServingFile]:
    monkeypatch.setenv("PYTHONPATH", f"{PACKAGE}:{ROOT}")

    def make(mode: str, **more: str) -> serving.ServingFile:
        tier = {
            "name": "small",
            "model": "m",
            "port": free_port(),
            "env": {"FAKE_VLLM": mode, "FAKE_VLLM_PIDS": str(tmp_path / "pids")},
            **more,
        }
        raw = {"python": sys.executable, "start_timeout_s": 20, "tier": [tier]}
        return serving.ServingFile.model_validate(raw)

    return make


@contextlib.asynccontextmanager
async def running(file: serving.ServingFile, folder: Path) -> AsyncIterator[Running]:
    made, stop = Running(folder / "pids"), asyncio.Event()
    task = asyncio.create_task(
        supervisor.serve(
            file,
            log_folder=folder / "logs",
            report=made.lines.append,
            stop=stop,
            environ={**os.environ, "SMALL_KEY": "k1"},
            watch=QUICK,
        )
    )
    try:
        yield made
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


MakeFile = Callable[..., serving.ServingFile]


async def test_it_starts_answers_and_leaves_nothing_behind(file: MakeFile, tmp_path: Path) -> None:
    async with running(file("ok"), tmp_path) as made:
        await made.says("small: ready")
        pids = made.pids()
        assert not any(gone(pid) for pid in pids)
    assert all(gone(pid) for pid in pids)
    assert [line.split(" - ")[0] for line in made.lines] == [
        "small: starting", "small: ready", "small: stopping", "small: stopped",
    ]  # fmt: skip


async def test_a_killed_server_is_started_again_without_its_old_engine(
    file: MakeFile, tmp_path: Path
) -> None:
    async with running(file("ok"), tmp_path) as made:
        await made.says("small: ready")
        server, engine = made.pids()
        os.kill(server, signal.SIGKILL)
        await made.says("small: ready", count=2)
        assert gone(engine)
    assert any("exited with -9; again in 1 s" in line for line in made.lines)


async def test_a_server_whose_completions_fail_is_started_again(
    file: MakeFile, tmp_path: Path
) -> None:
    slow_start = file("dead").model_copy(update={"start_timeout_s": 0.5})
    async with running(slow_start, tmp_path) as made:
        await made.says("did not answer within 0.5 s")
        first = made.pids()
        await made.says("small: starting", count=2)
        assert all(gone(pid) for pid in first)


async def test_a_server_that_crashes_is_tried_with_growing_pauses(
    file: MakeFile, tmp_path: Path
) -> None:
    async with running(file("crash"), tmp_path) as made:
        await made.says("exited with 3; again in 1 s")
        await made.says("exited with 3; again in 2 s")
    assert "no memory" in (tmp_path / "logs/small.log").read_text()


async def test_a_key_is_asked_for_and_sent(file: MakeFile, tmp_path: Path) -> None:
    async with running(file("ok", api_key_env="SMALL_KEY"), tmp_path) as made:
        await made.says("small: ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_however_serve_tiers_ends(
    file: MakeFile, tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "file.json").write_text(file("ok").model_dump_json())
    code = (
        "import sys; from pathlib import Path; from collab_core.backends import serving, supervisor; "
        "file = serving.ServingFile.model_validate_json(Path(sys.argv[1]).read_text()); "
        "supervisor.run(file, log_folder=Path(sys.argv[2]), report=lambda l: print(l, flush=True))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "file.json"), str(tmp_path / "logs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("ready" in line for line in process.stdout)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        process.send_signal(number)
        assert process.wait(20) == (-9 if number == signal.SIGKILL else 0)
    until = time.monotonic() + 5
    while not all(gone(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert all(gone(pid) for pid in pids)
