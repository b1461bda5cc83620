"""The task bootstrap: every interval that is not Wilson's, from the same draws of whole tasks.

Trials of one task are not independent (other seeds, other arms), so tasks are drawn, each with all
its trials. All figures here are ratios of sums over tasks, so one matrix product of the draws (how
often each task came) with the sums gives every figure of every sample. The draws depend on the
number of tasks alone: arms are always compared on the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Index = NDArray[np.int64]
Counts = NDArray[np.uint16]

SAMPLES = 2_000
LEVEL = 0.95
SEED = 20_260_328
"""Fixed, so that the same trials always give the same intervals."""
LEAST_TASKS = 5
"""With fewer tasks, resampling them says nothing: no interval is better than a false one."""
_BLOCK = 250
"""Samples drawn at a time, so that many tasks need little memory."""
_KEPT_TASKS = 2_000


def resampled_sums(sums: Numbers, *, samples: int = SAMPLES, seed: int = SEED) -> Numbers:
    """Return the sums over each bootstrap sample's tasks, (figures, samples).

    ``sums``: (figures, tasks), what each task adds.
    """
    found = np.empty((len(sums), samples))
    first = 0
    for block in _blocks(sums.shape[1], samples, seed):
        np.matmul(sums, block.T.astype(np.float64), out=found[:, first : first + len(block)])
        first += len(block)
    return found


def percentiles(resampled: Numbers, *, level: float = LEVEL) -> tuple[Numbers, Numbers]:
    """Return the lower and upper percentile bounds of each figure of (figures, samples).

    Samples in which a figure does not exist (NaN: none of its tasks was drawn) are left out; a
    figure without any is NaN.
    """
    ordered = np.sort(resampled, axis=1)
    last = np.isfinite(ordered).sum(axis=1) - 1
    rows = np.arange(len(ordered))

    def at(share: float) -> Numbers:
        place = np.maximum(share * last, 0.0)
        below = place.astype(np.int64)
        above = np.minimum(below + 1, np.maximum(last, 0))
        lower = ordered[rows, below]
        return np.asarray(lower + (place - below) * (ordered[rows, above] - lower))

    return at((1 - level) / 2), at((1 + level) / 2)


def ratio(above: Numbers, below: Numbers) -> Numbers:
    """Return ``above / below``, NaN where ``below`` is 0."""
    found = np.full(above.shape, np.nan)
    np.divide(above, below, out=found, where=below != 0)
    return found


def distinct(rows: Sequence[Numbers]) -> tuple[Numbers, Index]:
    """Return the rows without repeats, and for each given row its place there."""
    places: dict[bytes, int] = {}
    place = [places.setdefault(row.tobytes(), len(places)) for row in rows]
    firsts = [place.index(n) for n in range(len(places))]
    return np.array([rows[n] for n in firsts]), np.array(place, dtype=np.int64)


def _blocks(tasks: int, samples: int, seed: int) -> Iterator[Counts]:
    draw = _kept_block if tasks <= _KEPT_TASKS else _drawn_block
    for number, first in enumerate(range(0, samples, _BLOCK)):
        yield draw(tasks, seed, number)[: samples - first]


def _drawn_block(tasks: int, seed: int, number: int) -> Counts:
    """Return how often each task came in each of ``_BLOCK`` draws of ``tasks`` tasks."""
    random = np.random.default_rng([seed, tasks, number])
    counts = np.empty((_BLOCK, tasks), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(random.integers(0, tasks, tasks, dtype=np.int32), minlength=tasks)
    return counts


_kept_block = lru_cache(maxsize=2 * SAMPLES // _BLOCK)(_drawn_block)
