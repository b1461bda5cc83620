"""Which differences between arms chance alone would hardly make: paired tests on common tasks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Literal

import msgspec
import numpy as np
from scipy import stats

from collab_core.errors import InvalidInput
from collab_core.experiments.frame import Frame, frame
from collab_core.experiments.records import Trial
from collab_core.experiments.resampling import (
    LEAST_TASKS,
    LEVEL,
    SAMPLES,
    SEED,
    Numbers,
    percentiles,
    ratio,
    resampled_sums,
)
from collab_core.metrics import Interval, wilson

Test = Literal["", "mcnemar_exact", "permutation_exact", "permutation"]
IntervalMethod = Literal["", "newcombe_paired", "paired_bootstrap"]

FLIPS = 9_999
"""Random sign flips of a permutation test: the least p-value is 1e-4."""
EXACT_TASKS = 12
"""Up to so many tasks, all 2^n sign flips are tried."""
MEASURES = ("accuracy", "score", "steps", "latency_s", "cost_usd", "output_tokens")
_FLIPS_AT_ONCE = 500


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """Two arms against each other on the tasks and seeds that both have; None = unknown."""

    arm: str
    other: str
    difference: float | None = None
    """Mean of ``arm`` less mean of ``other``, in the measure's own unit."""
    low: float | None = None
    high: float | None = None
    interval: IntervalMethod = ""
    p: float | None = None
    """Two-sided."""
    p_holm: float | None = None
    """Corrected for all pairs that were tested."""
    test: Test = ""
    pairs: int = 0
    """Trials that both have."""
    tasks: int = 0
    only_arm: int | None = None
    """Pairs that only ``arm`` solved (one seed, right or wrong); None elsewhere."""
    only_other: int | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """All pairs of arms in one measure."""

    measure: str
    effects: tuple[Effect, ...]
    tests: int
    """How many p-values Holm's correction is over."""
    level: float = LEVEL


def compare(
    trials: Sequence[Trial],
    *,
    measure: str = "accuracy",
    arms: Sequence[str] = (),
    level: float = LEVEL,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Return every pair of arms, in the order of ``arms`` (empty = all), tested and corrected.

    Right or wrong under one seed: McNemar's exact test and Newcombe's interval for paired shares.
    Else a sign-flip permutation test and the bootstrap, both by whole tasks.

    Raises:
        InvalidInput: there is no such measure, or an arm has two trials on one task and seed.
    """
    if measure not in MEASURES:
        raise InvalidInput(
            f"{measure[:60]!r} cannot be tested.",
            field="measure",
            hint=f"Choose one of: {', '.join(MEASURES)}.",
        )
    made = frame(trials, arms)
    pairs = list(itertools.combinations(range(len(made.arms)), 2))
    sums, counts, cells = _differences(made, measure, pairs)
    binary = measure == "accuracy"
    flipped = _permutation_p(sums)
    bounds = _bootstrap(sums, counts, level=level, samples=samples, seed=seed)
    effects = []
    for n, (one, two) in enumerate(pairs):
        effect = _effect(made.arms[one], made.arms[two], sums[n], counts[n])
        if binary and counts[n].max(initial=0) == 1:
            effect = _mcnemar(effect, cells[one], cells[two], level=level)
        elif effect.difference is not None:
            effect = _permuted(effect, flipped[n], Interval(bounds[0][n], bounds[1][n]))
        effects.append(effect)
    return Comparison(
        measure=measure,
        effects=_corrected(effects),
        tests=sum(effect.p is not None for effect in effects),
        level=level,
    )


def holm(values: Sequence[float]) -> list[float]:
    """Return Holm's step-down corrected p-values, in the given order.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, largest = [0.0] * len(values), 0.0
    for rank, n in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[n]))
        corrected[n] = largest
    return corrected


def mcnemar(only_one: int, only_two: int) -> float:
    """Return the exact two-sided p-value of McNemar's test from the two discordant counts.

    >>> round(mcnemar(8, 2), 4)
    0.1094
    """
    discordant = only_one + only_two
    return float(stats.binomtest(only_one, discordant).pvalue) if discordant else 1.0


def newcombe_paired(
    both: int, only_one: int, only_two: int, neither: int, *, level: float = LEVEL
) -> Interval:
    """Return the interval of the difference of two paired shares; there is at least one pair.

    Wilson's intervals of the two shares, put together by how much the two go together (phi).

    Source: Newcombe 1998, Statistics in Medicine 17, 2635-2650, method 10.
    """
    n, z = both + only_one + only_two + neither, NormalDist().inv_cdf((1 + level) / 2)
    first, second = both + only_one, both + only_two
    one, two = wilson(first, n, z=z), wilson(second, n, z=z)
    if one is None or two is None:
        raise ValueError("no pairs")
    p, q = first / n, second / n
    phi = _phi(both, only_one, only_two, neither)
    down = _joined(p - one.low, two.high - q, phi)
    up = _joined(one.high - p, q - two.low, phi)
    return Interval(p - q - down, p - q + up)


def _joined(one: float, two: float, phi: float) -> float:
    return math.sqrt(max(0.0, one * one - 2 * phi * one * two + two * two))


def _phi(both: int, only_one: int, only_two: int, neither: int) -> float:
    """Return the correlation of the two, with Newcombe's continuity correction where positive."""
    n = both + only_one + only_two + neither
    margins = (both + only_one) * (only_two + neither) * (both + only_two) * (only_one + neither)
    together = float(both * neither - only_one * only_two)
    if together > 0:
        together = max(together - n / 2, 0.0)
    return together / math.sqrt(margins) if margins else 0.0


def _values(made: Frame, measure: str) -> Numbers:
    """Return the measure of each cell, (arms, tasks x seeds); NaN where there is none."""
    given = {"accuracy": made.correct, "score": made.score}
    values = given[measure] if measure in given else made.facts[measure]
    found = np.full((len(made.arms), len(made.tasks) * max(1, len(made.seeds))), np.nan)
    found[made.arm, made.cell] = np.where(made.finished, values, np.nan)
    return found


def _differences(
    made: Frame, measure: str, pairs: Sequence[tuple[int, int]]
) -> tuple[Numbers, Numbers, Numbers]:
    """Return sums of differences and numbers of pairs, (pairs, tasks), and the cells' values."""
    cells = _values(made, measure)
    shape = (len(pairs), len(made.tasks), max(1, len(made.seeds)))
    first = np.array([one for one, _ in pairs], dtype=np.int64)
    second = np.array([two for _, two in pairs], dtype=np.int64)
    apart = (cells[first] - cells[second]).reshape(shape)
    known = np.isfinite(apart)
    return np.where(known, apart, 0.0).sum(axis=2), known.sum(axis=2).astype(float), cells


def _effect(arm: str, other: str, sums: Numbers, counts: Numbers) -> Effect:
    pairs = int(counts.sum())
    return Effect(
        arm=arm,
        other=other,
        difference=float(sums.sum() / pairs) if pairs else None,
        pairs=pairs,
        tasks=int((counts > 0).sum()),
    )


def _mcnemar(effect: Effect, one: Numbers, two: Numbers, *, level: float) -> Effect:
    both = np.isfinite(one) & np.isfinite(two)
    right, other_right = one[both] > 0, two[both] > 0
    only_arm, only_other = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    together = int((right & other_right).sum())
    rest = effect.pairs - together - only_arm - only_other
    low, high = newcombe_paired(together, only_arm, only_other, rest, level=level)
    return msgspec.structs.replace(
        effect,
        low=low,
        high=high,
        interval="newcombe_paired",
        p=mcnemar(only_arm, only_other),
        test="mcnemar_exact",
        only_arm=only_arm,
        only_other=only_other,
    )


def _permuted(effect: Effect, p: float, bounds: Interval) -> Effect:
    """Add p-value and interval, if there are tasks enough to say anything."""
    if effect.tasks < LEAST_TASKS or not math.isfinite(bounds.low):
        return effect
    return msgspec.structs.replace(
        effect,
        low=float(bounds.low),
        high=float(bounds.high),
        interval="paired_bootstrap",
        p=p,
        test="permutation_exact" if effect.tasks <= EXACT_TASKS else "permutation",
    )


def _bootstrap(
    sums: Numbers, counts: Numbers, *, level: float, samples: int, seed: int
) -> tuple[Numbers, Numbers]:
    if not sums.size:
        nothing = np.full(len(sums), np.nan)
        return nothing, nothing
    resampled = resampled_sums(np.concatenate([sums, counts]), samples=samples, seed=seed)
    half = len(sums)
    return percentiles(ratio(resampled[:half], resampled[half:]), level=level)


def _permutation_p(sums: Numbers) -> list[float]:
    """Return, for each row of (pairs, tasks), how often random signs make a sum as large.

    Under the null hypothesis the two arms of a pair can be exchanged within a task. A task that adds
    nothing changes nothing: rows with few others are tried exactly.
    """
    alike = 1e-9 * np.abs(sums).sum(axis=1)
    observed = np.abs(sums.sum(axis=1)) - alike
    exact = (sums != 0).sum(axis=1) <= EXACT_TASKS
    found = np.ones(len(sums))
    for n in np.flatnonzero(exact):
        own = sums[n][sums[n] != 0]
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(own))))
        found[n] = float((np.abs(signs @ own) >= observed[n]).mean()) if len(own) else 1.0
    if not exact.all():
        rest = ~exact
        larger = np.zeros(int(rest.sum()))
        for signs in _signs(sums.shape[1]):
            larger += (np.abs(sums[rest] @ signs.T) >= observed[rest, None]).sum(axis=1)
        found[rest] = (1 + larger) / (1 + FLIPS)
    return [float(p) for p in found]


def _signs(tasks: int) -> Iterator[Numbers]:
    """Yield ``FLIPS`` rows of random signs, some at a time."""
    random = np.random.default_rng([SEED, tasks])
    for first in range(0, FLIPS, _FLIPS_AT_ONCE):
        rows = min(_FLIPS_AT_ONCE, FLIPS - first)
        drawn = np.frombuffer(random.bytes(rows * -(-tasks // 8)), dtype=np.uint8)
        bits = np.unpackbits(drawn.reshape(rows, -1), axis=1, count=tasks)
        yield 2.0 * bits.astype(np.float64) - 1.0


def _corrected(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    tested = [n for n, effect in enumerate(effects) if effect.p is not None]
    corrected = dict(zip(tested, holm([effects[n].p or 0.0 for n in tested]), strict=True))
    return tuple(
        msgspec.structs.replace(effect, p_holm=corrected.get(n)) for n, effect in enumerate(effects)
    )
