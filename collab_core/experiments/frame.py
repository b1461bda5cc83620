"""Trials as arrays, so that ten thousands of them are summed at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from collab_core.errors import InvalidInput
from collab_core.experiments.records import Facts, Trial
from collab_core.experiments.resampling import Index, Numbers

Mask = NDArray[np.bool_]

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
)
_UNKNOWABLE = ("cached_tokens", "cost_usd")
_read = attrgetter(*_COUNTED)
_NO_FACTS = (np.nan,) * len(_COUNTED)
_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One entry a trial in every array; unknown numbers are NaN here, and only here."""

    arms: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]
    arm: Index
    task: Index
    seed: Index
    facts: dict[str, Numbers]

    @cached_property
    def finished(self) -> Mask:
        return self.having("finished")

    @cached_property
    def correct(self) -> Numbers:
        """1 correct, 0 incorrect, NaN not scored, whatever the status."""
        value = {"correct": 1.0, "incorrect": 0.0}
        return np.array([value.get(trial.outcome, _NAN) for trial in self.trials])

    @cached_property
    def score(self) -> Numbers:
        return np.array([_NAN if t.score is None else t.score for t in self.trials], dtype=float)

    @cached_property
    def cell(self) -> Index:
        """Number of the trial's (task, seed)."""
        return self.task * max(1, len(self.seeds)) + self.seed

    def having(self, *statuses: str) -> Mask:
        return np.array([trial.status in statuses for trial in self.trials], dtype=bool)

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
    order = {name: n for n, name in enumerate(arms or dict.fromkeys(t.arm for t in trials))}
    chosen = tuple(trial for trial in trials if trial.arm in order) if arms else tuple(trials)
    tasks = {name: n for n, name in enumerate(dict.fromkeys(t.task_id for t in chosen))}
    seeds = {seed: n for n, seed in enumerate(sorted({t.seed for t in chosen}))}
    made = Frame(
        arms=tuple(order),
        tasks=tuple(tasks),
        seeds=tuple(seeds),
        trials=chosen,
        arm=np.array([order[trial.arm] for trial in chosen], dtype=np.int64),
        task=np.array([tasks[trial.task_id] for trial in chosen], dtype=np.int64),
        seed=np.array([seeds[trial.seed] for trial in chosen], dtype=np.int64),
        facts=_facts([trial.facts for trial in chosen]),
    )
    _check_unique(made)
    return made


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
        twice = made.trials[int(first[np.argmax(count > 1)])]
        raise InvalidInput(
            f"{twice.arm!r} has two trials on task {twice.task_id!r} with seed {twice.seed}.",
            field="trials",
            hint="Give each arm, task and seed once.",
        )
