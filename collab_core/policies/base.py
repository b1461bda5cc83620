"""The contract of a policy.

A policy has no clock and does no I/O; chance comes only from ``StepContext.random``. Its state is a
function of the finished steps it was shown, so that the same object drives a live run, a resumed
run, a fork (whose first steps another policy decided) and a replay of stored verdicts.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from collab_core.domain import Decision, Limits, StepRecord, Task, TierSnapshot


@dataclass(frozen=True, kw_only=True)
class CacheState:
    """What a tier's prefix cache can hold of this run."""

    last_step: int | None = None
    """The last step that ran on the tier; None = never."""
    prefix_tokens: int = 0
    """Tokens of the prompt it saw then."""


@dataclass(frozen=True, kw_only=True)
class StepContext:
    """All a policy may look at. Nothing here knows the gold answer or the future."""

    task: Task
    step_index: int
    """Of the step to decide, counted from 1."""
    limits: Limits
    trajectory: Sequence[StepRecord]
    tiers: tuple[TierSnapshot, ...]
    cache: tuple[CacheState, ...]
    spent_usd: float | None
    spent_s: float
    random: random.Random


class Policy(Protocol):
    """Decides the tier of each step. One object serves one run."""

    def before_step(self, context: StepContext) -> Decision:
        """Decide who runs step ``context.step_index``. Asked exactly once a step; must not change
        the state (a fork's first steps are decided elsewhere and never asked)."""
        ...

    def after_observation(self, context: StepContext, step: StepRecord) -> None:
        """Learn what became of ``step``; ``step.decision`` is what was really done."""
        ...
