"""Trials to a table: one row an arm, every figure with its interval and the name of its method.

The formulas are in ``columns.py``, the intervals in ``resampling.py``; docs/experiments-figures.md
has both in words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from collab_core.errors import InvalidInput
from collab_core.experiments.columns import COLUMNS, MAKERS, REFUSES, Terms
from collab_core.experiments.frame import STATUSES, Frame, frame
from collab_core.experiments.records import Trial
from collab_core.experiments.resampling import (
    LEAST_TASKS,
    LEVEL,
    SAMPLES,
    SEED,
    Numbers,
    distinct,
    percentiles,
    ratio,
    resampled_sums,
)
from collab_core.metrics import Interval, wilson

Method = Literal["", "wilson", "wilson_by_task", "bootstrap", "paired_bootstrap", "definition"]
"""How an interval was made. wilson_by_task: with the number of tasks as the sample size. paired: both
sides of the ratio from the same draws. definition: the baseline's own speedup. "" = no interval."""

PROPORTIONS = ("accuracy", "accuracy_all", "false_progress")
"""Columns that count events which could go either way: their share keeps an interval at 0 and 1."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its interval; None = unknown, of the bounds: there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    """Trials that the figure counts; of ``false_progress`` the labelled steps."""
    tasks: int = 0
    """Tasks among them: what was resampled."""
    method: Method = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One arm. ``figures`` are by the names in ``COLUMNS``; absent = nobody measured it."""

    arm: str
    figures: dict[str, Measured] = {}
    is_baseline: bool = False
    trials: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    open: int = 0
    """Pending or running."""
    missing_tasks: int = 0
    """Tasks of the table without a finished trial of this arm."""
    correct: int = 0
    scored: int = 0
    unscored: int = 0
    """Finished, but nobody could say whether it is right."""
    spent_usd: float | None = None
    """Of all ended trials, failed and cancelled ones too; None = unknown for at least one."""
    spent_s: float = 0.0
    """Sum of their latencies."""
    simulated: bool = False
    stand_in: bool = False
    published: bool = False
    """Copied from a paper, not measured here; ``source`` says from where."""
    source: str = ""
    second_hand: tuple[str, ...] = ()
    """Figures that come from a published summary, not from the paper itself."""

    def figure(self, name: str) -> Measured:
        """Return the figure of a column, empty if nobody measured it."""
        return self.figures.get(name, Measured())


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment shows."""

    rows: tuple[Row, ...]
    columns: tuple[str, ...] = ()
    """Those in which at least one row has a value, in the order of ``COLUMNS``."""
    baseline: str = ""
    tasks: int = 0
    seeds: int = 0
    level: float = LEVEL
    samples: int = SAMPLES
    simulated: bool = False
    stand_in: bool = False
    notes: tuple[str, ...] = ()
    """What a reader must know: whole sentences."""


def table(
    trials: Sequence[Trial],
    *,
    arms: Sequence[str] = (),
    baseline: str = "",
    level: float = LEVEL,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> Table:
    """Return the table of ``arms`` (empty = all), in their order; ``baseline`` "" = no speedups.

    Raises:
        InvalidInput: the baseline is no arm, or an arm has two trials on one task and seed.
    """
    made = frame(trials, arms)
    if baseline and baseline not in made.arms:
        raise InvalidInput(
            f"The baseline {baseline!r} is not among the arms.",
            field="baseline",
            hint=f"Choose one of: {', '.join(made.arms) or 'none, there are no trials'}.",
        )
    figures = _Figures(made, baseline, level=level, samples=samples, seed=seed)
    rows = _rows(made, figures, baseline)
    return Table(
        rows=rows,
        columns=tuple(c for c in COLUMNS if any(row.figure(c).value is not None for row in rows)),
        baseline=baseline,
        tasks=len(made.tasks),
        seeds=len(made.seeds),
        level=level,
        samples=samples,
        simulated=any(row.simulated for row in rows),
        stand_in=any(row.stand_in for row in rows),
        notes=_notes(rows, baseline),
    )


class _Figures:
    """All figures of all arms at once: arrays are (columns, arms)."""

    def __init__(
        self, made: Frame, baseline: str, *, level: float, samples: int, seed: int
    ) -> None:
        self._arms, self._baseline, self._level = made.arms, baseline, level
        terms = [maker(made, baseline) for maker in MAKERS.values()]
        above = np.array([made.by_task(term.above) for term in terms])
        below = np.array([made.by_task(term.below) for term in terms])
        counts = np.array([made.by_task(_counts(term)) for term in terms])
        self._above, self._below = above.sum(axis=2), below.sum(axis=2)
        self._values = ratio(self._above, self._below)
        self._n = counts.sum(axis=2).astype(int)
        self._tasks = (counts > 0).sum(axis=2)
        self._seeds = counts.max(axis=2, initial=0)
        self._low, self._high = _bootstrap(above, below, level=level, samples=samples, seed=seed)
        for n, name in enumerate(COLUMNS):
            if name in REFUSES:
                self._values[
                    n, self._n[n] < made.by_task(made.finished.astype(np.float64)).sum(axis=1)
                ] = np.nan

    def of_arm(self, arm: int) -> dict[str, Measured]:
        return {name: self._measured(n, arm, name) for n, name in enumerate(COLUMNS)}

    def _measured(self, column: int, arm: int, name: str) -> Measured:
        value, place = float(self._values[column, arm]), (column, arm)
        n = int(self._below[place] if name in PROPORTIONS else self._n[place])
        if not math.isfinite(value):
            return Measured(n=n, tasks=int(self._tasks[place]))
        interval, method = self._interval(place, name, value)
        return Measured(
            value=value,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=n,
            tasks=int(self._tasks[place]),
            method=method,
        )

    def _interval(
        self, place: tuple[int, int], name: str, value: float
    ) -> tuple[Interval | None, Method]:
        tasks = int(self._tasks[place])
        z = NormalDist().inv_cdf((1 + self._level) / 2)
        if name == "speedup" and self._arms[place[1]] == self._baseline:
            return None, "definition"
        if name in PROPORTIONS:
            if name != "false_progress" and self._seeds[place] <= 1:
                return wilson(int(self._above[place]), int(self._below[place]), z=z), "wilson"
            if tasks < LEAST_TASKS or value in {0.0, 1.0}:
                return wilson(value * tasks, tasks, z=z), "wilson_by_task"
        if tasks < LEAST_TASKS or not math.isfinite(self._low[place]):
            return None, ""
        # rounding must not push a bound past the figure itself where all tasks are alike
        around = Interval(min(value, float(self._low[place])), max(value, float(self._high[place])))
        return around, "paired_bootstrap" if name == "speedup" else "bootstrap"


def with_retried(made: Table, retried: Mapping[str, int]) -> Table:
    """Return the table with a note of each arm of which so many ended runs were tried again: its
    trials are the last tries alone."""
    notes = tuple(
        f"{row.arm}: {retried[row.arm]} failed or stopped runs were tried again; what they spent is not "
        "in its row."
        for row in made.rows
        if retried.get(row.arm)
    )
    return msgspec.structs.replace(made, notes=made.notes + notes)


def _counts(term: Terms) -> Numbers:
    return np.isfinite(term.below).astype(np.float64)


def _bootstrap(
    above: Numbers, below: Numbers, *, level: float, samples: int, seed: int
) -> tuple[Numbers, Numbers]:
    """Return the bounds of every ratio, (columns, arms), from sums by (columns, arms, tasks)."""
    shape, tasks = above.shape[:2], above.shape[2]
    if tasks < LEAST_TASKS:
        return np.full(shape, np.nan), np.full(shape, np.nan)
    # many ratios share a denominator, and most tables have empty columns: each sum only once
    sums, place = distinct([*above.reshape(-1, tasks), *below.reshape(-1, tasks)])
    resampled = resampled_sums(sums, samples=samples, seed=seed)
    half = len(place) // 2
    ratios = ratio(resampled[place[:half]], resampled[place[half:]])
    low, high = percentiles(ratios, level=level)
    return low.reshape(shape), high.reshape(shape)


def _rows(made: Frame, figures: _Figures, baseline: str) -> tuple[Row, ...]:
    """Return the rows; everything is counted for all arms at once."""
    known, cost = made.known, made.facts["cost_usd"]

    def count(which: NDArray[np.bool_]) -> list[int]:
        return [int(n) for n in made.by_arm(which.astype(np.float64))]

    by_status = {status: count(made.having(status)) for status in STATUSES}
    with_run = made.by_task(made.finished.astype(np.float64)) > 0
    correct = count(made.finished & (made.correct == 1))
    scored = count(made.finished & np.isfinite(made.correct))
    unpriced = count(known & ~np.isfinite(cost))
    spent_usd, spent_s = made.by_arm(cost), made.by_arm(made.facts["latency_s"])
    simulated = count(made.facts["simulated"] == 1)
    stand_in = count(made.facts["stand_in"] == 1)
    return tuple(
        Row(
            arm=arm,
            figures=figures.of_arm(n),
            is_baseline=arm == baseline,
            trials=sum(counts[n] for counts in by_status.values()),
            finished=by_status["finished"][n],
            failed=by_status["failed"][n],
            cancelled=by_status["cancelled"][n],
            open=by_status["pending"][n] + by_status["running"][n],
            missing_tasks=len(made.tasks) - int(with_run[n].sum()),
            correct=correct[n],
            scored=scored[n],
            unscored=by_status["finished"][n] - scored[n],
            spent_usd=None if unpriced[n] else float(spent_usd[n]),
            spent_s=float(spent_s[n]),
            simulated=simulated[n] > 0,
            stand_in=stand_in[n] > 0,
        )
        for n, arm in enumerate(made.arms)
    )


def _notes(rows: Sequence[Row], baseline: str) -> tuple[str, ...]:
    notes: list[str] = []
    for row in rows:
        if row.unscored and row.scored:
            unscored = (
                "1 unscored run is" if row.unscored == 1 else f"{row.unscored} unscored runs are"
            )
            notes.append(f"{row.arm}: {unscored} not in its accuracy.")
        if row.failed:
            failed = "1 failed run is" if row.failed == 1 else f"{row.failed} failed runs are"
            notes.append(
                f"{row.arm}: {failed} not in its accuracy; the column with failed ones counts "
                f"{'it' if row.failed == 1 else 'them'} as wrong."
            )
        if row.missing_tasks:
            tasks = "1 task has" if row.missing_tasks == 1 else f"{row.missing_tasks} tasks have"
            notes.append(f"{row.arm}: {tasks} no finished run.")
        cost = row.figure("cost_usd")
        if row.finished and cost.value is None:
            unknown = row.finished - cost.n
            runs = "1 run" if unknown == 1 else f"{unknown} runs"
            notes.append(f"{row.arm}: the cost of {runs} is unknown.")
        pairs = row.figure("speedup").n
        if baseline and pairs < row.finished:
            notes.append(
                f"{row.arm}: its speedup is over the {pairs} of {row.finished} runs that "
                f"{baseline} finished too."
            )
    return tuple(notes)
