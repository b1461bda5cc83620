"""Grades that come after the run: a judge's, a critic's, or those of tests in the sandbox.

They lie beside the logs as ``TASK.SEED.grade.json``. Nothing of them is charged to the strategy.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from collab_core.benchmarks.graders.base import Means
from collab_core.benchmarks.grades import Grade
from collab_core.benchmarks.grading import find, grade
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput


def grade_file(log: Path) -> Path:
    """Return where the grade of a trial lies."""
    return log.with_suffix(".grade.json")


def read_grade(log: Path) -> Grade | None:
    """Return the trial's grade, None = nobody has graded it yet.

    Raises:
        InvalidInput: the file is damaged.
    """
    path = grade_file(log)
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Grade)
    except msgspec.DecodeError as error:
        raise InvalidInput(
            f"{path} is no grade: {error}.", hint="Remove it, and it is graded anew."
        ) from error


class LateGrader:
    """Grades what has no grade yet and can have one with these means; at most ``parallel`` at once."""

    def __init__(self, means: Means, *, parallel: int = 4) -> None:
        self._means = means
        self._slots = asyncio.Semaphore(parallel)

    async def __call__(self, task: BenchmarkTask, answer: str, log: Path) -> None:
        """Grade one answer and keep the grade; without the means it stays ungraded for a later call.

        Raises:
            BackendError: the judge failed after its retries; nothing is kept.
        """
        scorer = find(task.scorer)
        if scorer.later is None or grade_file(log).exists():
            return
        means = self._means
        if not means.meet(scorer.needs):
            return
        async with self._slots:
            given = await grade(
                task, answer, backend=means.backend, tier=means.tier, sandbox=means.sandbox
            )
        if not given.is_verdict:
            return
        partial = grade_file(log).with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(given) + b"\n")
        partial.replace(grade_file(log))
