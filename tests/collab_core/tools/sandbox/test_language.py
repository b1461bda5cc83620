from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collab_core.tools.sandbox.base import SandboxLimits
from collab_core.tools.sandbox.language import RestrictedPython, language
from collab_core.tools.sandbox.selfcheck import check


@pytest.fixture
def sandbox() -> RestrictedPython:
    return language()


def _workers() -> int:
    """Count the interpreters that this process started, in whichever thread."""
    pids = [
        pid
        for children in Path("/proc/self/task").glob("*/children")
        for pid in children.read_text().split()
    ]
    names = [Path(f"/proc/{pid}/comm") for pid in pids]
    return sum(name.exists() and "monty" in name.read_text() for name in names)


async def _all_gone() -> bool:
    for _ in range(200):
        if not _workers():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_the_interpreter_holds(sandbox: RestrictedPython) -> None:
    checks = await check(sandbox)
    assert len(checks) >= 15
    assert [check for check in checks if not check.passed] == []


@pytest.mark.parametrize(
    ("code", "ending", "shown"),
    [
        ("print('a')\n1 + 1", "finished", "a\n2\n"),
        ("import math, json\nprint(json.dumps([math.floor(2.5)]))", "finished", "[2]\n"),
        ("{}['k']", "failed", "KeyError"),
        ("def f(:", "failed", "SyntaxError"),
        ("raise TimeoutError", "failed", "TimeoutError"),
        ("def f(n): return f(n + 1)\nf(0)", "failed", "RecursionError"),
        ("x = []\nwhile True: x.append('a' * 100_000)", "failed", "MemoryError"),
        ("print('\ud800')", "finished", "\n"),
    ],
)
async def test_every_end_has_its_name(
    sandbox: RestrictedPython, code: str, ending: str, shown: str
) -> None:
    seen = await sandbox.run(code, SandboxLimits(memory_bytes=64 << 20))
    assert seen.ending == ending
    assert shown in seen.output


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(60)", "9**9**9"])
async def test_what_does_not_end_is_ended(sandbox: RestrictedPython, code: str) -> None:
    assert (await sandbox.run(code, SandboxLimits(wall_s=0.3))).ending == "wall"
    assert await _all_gone()


async def test_a_flood_is_stopped(sandbox: RestrictedPython) -> None:
    seen = await sandbox.run("while True: print('x' * 999)", SandboxLimits(output_bytes=100_000))
    assert (seen.ending, seen.truncated) == ("flood", True)
    assert seen.output_bytes < 300_000


async def test_a_cancelled_call_kills_it(sandbox: RestrictedPython) -> None:
    running = asyncio.ensure_future(sandbox.run("while True: pass"))
    while not _workers():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await _all_gone()
