from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from collab_core.tools.sandbox.base import SandboxLimits, SandboxUnavailable
from collab_core.tools.sandbox.bootstrap import READY
from collab_core.tools.sandbox.confined import ConfinedPython, _reduced_command, _strong_command
from collab_core.tools.sandbox.execution import Capture, execute
from tests.collab_core.tools.sandbox.conftest import processes, wait_until

SLEEP = "import time; time.sleep(60)"


async def test_it_shows_what_was_printed(sandbox: ConfinedPython) -> None:
    seen = await sandbox.run("import sys\nprint('out'); print('err', file=sys.stderr); 1 + 1")
    assert (seen.output, seen.ending, seen.truncated) == ("out\nerr\n2\n", "finished", False)


async def test_an_exception_shows_the_line_of_the_code(sandbox: ConfinedPython) -> None:
    seen = await sandbox.run("x = 0\nprint(1 / x)")
    assert (seen.ending, seen.exit_code) == ("failed", 1)
    assert seen.output.startswith('Traceback (most recent call last):\n  File "code.py", line 2')
    assert "print(1 / x)" in seen.output
    assert seen.output.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("def f(:", "failed"),
        ("import sys; sys.exit('sorry')", "failed"),
        ("raise SystemExit(0)", "finished"),
        ("input()", "failed"),
        ("import os; os._exit(3)", "failed"),
        ("raise KeyboardInterrupt", "failed"),
        ("import ctypes; ctypes.string_at(0)", "crashed"),
        ("def f(n): return f(n + 1)\nf(0)", "failed"),
        ("from __future__ import annotations\ndef f(x: undefined): pass", "finished"),
        ("def f(x: undefined): pass", "failed"),
        ("", "finished"),
        ("'only a text'", "finished"),
    ],
)
async def test_every_end_has_its_name(strong: ConfinedPython, code: str, ending: str) -> None:
    assert (await strong.run(code)).ending == ending


async def test_the_tools_of_the_trade_work(sandbox: ConfinedPython) -> None:
    code = """
import asyncio, collections, csv, dataclasses, datetime, decimal, fractions, functools, hashlib
import heapq, io, itertools, json, logging, math, random, re, sqlite3, statistics, string, typing
import uuid, zlib, zoneinfo
from concurrent.futures import ThreadPoolExecutor
asyncio.run(asyncio.sleep(0))
print(sum(ThreadPoolExecutor(4).map(abs, [-1, -2])))
print(sqlite3.connect(":memory:").execute("select 1 + 1").fetchone()[0])
"""
    seen = await sandbox.run(code)
    assert seen.output == "3\n2\n"


async def test_numpy_works_where_it_is_said_to(sandbox: ConfinedPython) -> None:
    assert "numpy" in sandbox.interpreter.description
    seen = await sandbox.run("import numpy as np\nprint(int(np.linalg.det(np.eye(200) * 1.0)))")
    assert seen.output == "1\n"


async def test_files_can_be_kept_for_the_call_in_tmp(strong: ConfinedPython) -> None:
    seen = await strong.run(
        "import tempfile\nwith tempfile.TemporaryFile() as f: f.write(b'x'); print(f.tell())"
    )
    assert seen.output == "1\n"


async def test_nothing_is_kept_between_calls(strong: ConfinedPython) -> None:
    await strong.run("open('/tmp/left', 'w').write('x'); y = 1")
    seen = await strong.run("import os; print(os.listdir('/tmp'), 'y' in globals())")
    assert seen.output == "[] False\n"


async def test_what_is_not_text_is_shown_as_numbers(sandbox: ConfinedPython) -> None:
    code = "import os, sys\nos.write(1, b'\\xff\\xfe ok\\x00\\x1b[31m ')\nprint('\\ud800 äß')"
    seen = await sandbox.run(code)
    assert seen.output == "\\xff\\xfe ok\\x00\\x1b[31m \\ud800 äß\n"


async def test_code_that_is_not_text_is_an_error_of_the_code(sandbox: ConfinedPython) -> None:
    assert (await sandbox.run("print('\ud800')")).output == "\\ud800\n"
    assert (await sandbox.run("x = 1\x00")).ending == "failed"


async def test_a_long_output_keeps_its_beginning_and_end(sandbox: ConfinedPython) -> None:
    seen = await sandbox.run("print('first')\nprint('é' * 50_000)\nprint('last')")
    assert seen.truncated
    assert seen.output.startswith("first\né")
    assert seen.output.endswith("é\nlast\n")
    assert "the whole output has 100,012 bytes" in seen.output
    assert len(seen.output) <= 8_000


async def test_a_flood_is_stopped(sandbox: ConfinedPython) -> None:
    limits = SandboxLimits(output_bytes=1_000_000)
    code = "import sys\nwhile True: print('x' * 5000); print('y' * 5000, file=sys.stderr)"
    seen = await sandbox.run(code, limits)
    assert (seen.ending, seen.truncated) == ("flood", True)
    assert limits.output_bytes < seen.output_bytes < 2 * limits.output_bytes


IGNORING = (
    "import signal\nfor s in (1, 2, 3, 13, 14, 15, 24):\n  signal.signal(s, signal.SIG_IGN)\n"
)


@pytest.mark.parametrize(
    "code",
    [
        IGNORING + SLEEP,
        "import os; os.close(0); os.close(1); os.close(2)\n" + SLEEP,
        "import threading\nfor _ in 'ab': threading.Thread(target=threading.Event().wait).start()",
        "import re; re.match('(a+)+$', 'a' * 60 + 'b')",
        "try:\n  while True: pass\nfinally:\n  while True: pass",
    ],
    ids=["signals ignored", "output closed", "threads wait", "regex", "finally"],
)
async def test_what_does_not_end_is_ended(
    sandbox: ConfinedPython, code: str, marked: SandboxLimits
) -> None:
    limits = SandboxLimits(wall_s=0.4, memory_bytes=marked.memory_bytes)
    seen = await sandbox.run("print('begun')\n" + code, limits)
    assert (seen.ending, seen.output) == ("wall", "begun\n")
    # one that closed its output is dead a moment after its parent
    wait_until(lambda: not processes(limits), "something is left")


async def test_processor_time_is_limited(sandbox: ConfinedPython) -> None:
    assert (await sandbox.run("while True: pass", SandboxLimits(cpu_s=1))).ending == "cpu"


async def test_processor_time_is_limited_when_the_warning_is_ignored(
    sandbox: ConfinedPython,
) -> None:
    seen = await sandbox.run(IGNORING + "while True: pass", SandboxLimits(cpu_s=1))
    assert seen.ending == "crashed"
    assert seen.exit_code in (-signal.SIGKILL, 128 + signal.SIGKILL)


async def test_the_event_loop_goes_on_meanwhile(sandbox: ConfinedPython) -> None:
    running = asyncio.ensure_future(sandbox.run("import time; time.sleep(0.3)"))
    ticks = 0
    while not running.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 5


async def test_a_cancelled_call_kills_it(sandbox: ConfinedPython, marked: SandboxLimits) -> None:
    running = asyncio.ensure_future(sandbox.run(IGNORING + SLEEP, marked))
    while not processes(marked):
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.3)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes(marked) == []


async def test_a_call_cancelled_while_starting_leaves_nothing(
    sandbox: ConfinedPython, marked: SandboxLimits
) -> None:
    for delay_s in (0, 0.005, 0.01, 0.02, 0.04):
        running = asyncio.ensure_future(sandbox.run(SLEEP, marked))
        await asyncio.sleep(delay_s)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert processes(marked) == []


async def test_many_calls_take_turns(sandbox: ConfinedPython) -> None:
    seen = await asyncio.gather(*(sandbox.run(f"print({n})") for n in range(10)))
    assert [execution.output for execution in seen] == [f"{n}\n" for n in range(10)]


PARENT = """
import asyncio, json, sys
from collab_core.tools.sandbox.base import SandboxLimits
from collab_core.tools.sandbox.selfcheck import RUNGS
tier, code, memory = json.loads(sys.argv[1])
asyncio.run(RUNGS[tier]().run(code, SandboxLimits(wall_s=60, memory_bytes=memory)))
"""


@pytest.mark.faults
@pytest.mark.parametrize("tier", ["strong", "reduced", "language"])
def test_a_parent_that_is_killed_leaves_nothing(tier: str, marked: SandboxLimits) -> None:
    code = "import ctypes\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\n" + IGNORING + SLEEP
    code = "while True: pass" if tier == "language" else code
    argument = json.dumps([tier, code, marked.memory_bytes])
    with subprocess.Popen([sys.executable, "-c", PARENT, argument]) as parent:
        # the parent's own command line has the figure, too
        inside = 2 if tier == "strong" else 1
        wait_until(lambda: len(processes(marked)) > inside, "it did not start")
        time.sleep(0.5)
        parent.kill()
    wait_until(lambda: not processes(marked), "something is left")


@pytest.mark.parametrize("tier", ["strong", "reduced"])
@pytest.mark.parametrize("sent", [b"", b"10\nprint("])
def test_code_that_did_not_arrive_whole_is_not_run(
    tier: str, sent: bytes, request: pytest.FixtureRequest
) -> None:
    """The parent died after the start: the process must go by itself."""
    sandbox: ConfinedPython = request.getfixturevalue(tier)
    build = _strong_command if tier == "strong" else _reduced_command
    with tempfile.TemporaryFile() as file:
        file.write(sandbox.program)
        file.seek(0)
        command = build(sandbox.interpreter, SandboxLimits())
        done = subprocess.run(
            [part.replace("{seccomp}", str(file.fileno())) for part in command],
            input=sent,
            capture_output=True,
            pass_fds=(file.fileno(),),
            env={},
            check=False,
        )
    assert (done.returncode, done.stdout) == (70, READY)


async def test_a_sandbox_that_does_not_start_says_why() -> None:
    command = ["/bin/sh", "-c", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1"]
    with pytest.raises(SandboxUnavailable, match="No permissions to create new namespace"):
        await execute(command, "1", SandboxLimits(), program=b"", environment={})
    with pytest.raises(SandboxUnavailable, match="could not be started"):
        await execute(["/nonexistent"], "1", SandboxLimits(), program=b"", environment={})


@pytest.mark.parametrize("size", [0, 99, 100, 101, 399, 400, 401, 5_000])
def test_a_capture_is_bounded_and_complete_when_short(size: int) -> None:
    capture = Capture(shown_chars=100)
    for start in range(0, size, 7):
        capture.add(b"0123456"[: size - start])
    text, truncated = capture.text()
    assert truncated == (size > 100)
    assert len(text) <= 100
    assert capture.total_bytes == size
