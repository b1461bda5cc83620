r"""Mathematics in ``\boxed{}``: the same text after normalisation, or equal to a computer algebra system.

The algebra is math-verify's (sympy below it), in a process of its own: an answer such as
``9^{9^{9}}`` would fill this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import Sequence
from importlib import resources
from weakref import WeakKeyDictionary

import msgspec

from collab_core.benchmarks.graders.base import Means, printable
from collab_core.benchmarks.grades import Grade, shown
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.events import Outcome

GRADER = "boxed/1"
MAX_ANSWER_CHARS = 2_000
CPU_S = 10
"""Of the comparison alone."""
WALL_S = 120.0
"""Reached by a machine that is too busy, not by an expression."""
MEMORY_BYTES = 2 << 30
MAX_PARALLEL = 2
READY = b"ready\n"
_MAX_SAID_BYTES = 1_000
_BOX = "\\boxed"
_BARE_CHARS = 200
"""An answer without a box counts as a whole if it is one line of at most this length."""
_DROPPED = re.compile(
    r"\\left(?![a-z])|\\right(?![a-z])|\\[!,;: ]|\\(?:d|t)?displaystyle|\^\{?\\circ\}?|\\[%$]|[$%\s]"
)
_FRACTION = re.compile(r"\\[dt]frac")
_SHORT_FRACTION = re.compile(r"\\frac([0-9])([0-9])")
_ALL_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox)\{([^{}]*)\}")
_INTEGER = re.compile(r"-?[0-9]{1,100}")
_THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3}){1,20}(?:\.[0-9]+)?")

_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def grade_boxed(task: BenchmarkTask, answer: str, means: Means) -> Grade:
    """Compare the last box of the answer with the reference."""
    del means  # needs nothing
    if not task.answers:
        return Grade(outcome="unscored", grader=GRADER, reason="The task has no reference answer.")
    found = boxed_answer(printable(answer))
    if not found:
        reason = "There is no boxed answer."
        return Grade(outcome="incorrect", grader=GRADER, reason=reason, parsed=False)
    if len(found) > MAX_ANSWER_CHARS:
        reason = f"An expression of {len(found):,} characters is no answer."
        return Grade(outcome="incorrect", grader=GRADER, reason=reason, parsed=False)
    text, golds = normalised(found), {normalised(gold) for gold in task.answers}
    outcome: Outcome
    if text in golds:
        outcome, reason = "correct", "The same text."
    elif all(map(_INTEGER.fullmatch, (text, *golds))):
        # what most wrong answers are: no process for them
        same = int(text) in map(int, golds)
        outcome, reason = ("correct", "Equal.") if same else ("incorrect", "Not equal.")
    else:
        outcome, reason = await _compared(task.answers, found)
    return Grade(outcome=outcome, grader=GRADER, extracted=shown(found), reason=reason)


def boxed_answer(text: str) -> str:
    r"""Return what the last ``\boxed{}`` holds, a short answer without a box as it is; "" = neither.

    >>> boxed_answer(r"So \boxed{\frac{1}{2}}."), boxed_answer("42")
    ('\\frac{1}{2}', '42')
    """
    start = text.rfind(_BOX)
    if start < 0:
        bare = text.strip()
        return bare if len(bare) <= _BARE_CHARS and "\n" not in bare else ""
    rest = text[start + len(_BOX) :].lstrip()
    if not rest.startswith("{"):
        return rest.split("$")[0].split()[0] if rest.strip("$ ") else ""
    depth, escaped = 0, False
    for position, char in enumerate(rest):
        if not escaped:
            depth += (char == "{") - (char == "}")
        escaped = char == "\\" and not escaped
        if depth == 0:
            return rest[1:position].strip()
    return ""


def normalised(text: str) -> str:
    r"""Return the text without what does not change its meaning: spacing, size, units of degree.

    >>> normalised(r"\left( \dfrac12 ,\; 3 \right)."), normalised(r"\$1{,}000")
    ('(\\frac{1}{2},3)', '1000')
    """
    text = _FRACTION.sub(r"\\frac", text.strip().rstrip(".").replace("{,}", ","))
    text = _ALL_TEXT.sub(r"\1", _DROPPED.sub("", text))
    if _THOUSANDS.fullmatch(text):
        return text.replace(",", "")
    return _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text)


async def _compared(gold: Sequence[str], found: str) -> tuple[Outcome, str]:
    """Return what the algebra says; what it cannot settle within its limits is not shown equal."""
    asked = {"gold": gold, "answer": found, "memory_bytes": MEMORY_BYTES, "cpu_s": CPU_S}
    slot = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MAX_PARALLEL))
    async with slot:
        said = await _ask(msgspec.json.encode(asked))
    if said is None:
        return "unscored", f"The machine was too busy to compare within {WALL_S:g} s."
    match said.removeprefix(READY):
        case b"equal\n":
            return "correct", "Equal."
        case b"different\n":
            return "incorrect", "Not equal."
        case b"unread\n":
            return "incorrect", "Another text, and no mathematics that can be read."
    if not said.startswith(READY):
        return "unscored", "The algebra system did not start."
    return "incorrect", f"Not shown equal within {CPU_S} s and {MEMORY_BYTES >> 30} GiB."


async def _ask(asked: bytes) -> bytes | None:
    """Return what the process wrote before it ended, or its limits ended it; None = no time left."""
    script = resources.files(__package__).joinpath("equality.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(script),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said = b""
    try:
        async with asyncio.timeout(WALL_S):
            with contextlib.suppress(ConnectionError):  # dead already: what it wrote tells
                process.stdin.write(asked)
                await process.stdin.drain()
                process.stdin.close()
            while chunk := await process.stdout.read(_MAX_SAID_BYTES):
                said = (said + chunk)[:_MAX_SAID_BYTES]
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.wait())
    return said
