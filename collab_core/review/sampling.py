"""Draws of steps to label, each with its exact probability of being drawn.

Rates made of the labels weigh every label with one over that probability (``review/rates.py``), so a
draw may favour what is interesting and still say the truth of the whole, as long as no probability
is 0. All draws are without replacement, and their order is random: whoever stops half way has
labelled a fair part of the draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collab_core.errors import InvalidInput

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Allocation = Literal["equal", "proportional"]

EVEN_SHARE = 1.0
"""Added to every suspicion score, so that a step without any is drawn too."""


class Drawn(NamedTuple):
    """Positions drawn, in random order, and the probability that each had."""

    places: Places
    probability: Numbers


def draw_random(count: int, size: int, *, seed: int) -> Drawn:
    """Draw ``size`` of ``count`` items, each with probability size / count.

    Raises:
        InvalidInput: ``size`` is below 1 or there is nothing to draw from.
    """
    size = _checked(count, size)
    index = np.random.default_rng(seed).permutation(count)[:size]
    return Drawn(index.astype(np.int64), np.full(size, size / count))


def draw_stratified(
    strata: Sequence[str], size: int, *, seed: int, allocation: Allocation = "equal"
) -> Drawn:
    """Draw from every stratum: the same number (``equal``) or a number after its size.

    Every stratum gives at least one item. The probability is the share of its stratum that is drawn.

    Raises:
        InvalidInput: ``size`` is below 1 or below the number of strata, or there is nothing to draw
            from.
    """
    size = _checked(len(strata), size)
    names, of_item, sizes = np.unique(
        np.asarray(strata, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    if len(names) > size:
        raise InvalidInput(
            f"There are {len(names)} strata, more than the {size} steps to draw.",
            field="size",
            hint="Draw more, or stratify by fewer things.",
        )
    wanted = _allocate(sizes, size, equal=allocation == "equal")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(strata))
    # a stable sort of a shuffled list is a shuffle within each stratum
    by_stratum = order[np.argsort(of_item[order], kind="stable")]
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    index = np.concatenate(
        [by_stratum[starts[h] : starts[h] + wanted[h]] for h in range(len(names))]
    )
    index = rng.permutation(index)
    return Drawn(index, (wanted / sizes)[of_item[index]])


def draw_suspicious(scores: Sequence[float], size: int, *, seed: int) -> Drawn:
    """Draw items with probability proportional to suspicion + 1; what is certain to be drawn is.

    Source: randomised systematic sampling with unequal probabilities (Goodman and Kish 1950): items
    in random order on a line, each as long as its probability; one random start, then every 1.0. The
    inclusion probabilities are exactly the lengths.

    Raises:
        InvalidInput: a score is negative or no number, ``size`` is below 1, or there are none.
    """
    size = _checked(len(scores), size)
    sizes = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(sizes).all() or (sizes < 0).any():
        raise InvalidInput("Suspicion scores must be numbers from 0.", field="scores")
    probability = inclusion_probabilities(sizes + EVEN_SHARE, size)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(sizes))
    ends = np.cumsum(probability[order])
    # the sum is ``size`` but for rounding; at the end of the line stands exactly that
    ends *= size / ends[-1]
    places = np.searchsorted(ends, rng.random() + np.arange(size), side="right")
    index = rng.permutation(order[np.minimum(places, len(sizes) - 1)])
    return Drawn(index, probability[index])


def inclusion_probabilities(sizes: Numbers, count: int) -> Numbers:
    """Return probabilities proportional to ``sizes``, none over 1, that sum to ``count``.

    >>> inclusion_probabilities(np.array([1.0, 1.0, 2.0]), 2).tolist()
    [0.5, 0.5, 1.0]
    >>> inclusion_probabilities(np.array([1.0, 1.0, 8.0]), 2).tolist()
    [0.5, 0.5, 1.0]
    """
    certain = np.zeros(len(sizes), dtype=bool)
    while True:
        left = count - int(certain.sum())
        rest = float(sizes[~certain].sum())
        probability = np.ones(len(sizes))
        probability[~certain] = left * sizes[~certain] / rest
        over = probability > 1.0
        if not over.any():
            return np.minimum(probability, 1.0)
        certain |= over


def _allocate(sizes: Places, size: int, *, equal: bool) -> Places:
    """Return how many to draw from each stratum: at least one, at most all of it."""
    ideal = inclusion_probabilities(np.ones(len(sizes)) if equal else sizes.astype(np.float64), 1)
    wanted = np.maximum(1, np.minimum(sizes, np.floor(size * ideal).astype(np.int64)))
    while wanted.sum() < size and (wanted < sizes).any():
        open_ones = np.flatnonzero(wanted < sizes)
        short = (size * ideal - wanted)[open_ones] if not equal else -wanted[open_ones]
        wanted[open_ones[int(np.argmax(short))]] += 1
    return np.asarray(wanted, dtype=np.int64)


def _checked(count: int, size: int) -> int:
    if count < 1:
        raise InvalidInput("There is no step to draw from.", field="size")
    if size < 1:
        raise InvalidInput("Draw at least one step.", field="size")
    return min(size, count)
