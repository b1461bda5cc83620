"""P(a finished step moved its task forward): a logistic function of what the step's record shows.

No text is read into it, only counts and comparisons of the records (``learned/evidence.py``), so every
coefficient can be said in words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collab_core.domain import StepRecord, TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.evidence import NOTHING, Evidence
from collab_core.learned.heads import sigmoid
from collab_core.learned.store import Manifest, load

Numbers = NDArray[np.float64]

CALIBRATED = "calibrated-progress"
"""The kind of weights."""
FEATURES_KEY = "features"
AS_OFTEN_KEY = "as_often_threshold"


class Feature(NamedTuple):
    """One number of a step; ``words`` say what a larger one means."""

    name: str
    words: str
    value: Callable[[StepRecord, Evidence], float]


def _log(count: float) -> float:
    return math.log1p(max(0.0, count))


def _judged(evidence: Evidence) -> bool:
    return evidence.judged is not None


FEATURES: tuple[Feature, ...] = (
    Feature("verdict_progress", "it says progress", lambda s, e: s.check.indicator == 1),
    Feature("verdict_stall", "it says no progress", lambda s, e: s.check.indicator == 0),
    Feature(
        "verdict_unusable",
        "its verdict is missing or malformed",
        lambda s, e: s.check.status in ("missing", "malformed"),
    ),
    Feature("rationale_length", "a longer rationale", lambda s, e: _log(e.rationale_chars)),
    Feature(
        "rationale_repeated",
        "its rationale repeats an earlier one",
        lambda s, e: e.rationale_repeated,
    ),
    Feature(
        "rationale_news",
        "more words in its rationale that the observation it judges brought",
        lambda s, e: _log(e.rationale_news),
    ),
    Feature(
        "action_news",
        "more words in its call that the observation before brought",
        lambda s, e: _log(e.action_news),
    ),
    Feature("acted", "it calls a tool", lambda s, e: e.own.acted),
    Feature("repeated", "its call was made before", lambda s, e: e.own.repeated),
    Feature("seen_before", "its observation was made before", lambda s, e: e.own.seen_before),
    Feature("failed", "its tool failed", lambda s, e: e.own.failed),
    Feature(
        "new_documents",
        "more new documents in its observation",
        lambda s, e: _log(e.own.new_documents),
    ),
    Feature("judges_something", "an action stands before its verdict", lambda s, e: _judged(e)),
    Feature(
        "judged_repeated",
        "the call it judges was made before",
        lambda s, e: (e.judged or NOTHING).repeated,
    ),
    Feature(
        "judged_seen_before",
        "the observation it judges was made before",
        lambda s, e: (e.judged or NOTHING).seen_before,
    ),
    Feature(
        "judged_failed", "the tool it judges failed", lambda s, e: (e.judged or NOTHING).failed
    ),
    Feature(
        "judged_new_documents",
        "more new documents in the observation it judges",
        lambda s, e: _log((e.judged or NOTHING).new_documents),
    ),
    Feature(
        "judged_page",
        "the observation it judges is one document, not a list",
        lambda s, e: (e.judged or NOTHING).documents == 1,
    ),
    Feature("since_new", "more steps since a new document", lambda s, e: _log(e.since_new)),
    Feature("stalls", "more stalls in a row before it", lambda s, e: _log(e.stalls)),
    Feature("position", "a later step", lambda s, e: _log(e.position)),
    Feature("output_tokens", "more output tokens", lambda s, e: _log(s.usage.output_tokens)),
    Feature("higher_tier", "a tier above the lowest ran it", lambda s, e: s.decision.tier > 0),
    Feature("logprob", "a surer choice of words", lambda s, e: s.mean_logprob or 0.0),
)
NAMES = tuple(feature.name for feature in FEATURES)
LOGPROB = NAMES.index("logprob")


def features(step: StepRecord, evidence: Evidence) -> Numbers:
    """Return one number a feature; an unknown log-probability is 0 here, see :class:`ProgressModel`."""
    return np.array([float(one.value(step, evidence)) for one in FEATURES], dtype=np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class ProgressModel:
    """``sigmoid(bias + sum of weight * (x - mean) / scale)``; scale 0 = the feature says nothing.

    Where a step has no log-probability the mean stands for it.
    """

    weights: Numbers
    means: Numbers
    scales: Numbers
    bias: float

    @property
    def reads_logprob(self) -> bool:
        """Worth asking servers for log-probabilities."""
        return bool(self.scales[LOGPROB] and self.weights[LOGPROB])

    def probability(self, step: StepRecord, evidence: Evidence) -> float:
        """Return P(progress), 0..1."""
        known = step.mean_logprob is not None
        row = features(step, evidence)
        return float(self.probabilities(row[None, :], np.array([known]))[0])

    def probabilities(self, rows: Numbers, logprob_known: NDArray[np.bool_]) -> Numbers:
        """Return P(progress) of many steps; a row is what :func:`features` gives."""
        raw = self.standard(rows, logprob_known) @ self.weights + self.bias
        return sigmoid(raw)

    def standard(self, rows: Numbers, logprob_known: NDArray[np.bool_]) -> Numbers:
        """Return the rows less the means over the scales; what is unknown or says nothing is 0."""
        scales = np.where(self.scales > 0, self.scales, np.inf)
        standard = (rows - self.means) / scales
        standard[:, LOGPROB] = np.where(logprob_known, standard[:, LOGPROB], 0.0)
        return np.asarray(standard)

    def tensors(self) -> Mapping[str, Numbers]:
        """Return what is stored."""
        return {
            "weights": self.weights,
            "means": self.means,
            "scales": self.scales,
            "bias": np.array([self.bias]),
        }


def open_progress_model(
    folder: Path, *, ladder: Sequence[TierSnapshot]
) -> tuple[ProgressModel, Manifest]:
    """Return the model in a weights folder, and what the folder says of itself.

    Raises:
        InvalidInput: see ``store.load``; or it was trained on other features than this version has.
    """
    weights = load(folder, kind=CALIBRATED, ladder=ladder)
    manifest = weights.manifest
    if manifest.options.get(FEATURES_KEY) != list(NAMES):
        raise InvalidInput(
            f"The weights {manifest.name!r} were trained on other features than this version reads.",
            field="weights",
            hint="Train them again from the same labels.",
        )
    count = len(NAMES)
    model = ProgressModel(
        weights=weights.take("weights", count),
        means=weights.take("means", count),
        scales=weights.take("scales", count),
        bias=float(weights.take("bias", 1)[0]),
    )
    return model, manifest
