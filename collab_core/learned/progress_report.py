"""What a model of P(progress) is worth on labelled steps that it has not learned from.

All figures weigh each step with one over its probability of being drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from collab_core.learned.evaluation import BOOTSTRAP_SAMPLES, LEAST_TASKS
from collab_core.learned.progress_model import FEATURES, ProgressModel
from collab_core.learned.store import CalibrationPoint, Figure, Table

Numbers = NDArray[np.float64]

BINS = 10
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Labelled steps and what was said of them."""

    probability: Numbers
    """P(progress) by a model that did not learn from the step's group."""
    progress: Numbers
    """1 = a person says so, 0 = no."""
    weights: Numbers
    verdicts: Numbers
    """1 or 0; NaN = no usable one."""
    groups: Sequence[str]

    @property
    def said(self) -> Numbers:
        """The agent's verdict; no usable one counts as progress, as it does live by default."""
        return np.where(self.verdicts == 0, 0.0, 1.0)

    @property
    def false_progress(self) -> NDArray[np.bool_]:
        return np.asarray((self.verdicts == 1) & (self.progress < 0.5))

    @property
    def missed_progress(self) -> NDArray[np.bool_]:
        return np.asarray((self.verdicts == 0) & (self.progress > 0.5))

    def only(self, chosen: NDArray[np.bool_]) -> Judged:
        """Return some of the steps."""
        return replace(
            self,
            probability=self.probability[chosen],
            progress=self.progress[chosen],
            weights=self.weights[chosen],
            verdicts=self.verdicts[chosen],
            groups=[group for group, kept in zip(self.groups, chosen, strict=True) if kept],
        )

    def reweighted(self, often: Numbers) -> Judged:
        """Return the same steps, each as often as told."""
        return replace(self, weights=self.weights * often)


def weighted_auc(scores: Numbers, positive: Numbers, weights: Numbers) -> float | None:
    """Return the area under the ROC curve; None unless there are both kinds.

    >>> weighted_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0, 1, 1]), np.ones(4))
    0.75
    """
    _, place = np.unique(scores, return_inverse=True)
    yes = np.bincount(place, weights * positive)
    no = np.bincount(place, weights * (1.0 - positive))
    pairs = yes.sum() * no.sum()
    if not pairs > 0:
        return None
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / pairs)


def weighted_brier(scores: Numbers, positive: Numbers, weights: Numbers) -> float:
    """Return the mean squared distance of probability and answer.

    >>> round(weighted_brier(np.array([0.9, 0.2]), np.array([1.0, 0.0]), np.array([1.0, 3.0])), 4)
    0.0325
    """
    return float(np.average((scores - positive) ** 2, weights=weights))


def weighted_ece(scores: Numbers, positive: Numbers, weights: Numbers) -> float:
    """Return the mean distance of probability and frequency over ten bins of equal width."""
    gaps = [
        abs(float(np.average(scores[here] - positive[here], weights=weights[here])))
        * weights[here].sum()
        for here in _bins(scores)
        if weights[here].sum() > 0
    ]
    return float(sum(gaps) / weights.sum())


def figures(judged: Judged, *, seed: int) -> dict[str, Figure]:
    """Return the report; ``verdict_`` figures are those of the agent's bare word on the same steps."""

    def auc_among_progress(one: Judged) -> float | None:
        said = one.verdicts == 1
        return weighted_auc(one.probability[said], one.progress[said], one.weights[said])

    measures: dict[str, Callable[[Judged], float | None]] = {
        "auc": lambda one: weighted_auc(one.probability, one.progress, one.weights),
        "verdict_auc": lambda one: weighted_auc(one.said, one.progress, one.weights),
        "auc_among_progress_verdicts": auc_among_progress,
        "brier": lambda one: weighted_brier(one.probability, one.progress, one.weights),
        "verdict_brier": lambda one: weighted_brier(_frequency(one), one.progress, one.weights),
        "ece": lambda one: weighted_ece(one.probability, one.progress, one.weights),
        "base_rate": lambda one: float(np.average(one.progress, weights=one.weights)),
    }
    found = {name: _with_interval(measure, judged, seed) for name, measure in measures.items()}
    count = len(judged.progress)
    found["held_out_tasks"] = Figure(value=float(len(set(judged.groups))), n=count)
    found["false_progress_labels"] = Figure(value=float(judged.false_progress.sum()), n=count)
    found["missed_progress_labels"] = Figure(value=float(judged.missed_progress.sum()), n=count)
    return found


def points(judged: Judged) -> tuple[CalibrationPoint, ...]:
    """Return threshold -> share of steps whose P(progress) is under it."""
    thresholds = (0.0, *THRESHOLDS, 1.0)
    shares = [_share(judged.probability < t, judged.weights) or 0.0 for t in thresholds]
    return tuple(
        CalibrationPoint(threshold=t, large_share=share)
        for t, share in zip(thresholds, shares, strict=True)
    )


def as_often_threshold(judged: Judged) -> float:
    """Return the threshold under which as large a share of steps lies as the agent called stalls.

    >>> steps = Judged(probability=np.array([0.2, 0.9, 0.4, 0.8]), progress=np.zeros(4),
    ...                weights=np.ones(4), verdicts=np.array([1.0, 0.0, 1.0, 1.0]), groups=list("abcd"))
    >>> round(as_often_threshold(steps), 6)
    0.3
    """
    stalls = float(judged.weights[judged.said < 0.5].sum())
    order = np.argsort(judged.probability, kind="stable")
    below = np.concatenate(([0.0], np.cumsum(judged.weights[order])))
    cut = int(np.argmin(np.abs(below - stalls)))
    edges = np.concatenate(([0.0], judged.probability[order], [1.0]))
    return float((edges[cut] + edges[cut + 1]) / 2)


def tables(judged: Judged, heard: Judged, model: ProgressModel) -> dict[str, Table]:
    """Return coefficients, reliability, and thresholds over ``heard``, the steps that would count."""
    return {
        "Coefficients": _coefficients(model),
        "Reliability": _reliability(judged),
        "Thresholds": _thresholds(heard),
    }


def _coefficients(model: ProgressModel) -> Table:
    """Return the features that say something, strongest first; effects are on the odds of progress."""
    order = np.argsort(-np.abs(model.weights))
    rows = []
    for place in order:
        weight, scale = float(model.weights[place]), float(model.scales[place])
        if not scale or not weight:
            continue
        does = "raises" if weight > 0 else "lowers"
        words = f"{FEATURES[place].words} {does} P(progress)"
        rows.append((words, round(weight, 3), round(float(np.exp(weight)), 3)))
    return Table(
        columns=("what it says", "weight", "odds per standard deviation"), rows=tuple(rows)
    )


def _reliability(judged: Judged) -> Table:
    rows = []
    for place, here in enumerate(_bins(judged.probability)):
        if here.any():
            weights = judged.weights[here]
            rows.append(
                (
                    f"{place / BINS:.1f} to {(place + 1) / BINS:.1f}",
                    round(float(np.average(judged.probability[here], weights=weights)), 3),
                    round(float(np.average(judged.progress[here], weights=weights)), 3),
                    int(here.sum()),
                )
            )
    return Table(
        columns=("P(progress)", "mean prediction", "share that made progress", "labels"),
        rows=tuple(rows),
    )


def _thresholds(judged: Judged) -> Table:
    """Return what each threshold would have done on the labelled steps, the agent's own word first."""
    chosen = {"the agent's verdict": judged.said < 0.5}
    often = as_often_threshold(judged)
    chosen |= {f"under {t:.2f}": judged.probability < t for t in THRESHOLDS}
    chosen[f"under {often:.3f}, as often as the agent"] = judged.probability < often
    made = judged.progress > 0.5
    rows = []
    for words, stalls in chosen.items():
        shares = (
            _share(stalls, judged.weights),
            _share(stalls[judged.false_progress], judged.weights[judged.false_progress]),
            _share(~stalls[judged.missed_progress], judged.weights[judged.missed_progress]),
            _share(stalls[made], judged.weights[made]),
        )
        rows.append((words, *(None if share is None else round(share, 3) for share in shares)))
    return Table(
        columns=(
            "counts as a stall",
            "share of steps",
            "false progress caught",
            "missed progress put right",
            "of the steps with progress, called stalls",
        ),
        rows=tuple(rows),
    )


def _frequency(judged: Judged) -> Numbers:
    """Return, for each step, the share of progress among steps with the same verdict."""
    said, out = judged.said, np.zeros(len(judged.progress))
    for value in (0.0, 1.0):
        here = said == value
        if judged.weights[here].sum() > 0:
            out[here] = np.average(judged.progress[here], weights=judged.weights[here])
    return out


def _bins(scores: Numbers) -> list[NDArray[np.bool_]]:
    bin_of = np.minimum((np.clip(scores, 0.0, 1.0) * BINS).astype(int), BINS - 1)
    return [bin_of == place for place in range(BINS)]


def _share(chosen: NDArray[np.bool_], weights: Numbers) -> float | None:
    return float(np.average(chosen, weights=weights)) if len(chosen) else None


def _with_interval(measure: Callable[[Judged], float | None], judged: Judged, seed: int) -> Figure:
    value, count = measure(judged), len(judged.progress)
    names = sorted(set(judged.groups))
    if value is None or len(names) < LEAST_TASKS:
        return Figure(value=value, n=count)
    of_group = np.searchsorted(names, judged.groups)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(BOOTSTRAP_SAMPLES):
        # a resample of groups: some come twice, some not at all
        often = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        again = measure(judged.reweighted(often[of_group].astype(np.float64)))
        if again is not None:
            found.append(again)
    if not found:
        return Figure(value=value, n=count)
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(value=value, low=float(low), high=float(high), n=count)
