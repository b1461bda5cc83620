"""Thresholds of a cascade under a budget: FrugalGPT's search.

Source: FrugalGPT (arXiv 2305.05176) section 3 and its code: a grid of quantiles, then Nelder-Mead,
maximising accuracy under mean cost <= budget. Ours keeps the ladder's order instead of enumerating
permutations: a ladder *is* an order.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

GRID = 40
MAX_COMBINATIONS = 64_000
_PENALTY = 10.0


class Cascade(NamedTuple):
    """Queries that every tier has answered: arrays of shape (queries, tiers)."""

    scores: Numbers
    """(queries, tiers - 1): the scorer's word on each tier's answer but the top's."""
    correct: Numbers
    cost: Numbers
    """Of each tier's own answer; a query that climbs pays for all it has seen."""


class Outcome(NamedTuple):
    """What thresholds do to a set of queries."""

    accuracy: float
    mean_cost: float
    large_share: float
    """Queries that reach the top tier."""


def accepted_at(scores: Numbers, thresholds: Numbers) -> NDArray[np.int64]:
    """Return the tier whose answer stands: the first with ``score > threshold``, else the top.

    >>> accepted_at(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.1]]), np.array([0.5, 0.5])).tolist()
    [0, 1, 2]
    """
    passed = np.concatenate([scores > thresholds, np.ones((len(scores), 1), dtype=bool)], axis=1)
    return np.asarray(passed.argmax(axis=1))


def run_cascade(cascade: Cascade, thresholds: Numbers) -> Outcome:
    """Return accuracy, mean cost and the share of queries that reach the top tier."""
    at = accepted_at(cascade.scores, thresholds)
    rows = np.arange(len(at))
    spent = np.cumsum(cascade.cost, axis=1)[rows, at]
    top = cascade.cost.shape[1] - 1
    return Outcome(
        float(cascade.correct[rows, at].mean()), float(spent.mean()), float((at == top).mean())
    )


def search(cascade: Cascade, *, budget: float) -> Numbers | None:
    """Return the thresholds of highest accuracy with mean cost <= ``budget``; the cheaper of equals.

    None = not even accepting every first answer is cheap enough.
    """
    # takes a second to import: only who trains pays
    from scipy.optimize import minimize  # noqa: PLC0415

    axes = cascade.scores.shape[1]
    points = max(2, min(GRID, int(MAX_COMBINATIONS ** (1 / max(1, axes)))))
    grid = np.linspace(0.0, 1.0, points)
    best: tuple[tuple[float, float], tuple[float, ...]] | None = None
    for quantiles in product(grid, repeat=axes):
        found = _rated(cascade, quantiles, budget)
        if found is not None and (best is None or found > best[0]):
            best = (found, quantiles)
    if best is None:
        return None
    refined = minimize(
        _objective,
        np.array(best[1]),
        args=(cascade, budget),
        method="Nelder-Mead",
        options={"maxiter": 200, "initial_simplex": _simplex(np.array(best[1]), 1.0 / points)},
    )
    better = _rated(cascade, tuple(np.clip(refined.x, 0.0, 1.0)), budget)
    if better is not None and better > best[0]:
        best = (better, tuple(np.clip(refined.x, 0.0, 1.0)))
    return _between(cascade.scores, thresholds_at(cascade.scores, best[1]))


def thresholds_at(scores: Numbers, quantiles: tuple[float, ...]) -> Numbers:
    """Return each tier's threshold at a quantile of its own scores; quantile 0 accepts everything."""
    return np.array(
        [
            np.quantile(column, q) if q > 0 else np.nextafter(column.min(), -np.inf)
            for column, q in zip(scores.T, quantiles, strict=True)
        ]
    )


def _between(scores: Numbers, thresholds: Numbers) -> Numbers:
    """Move each threshold half-way to the next score: the same decisions here, surer elsewhere.

    >>> _between(np.array([[0.2], [0.4], [0.8]]), np.array([0.4])).round(3).tolist()
    [0.6]
    """
    moved = []
    for column, threshold in zip(scores.T, thresholds, strict=True):
        below, above = column[column <= threshold], column[column > threshold]
        inside = len(below) and len(above)
        moved.append((below.max() + above.min()) / 2 if inside else threshold)
    return np.array(moved)


def _rated(
    cascade: Cascade, quantiles: tuple[float, ...], budget: float
) -> tuple[float, float] | None:
    outcome = run_cascade(cascade, thresholds_at(cascade.scores, quantiles))
    if outcome.mean_cost > budget:
        return None
    return outcome.accuracy, -outcome.mean_cost


def _objective(quantiles: Numbers, cascade: Cascade, budget: float) -> float:
    outside = float(np.sum(np.maximum(0.0, -quantiles) + np.maximum(0.0, quantiles - 1.0)))
    inside = tuple(np.clip(quantiles, 0.0, 1.0))
    outcome = run_cascade(cascade, thresholds_at(cascade.scores, inside))
    over = max(0.0, outcome.mean_cost / budget - 1.0) if budget > 0 else 0.0
    return -outcome.accuracy + _PENALTY * (over + outside)


def _simplex(start: Numbers, edge: float) -> Numbers:
    corners = [start]
    for axis in range(len(start)):
        corner = start.copy()
        corner[axis] += edge if corner[axis] + edge <= 1.0 else -edge
        corners.append(corner)
    return np.array(corners)
