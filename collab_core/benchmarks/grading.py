"""Graders by name: inline ones say at once, the others come after the run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from collab_core.agents.prompts import prompt
from collab_core.backends.base import Backend
from collab_core.benchmarks.graders import boxed, critic, judge, programs
from collab_core.benchmarks.graders.base import GradeLater, Means, Need
from collab_core.benchmarks.graders.inline import GRADERS
from collab_core.benchmarks.grades import Grade
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Tier
from collab_core.errors import InvalidInput
from collab_core.tools.sandbox.base import Sandbox

__all__ = ["INLINE", "SCORERS", "Grade", "Scorer", "find", "grade", "grade_inline", "verdict_key"]

INLINE = frozenset(GRADERS)
"""Names of the graders that the engine itself calls when a run ends."""


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A way to grade."""

    name: str
    summary: str
    version: str
    later: GradeLater | None = None
    """None: inline."""
    needs: Need = None
    prompts: tuple[str, ...] = ()
    marks: bool = False
    """It gives marks (``Grade.score``), not right and wrong."""
    compares: bool = True
    """It goes by the task's ``answers`` alone, so it can grade any task that has some."""


SCORERS: Mapping[str, Scorer] = {
    scorer.name: scorer
    for scorer in (
        Scorer(name="exact", summary="The same words, and no others", version="exact/1"),
        Scorer(name="number", summary="The last number, within 1e-6", version="number/1"),
        Scorer(name="letter", summary="The letter of an option", version="letter/1"),
        Scorer(
            name="boxed",
            summary="The last box, by its text or by algebra",
            version=boxed.GRADER,
            later=boxed.grade_boxed,
        ),
        Scorer(
            name="tests",
            summary="Tests run in the sandbox, once (pass@1)",
            version=programs.GRADER,
            later=programs.grade_tests,
            needs="sandbox",
            compares=False,
        ),
        Scorer(
            name="judge",
            summary="A model compares the answer with the reference",
            version=judge.GRADER,
            later=judge.grade_judge,
            needs="judge",
            prompts=judge.PROMPTS,
        ),
        Scorer(
            name="critic",
            summary="A model marks the text by a checklist, 1 to 10",
            version=critic.GRADER,
            later=critic.grade_critic,
            needs="critic",
            prompts=critic.PROMPTS,
            marks=True,
            compares=False,
        ),
    )
}


def find(name: str) -> Scorer:
    """Return a scorer.

    Raises:
        InvalidInput: there is none of this name.
    """
    if name not in SCORERS:
        known = ", ".join(SCORERS)
        raise InvalidInput(
            f"There is no grader {name[:80]!r}.", field="scorer", hint=f"Use {known}."
        )
    return SCORERS[name]


def grade_inline(scorer: str, answer: str, gold: tuple[str, ...]) -> Grade:
    """Grade by one of ``INLINE``: linear in the text, no clock, no I/O; *unscored* without a gold answer.

    Raises:
        InvalidInput: the scorer is not inline.
    """
    chosen = find(scorer)
    if chosen.name not in INLINE:
        raise InvalidInput(f"The grader {scorer} comes after the run.", field="scorer")
    if not gold:
        reason = "The task has no reference answer."
        return Grade(outcome="unscored", grader=chosen.version, reason=reason)
    return GRADERS[scorer](answer, gold)


async def grade(
    task: BenchmarkTask,
    answer: str,
    *,
    backend: Backend | None = None,
    tier: Tier | None = None,
    sandbox: Sandbox | None = None,
) -> Grade:
    """Grade an answer by the task's own scorer, whichever it is.

    ``backend`` and ``tier`` are the judge's or critic's. Without what the scorer needs the grade is
    *unscored*, and says why.

    Raises:
        BackendError: a call of the judge failed after its retries; try again later.
        InvalidInput: the task's scorer is unknown.
    """
    scorer = find(task.scorer)
    if scorer.later is None:
        return grade_inline(scorer.name, answer, task.answers)
    return await scorer.later(task, answer, Means(backend=backend, tier=tier, sandbox=sandbox))


def verdict_key(task: BenchmarkTask, answer: str, *, model: str = "") -> str:
    """Return the SHA-256 (hex) of all that a grade follows from: keep grades under it, ask once.

    ``model`` is the judge's or critic's name ("" for graders without one). Its settings are part of
    the grader's version; the text of its prompts is part of the key.

    Raises:
        InvalidInput: the task's scorer is unknown.
    """
    scorer = find(task.scorer)
    parts = (
        scorer.name,
        scorer.version,
        [prompt(name) for name in scorer.prompts],
        model if scorer.prompts else "",
        task.question,
        task.answers,
        task.reference,
        answer.encode("utf-8", errors="backslashreplace"),
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
