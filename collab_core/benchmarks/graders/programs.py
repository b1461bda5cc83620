"""pass@1 of generated code: the benchmark's own tests, run in the sandbox (MBPP, HumanEval).

The tests run in the same process as the code they test. A program that means to cheat can look for
the mark of success; one that merely leaves early or prints a lot cannot find it by accident.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources

from collab_core.benchmarks.graders.base import MAX_GRADED_CHARS, Means, printable
from collab_core.benchmarks.grades import Grade, shown
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.events import Outcome
from collab_core.tools.sandbox.base import Execution, SandboxLimits, SandboxUnavailable

GRADER = "tests/1"
LIMITS = SandboxLimits(wall_s=60.0, cpu_s=10, output_bytes=1_000_000, shown_chars=4_000)
_FAIR = frozenset({"strong", "reduced"})
"""Rungs with a whole Python: a subset would fail right programs."""
_FENCE = re.compile(r"^[ \t]{0,3}```[ \t]*(\w*)[^\n]*$", re.M)
_LANGUAGES = frozenset({"", "python", "py", "python3"})


async def grade_tests(task: BenchmarkTask, answer: str, means: Means) -> Grade:
    """Run the task's tests over the answer's code once."""
    if means.sandbox is None or means.sandbox.tier not in _FAIR:
        tier = means.sandbox.tier if means.sandbox else "off"
        reason = f"Code is run in the sandbox's rungs strong and reduced only; here it is {tier}."
        return Grade(outcome="unscored", grader=GRADER, reason=reason)
    if not task.reference.get("tests"):
        return Grade(outcome="unscored", grader=GRADER, reason="The task has no tests.")
    code = extract_code(answer)
    if not code.strip() or len(code) > MAX_GRADED_CHARS:
        reason = "There is no code in the answer." if not code.strip() else "The code is too long."
        return Grade(outcome="incorrect", grader=GRADER, reason=reason, parsed=False)
    token = _token(task, code)
    try:
        execution = await means.sandbox.run(_program(task, code, token), LIMITS)
    except SandboxUnavailable as error:
        return Grade(outcome="unscored", grader=GRADER, reason=shown(error.message))
    return _grade(execution, code, token)


def extract_code(answer: str) -> str:
    r"""Return the last fenced block of Python, or of no language; the whole text where none is.

    >>> extract_code("Here:\n```python\nx = 1\n```\nDone.")
    'x = 1\n'
    """
    fences = list(_FENCE.finditer(answer))
    found, opened = None, None
    for fence in fences:
        if opened is None:
            opened = fence
        elif not fence[1]:
            if opened[1].casefold() in _LANGUAGES:
                found = answer[opened.end() + 1 : fence.start()]
            opened = None
    if opened is not None and opened[1].casefold() in _LANGUAGES and found is None:
        found = answer[opened.end() + 1 :]
    return answer if found is None and not fences else found or ""


def _token(task: BenchmarkTask, code: str) -> str:
    return hashlib.sha256(f"{task.id}\n{printable(code)}".encode()).hexdigest()


def _program(task: BenchmarkTask, code: str, token: str) -> str:
    """Return the harness with the setup, the code and the tests as texts in it."""
    harness = resources.files(__package__).joinpath("harness.py").read_text(encoding="utf-8")
    parts = (str(task.reference.get("setup", "")), code, list(task.reference["tests"]), token)
    return f"{harness}\nmain(*{parts!r})\n"


def _grade(execution: Execution, code: str, token: str) -> Grade:
    output = execution.output.rstrip()
    if f"setup {token}" in output:
        reason = "The benchmark's own setup failed in the sandbox."
        return Grade(outcome="unscored", grader=GRADER, reason=reason)
    passed = execution.ending == "finished" and f"passed {token}" in output
    outcome: Outcome = "correct" if passed else "incorrect"
    return Grade(
        outcome=outcome,
        grader=GRADER,
        extracted=shown(code),
        reason="" if passed else shown(_why(execution, output)),
    )


def _why(execution: Execution, output: str) -> str:
    match execution.ending:
        case "wall" | "cpu":
            return f"Stopped after {execution.duration_s:.1f} s."
        case "flood":
            return "Stopped: it wrote too much."
        case "crashed":
            return "The interpreter died."
        case "finished":
            return "It ended before the tests were through."
        case "failed":
            return output[-1_000:]
