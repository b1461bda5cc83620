"""Figures of a held-out report, and tables from a threshold to the share of large steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from collab_core.learned.store import CalibrationPoint, Figure
from collab_core.metrics import wilson

Numbers = NDArray[np.float64]

BOOTSTRAP_SAMPLES = 300
LEAST_TASKS = 5
"""With fewer held-out tasks, resampling them says nothing: no interval is better than a false one."""
NOT_INDEPENDENT = (
    "Intervals of auc, brier and ece resample whole tasks; with fewer than 5 held-out tasks there is "
    "none. Wilson's interval of accuracy takes steps "
    "as independent, which steps of one run are not: it is too narrow."
)


def auc(scores: Numbers, targets: Numbers) -> float | None:
    """Return the area under the ROC curve; None unless both classes are there (0.5 = a tie, left out).

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    sure = targets != 0.5
    classes = targets[sure] > 0.5
    if not classes.any() or classes.all():
        return None
    # takes a second to import: only who trains pays
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    return float(roc_auc_score(classes, scores[sure]))


def brier(scores: Numbers, targets: Numbers) -> float | None:
    """Return the mean squared distance of probability and outcome.

    >>> round(brier(np.array([0.9, 0.2]), np.array([1.0, 0.0])), 3)
    0.025
    """
    return float(np.mean((scores - targets) ** 2)) if len(scores) else None


def expected_calibration_error(
    scores: Numbers, targets: Numbers, *, bins: int = 10
) -> float | None:
    """Return the mean distance of confidence and frequency over ``bins`` bins of equal width.

    >>> round(expected_calibration_error(np.array([0.95, 0.85, 0.15]), np.array([1.0, 0.0, 0.0])), 4)
    0.35
    """
    if not len(scores):
        return None
    bin_of = np.minimum((np.clip(scores, 0.0, 1.0) * bins).astype(int), bins - 1)
    gaps = [
        abs(scores[bin_of == b].mean() - targets[bin_of == b].mean()) * (bin_of == b).sum()
        for b in range(bins)
        if (bin_of == b).any()
    ]
    return float(sum(gaps) / len(scores))


def held_out_report(
    scores: Numbers, targets: Numbers, groups: Sequence[str], *, seed: int
) -> dict[str, Figure]:
    """Return the figures of one held-out split; ``groups`` are the examples' tasks."""
    n = len(scores)
    sure = targets != 0.5
    right = int(((scores > 0.5) == (targets > 0.5))[sure].sum())
    trials = int(sure.sum())
    interval = wilson(right, trials)
    measures: dict[str, Callable[[Numbers, Numbers], float | None]] = {
        "auc": auc,
        "brier": brier,
        "ece": expected_calibration_error,
    }
    figures = {
        name: _with_interval(measure, scores, targets, groups, seed)
        for name, measure in measures.items()
    }
    figures["accuracy"] = Figure(
        value=right / trials if trials else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=trials,
    )
    positives = float(np.mean(targets)) if n else None
    figures["base_rate"] = Figure(value=positives, n=n)
    figures["held_out_tasks"] = Figure(value=float(len(set(groups))), n=n)
    return figures


def large_when_at_least(scores: Numbers) -> tuple[CalibrationPoint, ...]:
    """Return threshold -> share of steps with ``score >= threshold``, for shares 0, 1 %, 2 % … 100 %.

    Source: RouteLLM's calibration (the (1 - share) quantile of stored scores); the share stored is
    the one that the threshold really gives, which differs where scores are equal.

    >>> [p.large_share for p in large_when_at_least(np.array([0.1, 0.2, 0.3, 0.4]))][::2]
    [0.0, 0.5, 1.0]
    """
    if not len(scores):
        return ()
    quantiles = np.quantile(scores, 1.0 - np.linspace(0.0, 1.0, 101), method="higher")
    thresholds = [float(np.nextafter(scores.max(), np.inf)), *map(float, quantiles)]
    return _points({t: float(np.mean(scores >= t)) for t in thresholds})


def large_when_at_most(scores: Numbers) -> tuple[CalibrationPoint, ...]:
    """Return threshold -> share of steps with ``score <= threshold``, for shares 0, 1 %, 2 % … 100 %.

    >>> [p.large_share for p in large_when_at_most(np.array([0.1, 0.2, 0.3, 0.4]))][::2]
    [0.0, 0.5, 1.0]
    """
    if not len(scores):
        return ()
    quantiles = np.quantile(scores, np.linspace(0.0, 1.0, 101), method="lower")
    thresholds = [float(np.nextafter(scores.min(), -np.inf)), *map(float, quantiles)]
    return _points({t: float(np.mean(scores <= t)) for t in thresholds})


def _points(shares: dict[float, float]) -> tuple[CalibrationPoint, ...]:
    ordered = sorted(shares.items(), key=lambda pair: (pair[1], pair[0]))
    return tuple(CalibrationPoint(threshold=t, large_share=share) for t, share in ordered)


def _with_interval(
    measure: Callable[[Numbers, Numbers], float | None],
    scores: Numbers,
    targets: Numbers,
    groups: Sequence[str],
    seed: int,
) -> Figure:
    value = measure(scores, targets)
    names = sorted(set(groups))
    if value is None or len(names) < LEAST_TASKS:
        return Figure(value=value, n=len(scores))
    rows = {name: np.flatnonzero(np.array([g == name for g in groups])) for name in names}
    random = np.random.default_rng(seed)
    found: list[float] = []
    for _ in range(BOOTSTRAP_SAMPLES):
        picked = np.concatenate(
            [rows[names[i]] for i in random.integers(0, len(names), len(names))]
        )
        again = measure(scores[picked], targets[picked])
        if again is not None:
            found.append(again)
    if not found:
        return Figure(value=value, n=len(scores))
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(value=value, low=float(low), high=float(high), n=len(scores))
