"""How a real vLLM dies, and what becomes of the call, the tier and the processes.

One test after the other kills a server; serve_tiers brings it back, which is part of what is tested.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.backends.probe import answers, probe
from collab_core.domain import Tier
from collab_core.errors import BackendError, EndpointFailed, EndpointUnreachable
from tests.vllm.conftest import Servers, ask

pytestmark = pytest.mark.vllm


async def broken_stream(
    backend: OpenAICompatible, tier: Tier, kill: int, number: int
) -> BackendError:
    """Send the signal when the reply has begun to come; return how the call failed."""
    begun = asyncio.Event()
    request = ask(tier, max_output_tokens=3_500, temperature=1.0)
    call = asyncio.create_task(backend.complete(request, lambda *_: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    os.kill(kill, number)
    async with asyncio.timeout(60):
        with pytest.raises(BackendError) as caught:
            await call
    return caught.value


def engine_of(server: int) -> int:
    """Return the process id of the server's engine core."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
            group = int(stat.rpartition(")")[2].split()[2])
            name = (entry / "comm").read_text() + (entry / "cmdline").read_text()
        except OSError:
            continue  # it ended while we looked
        if group == server and "EngineCore" in name:
            return int(entry.name)
    raise AssertionError(f"no engine core in the group of {server}")


async def comes_back(servers: Servers, name: str, ready_before: int) -> None:
    await asyncio.to_thread(servers.wait_for, rf"^{name}: ready", count=ready_before + 1)


def ready_lines(servers: Servers, name: str) -> int:
    return sum(line.startswith(f"{name}: ready") for line in servers.lines())


async def test_sigterm_in_mid_stream_is_a_failed_attempt(
    servers: Servers, backend: OpenAICompatible
) -> None:
    ready = ready_lines(servers, "small")
    failure = await broken_stream(backend, servers.small, servers.pid_of("small"), signal.SIGTERM)
    assert isinstance(failure, EndpointFailed)
    assert failure.attempts[0].output_tokens > 0
    await comes_back(servers, "small", ready)


async def test_a_killed_engine_fails_the_stream_then_the_server_is_gone_then_back(
    servers: Servers, backend: OpenAICompatible
) -> None:
    ready = ready_lines(servers, "small")
    engine = engine_of(servers.pid_of("small"))
    failure = await broken_stream(backend, servers.small, engine, signal.SIGKILL)
    assert isinstance(failure, EndpointFailed)
    async with asyncio.timeout(60):
        while not isinstance(error := await answers(servers.small), EndpointUnreachable):
            assert isinstance(error, BackendError), "a dead engine cannot answer"
            await asyncio.sleep(0.1)
    report = await probe(servers.small)
    assert (report.works, report.error_code) == (False, "endpoint_unreachable")
    await comes_back(servers, "small", ready)
    assert (await backend.complete(ask(servers.small))).text


async def test_a_killed_server_leaves_no_engine_behind(
    servers: Servers, backend: OpenAICompatible
) -> None:
    ready = ready_lines(servers, "small")
    server = servers.pid_of("small")
    engine = engine_of(server)
    failure = await broken_stream(backend, servers.small, server, signal.SIGKILL)
    assert isinstance(failure, EndpointFailed)
    await comes_back(servers, "small", ready)
    assert not Path(f"/proc/{engine}").exists()
