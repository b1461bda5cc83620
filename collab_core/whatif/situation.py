"""What the estimate knows of a step's place in a run, and the regressors made of it.

One array entry is one step: of the pool when a model is fitted, of a continuation when one is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROGRESS_KNOTS = (3.0, 6.0, 10.0)
STREAK_KNOTS = (4.0, 10.0, 18.0)


@dataclass(kw_only=True)
class Situation:
    """Before a step."""

    index: Floats
    """Of the step in the run, from 1."""
    progress: Floats
    """Steps with progress so far."""
    streak: Floats
    """Stalls since the last progress, one column a tier."""
    stalls: Floats
    """Stalls so far."""
    large: Floats
    """Steps on the top tier so far."""

    @classmethod
    def first(cls, tiers: int) -> Situation:
        """Return that of a run's first step."""
        none = np.zeros(1)
        streak = np.zeros((1, tiers))
        return cls(index=np.ones(1), progress=none, streak=streak, stalls=none, large=none)

    @property
    def stalled(self) -> Floats:
        return np.asarray(self.streak.sum(axis=1))

    def take(self, kept: NDArray[Any]) -> Situation:
        return Situation(
            index=self.index[kept],
            progress=self.progress[kept],
            streak=self.streak[kept],
            stalls=self.stalls[kept],
            large=self.large[kept],
        )

    def after(self, tier: Ints, progress: NDArray[np.bool_]) -> Situation:
        """Return the situation before the next step."""
        streak = self.streak.copy()
        streak[np.arange(len(tier)), tier] += 1.0
        streak[progress] = 0.0
        return Situation(
            index=self.index + 1.0,
            progress=self.progress + progress,
            streak=streak,
            stalls=self.stalls + ~progress,
            large=self.large + (tier == streak.shape[1] - 1),
        )

    def for_verdict(self, tier: Ints) -> Floats:
        """Return the regressors of a verdict of progress by a step on ``tier``."""
        tiers = self.streak.shape[1]
        above = np.cumsum(self.streak[:, ::-1], axis=1)[:, ::-1]
        own = above[np.arange(len(tier)), tier]
        stalled = self.stalled
        on = _one_hot(tier, tiers)
        return np.column_stack(
            [
                np.ones(len(tier)),
                on[:, 1:],
                on * np.log1p(stalled)[:, None],
                stalled > 0.0,
                (stalled > 0.0) & (own == 0.0),
                np.log1p(self.progress),
                *(np.maximum(self.progress - knot, 0.0) / 5.0 for knot in PROGRESS_KNOTS),
                self.index == 1.0,
                self.index == 2.0,
                np.log(self.index),
            ]
        )


def for_end(after: Situation, tier: Ints, progress: NDArray[np.bool_]) -> Floats:
    """Return the regressors of an answer given in the step that led to ``after``."""
    good = progress.astype(np.float64)
    on = _one_hot(tier, after.streak.shape[1])[:, 1:]
    hinges = [np.maximum(after.progress - knot, 0.0) / 5.0 for knot in PROGRESS_KNOTS]
    return np.column_stack(
        [
            np.ones(len(tier)),
            on,
            on * np.log1p(after.stalled)[:, None],
            good,
            np.log1p(after.progress),
            good * np.log1p(after.progress),
            *hinges,
            *(good * hinge for hinge in hinges),
            np.log1p(after.stalled),
            *(np.maximum(after.stalled - knot, 0.0) / 5.0 for knot in STREAK_KNOTS),
            np.log(after.index - 1.0),
        ]
    )


def for_correct(
    after: Situation, tier: Ints, progress: NDArray[np.bool_], forced: NDArray[np.bool_]
) -> Floats:
    """Return the regressors of a correct answer, of a run that ended before ``after``."""
    steps = after.index - 1.0
    return np.column_stack(
        [
            np.ones(len(tier)),
            _one_hot(tier, after.streak.shape[1])[:, 1:],
            progress,
            np.log1p(after.progress),
            np.maximum(after.progress - PROGRESS_KNOTS[1], 0.0) / 5.0,
            np.log1p(after.stalled),
            after.stalls / steps,
            after.large / steps,
            np.log(steps),
            forced,
        ]
    )


def _one_hot(tier: Ints, tiers: int) -> Floats:
    return np.asarray(tier[:, None] == np.arange(tiers)[None, :], dtype=np.float64)


def joined(situations: Sequence[Situation], each: int) -> Situation:
    """Return all of them, each one ``each`` times."""

    def of(name: str) -> Floats:
        parts = np.concatenate([getattr(situation, name) for situation in situations])
        return np.asarray(np.repeat(parts, each, axis=0), dtype=np.float64)

    names = ("index", "progress", "streak", "stalls", "large")
    return Situation(**{name: of(name) for name in names})
