from __future__ import annotations

import asyncio

import pytest

from collab_core.tools.sandbox.base import SandboxLimits
from collab_core.tools.sandbox.language import RestrictedPython, language
from collab_core.tools.sandbox.selfcheck import check
from tests.collab_core.tools.sandbox.conftest import Canaries, processes, wait_until


@pytest.fixture(scope="module")
def sandbox() -> RestrictedPython:
    return language()


async def test_the_interpreter_holds(sandbox: RestrictedPython) -> None:
    checks = await check(sandbox)
    assert len(checks) >= 15
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(
    ("code", "ending", "shown"),
    [
        ("print('a')\n1 + 1", "finished", "a\n2\n"),
        ("print('a')", "finished", "a\n"),
        ("import math, json\nprint(json.dumps([math.floor(2.5)]))", "finished", "[2]\n"),
        ("print('\ud800 é')", "finished", "\ufffd é\n"),
        ("", "finished", ""),
    ],
)
async def test_it_shows_what_was_printed(
    sandbox: RestrictedPython, code: str, ending: str, shown: str
) -> None:
    seen = await sandbox.run(code)
    assert (seen.ending, seen.output) == (ending, shown)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("{}['k']", "KeyError: k"),
        ("def f(:", "SyntaxError"),
        ("raise TimeoutError", "TimeoutError"),
        ("def f(n): return f(n + 1)\nf(0)", "RecursionError"),
        ("x = []\nwhile True: x.append('a' * 100_000)", "MemoryError"),
    ],
)
async def test_an_error_is_shown(sandbox: RestrictedPython, code: str, error: str) -> None:
    seen = await sandbox.run(code, SandboxLimits(memory_bytes=64 << 20))
    assert seen.ending == "failed"
    assert error in seen.output.splitlines()[-1]


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(60)", "9**9**9"])
async def test_what_does_not_end_is_ended(
    sandbox: RestrictedPython, code: str, marked: SandboxLimits
) -> None:
    limits = SandboxLimits(wall_s=0.3, memory_bytes=marked.memory_bytes)
    assert (await sandbox.run(code, limits)).ending == "wall"
    wait_until(lambda: not processes(limits), "something is left")


async def test_processor_time_is_limited(sandbox: RestrictedPython) -> None:
    assert (await sandbox.run("while True: pass", SandboxLimits(cpu_s=1))).ending == "cpu"


async def test_a_flood_is_stopped(sandbox: RestrictedPython) -> None:
    seen = await sandbox.run("while True: print('x' * 999)", SandboxLimits(output_bytes=100_000))
    assert (seen.ending, seen.truncated) == ("flood", True)
    assert seen.output_bytes < 300_000


async def test_a_cancelled_call_kills_it(sandbox: RestrictedPython, marked: SandboxLimits) -> None:
    running = asyncio.ensure_future(sandbox.run("while True: pass", marked))
    while not processes(marked):
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes(marked) == []


async def test_even_a_broken_interpreter_has_no_network(
    sandbox: RestrictedPython, canaries: Canaries
) -> None:
    """Another interpreter takes Monty's place, one that keeps nothing back."""
    code = f"""
import os, socket
for do in (
    lambda: socket.create_connection(("127.0.0.1", {canaries.tcp.getsockname()[1]})),
    os.fork,
    lambda: os.kill(os.getppid(), 0),
    lambda: os.chmod({str(canaries.file)!r}, 0o777),
):
    try:
        print("OUT", do())
    except OSError:
        print("held")
"""

    class Broken(RestrictedPython):
        def _command(self, limits: SandboxLimits) -> list[str]:
            *command, config = super()._command(limits)
            return [
                *command,
                config.replace(str(self.binary), "/usr/bin/python3").replace("--max-memory", "-X"),
            ]

    fields = {
        name: getattr(sandbox, name) for name in ("interpreter", "binary", "version", "program")
    }
    seen = await Broken(**fields).run(code)
    assert (seen.output, canaries.connected()) == ("held\n" * 4, [])
