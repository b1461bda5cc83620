"""Trials as arrays, so that ten thousands of them are summed at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collab_core.errors import InvalidInput
from collab_core.experiments.records import Facts, Trial, TrialStatus
from collab_core.experiments.resampling import Index, Numbers

Mask = NDArray[np.bool_]

STATUSES: tuple[TrialStatus, ...] = ("pending", "running", "finished", "failed", "cancelled")
_COUNTED = (
    "steps",
    "large_steps",
    "switches",
    "moves",
    "latency_s",
    "input_tokens",
    "output_tokens",
    "large_output_tokens",
    "model_calls",
    "checks",
    "stalls",
    "checks_unusable",
    "escalations",
    "drafts_discarded",
    "simulated",
    "stand_in",
)
_UNKNOWABLE = ("cached_tokens", "cost_usd")
_OWN = (
    "arm",
    "task_id",
    "seed",
    "status",
    "outcome",
    "score",
    "labels",
    "false_progress",
    "facts",
)
_read = attrgetter(*_COUNTED)
_read_own = attrgetter(*_OWN)
_NO_FACTS = (np.nan,) * len(_COUNTED)
_CORRECT = {"correct": 1.0, "incorrect": 0.0, "unscored": np.nan}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One entry a trial in every array; unknown numbers are NaN here, and only here."""

    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    arm: Index
    task: Index
    seed: Index
    status: Index
    """Place in ``STATUSES``."""
    correct: Numbers
    """1 correct, 0 incorrect, NaN not scored, whatever the status."""
    score: Numbers
    labels: Numbers
    false_progress: Numbers
    facts: dict[str, Numbers]

    @cached_property
    def finished(self) -> Mask:
        return self.having("finished")

    @cached_property
    def known(self) -> Mask:
        """Whether the trial has facts."""
        return np.isfinite(self.facts["steps"])

    @cached_property
    def cell(self) -> Index:
        """Number of the trial's (task, seed)."""
        return self.task * max(1, len(self.seeds)) + self.seed

    def having(self, status: TrialStatus) -> Mask:
        return np.asarray(self.status == STATUSES.index(status), dtype=np.bool_)

    def by_arm(self, values: Numbers) -> Numbers:
        """Return the sums of one number a trial; NaN adds nothing."""
        known = np.where(np.isfinite(values), values, 0.0)
        sums = np.bincount(self.arm, weights=known, minlength=len(self.arms))
        return sums.astype(np.float64, copy=False)

    def by_task(self, values: Numbers) -> Numbers:
        """Return the sums of one number a trial, (arms, tasks); NaN adds nothing."""
        shape = (len(self.arms), len(self.tasks))
        place = self.arm * shape[1] + self.task
        known = np.where(np.isfinite(values), values, 0.0)
        sums = np.bincount(place, weights=known, minlength=shape[0] * shape[1])
        return sums.astype(np.float64, copy=False).reshape(shape)

    def of_baseline(self, values: Numbers, baseline: str) -> Numbers:
        """Return, for each trial, the baseline's value on the same task and seed; NaN where it has
        none."""
        own = self.arm == self.arms.index(baseline)
        found = np.full(len(self.tasks) * max(1, len(self.seeds)), np.nan)
        found[self.cell[own]] = values[own]
        return found[self.cell]


def frame(trials: Sequence[Trial], arms: Sequence[str] = ()) -> Frame:
    """Return the trials of ``arms`` (empty = all, in the order in which they come) as arrays.

    Raises:
        InvalidInput: an arm has two trials on the same task and seed.
    """
    wanted = frozenset(arms)
    chosen = [trial for trial in trials if trial.arm in wanted] if arms else trials
    # one pass over the objects, the rest over columns
    own = dict(zip(_OWN, zip(*map(_read_own, chosen), strict=True), strict=True)) if chosen else {}
    names: tuple[str, ...] = own.get("arm", ())
    order = _numbered(arms or names)
    tasks = _numbered(own.get("task_id", ()))
    seeds = _numbered(sorted(set(own.get("seed", ()))))
    made = Frame(
        arms=tuple(order),
        tasks=tuple(tasks),
        seeds=tuple(seeds),
        arm=_places(names, order),
        task=_places(own.get("task_id", ()), tasks),
        seed=_places(own.get("seed", ()), seeds),
        status=_places(own.get("status", ()), _numbered(STATUSES)),
        correct=np.array([_CORRECT[outcome] for outcome in own.get("outcome", ())], dtype=float),
        score=np.array(own.get("score", ()), dtype=float),
        labels=np.array(own.get("labels", ()), dtype=float),
        false_progress=np.array(own.get("false_progress", ()), dtype=float),
        facts=_facts(own.get("facts", ())),
    )
    _check_unique(made)
    return made


def _numbered(names: Iterable[Any]) -> dict[Any, int]:
    return {name: n for n, name in enumerate(dict.fromkeys(names))}


def _places(names: Sequence[Any], order: Mapping[Any, int]) -> Index:
    return np.array([order[name] for name in names], dtype=np.int64)


def _facts(given: Sequence[Facts | None]) -> dict[str, Numbers]:
    rows = (_NO_FACTS if facts is None else _read(facts) for facts in given)
    size = len(given) * len(_COUNTED)
    counted = np.fromiter(chain.from_iterable(rows), dtype=np.float64, count=size)
    columns = dict(zip(_COUNTED, counted.reshape(-1, len(_COUNTED)).T, strict=True))
    for name in _UNKNOWABLE:
        values = [getattr(facts, name, None) for facts in given]
        columns[name] = np.array(values, dtype=np.float64)
    return columns


def _check_unique(made: Frame) -> None:
    place = made.arm * len(made.tasks) * max(1, len(made.seeds)) + made.cell
    _, first, count = np.unique(place, return_index=True, return_counts=True)
    if (count > 1).any():
        n = int(first[np.argmax(count > 1)])
        raise InvalidInput(
            f"{made.arms[made.arm[n]]!r} has two trials on task {made.tasks[made.task[n]]!r} "
            f"with seed {made.seeds[made.seed[n]]}.",
            field="trials",
            hint="Give each arm, task and seed once.",
        )
