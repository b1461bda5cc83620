"""Margin sampling: rerun a draft on the next tier if the model was unsure of it.

Source: uncertainty-based two-tier selection (arXiv 2405.02134): margin = p(top-1) - p(top-2) of the
first generated token; a small margin calls the larger model. For agents the first token is a fixed
tag: ``docs/strategies/margin.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from collab_core.domain import Decision, Ladder
from collab_core.errors import InvalidInput
from collab_core.learned.scorers import ISOTONIC
from collab_core.learned.store import Weights, load
from collab_core.policies.base import ACCEPT, Draft, Policy, StepContext, Verdict
from collab_core.strategies.base import AgentParameters, Resources, Strategy

Signal = Literal["first_token_margin", "decisive_margin", "mean_logprob"]

WORDS: dict[Signal, str] = {
    "first_token_margin": "margin of the first token",
    "decisive_margin": "margin of the deciding token",
    "mean_logprob": "mean log-probability",
}


class MarginParameters(AgentParameters):
    """A look at the draft's log-probabilities."""

    signal: Signal = Field(
        default="decisive_margin",
        title="Signal",
        description="first_token_margin: as published; meaningless where every reply begins with the "
        "same tag. decisive_margin: of the first token of the tool's name or of the answer. "
        "mean_logprob: mean over the whole draft.",
    )
    choose_by: Literal["threshold", "target_share"] = Field(
        default="threshold",
        title="Choose by",
        description="threshold: the number itself. target_share: the percentile that passed this share "
        "of drafts on in the calibration split of the weights.",
    )
    threshold: float = Field(
        default=0.3,
        ge=-100.0,
        le=1.0,
        title="Threshold",
        description="A draft is accepted if its number is above: a margin 0 to 1, a mean natural "
        "log-probability below 0, or, with isotonic weights, a probability of being right.",
    )
    target_share: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Target share",
        description="Share of drafts that shall be passed on to the next tier, 0 to 1.",
    )
    weights: str = Field(
        default="",
        max_length=500,
        title="Weights",
        description="Name of weights that `train isotonic` has made: a calibration or percentiles of "
        "the same signal. Empty = the bare number.",
        json_schema_extra={"weights": [ISOTONIC]},
    )
    unknown: Literal["rerun", "accept"] = Field(
        default="rerun",
        title="Without a number",
        description="What becomes of a draft whose server told no log-probability of the token: rerun "
        "it on the next tier, or accept it.",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Margin(Policy):
    """Accept a draft if its number is above the threshold; the top tier's always."""

    signal: Signal
    threshold: float
    unknown: Literal["rerun", "accept"]
    knots: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """Isotonic calibration: number -> P(right), piecewise linear."""

    def before_step(self, context: StepContext) -> Decision:
        return Decision(
            tier=0,
            reason="first_draft",
            logprobs=len(context.tiers) > 1,
            why=f"{context.tiers[0].name} writes the first draft of every step.",
        )

    def after_generation(self, context: StepContext, draft: Draft) -> Verdict:
        if draft.tier >= len(context.tiers) - 1:
            return ACCEPT
        name = context.tiers[draft.tier].name
        raw: float | None = getattr(draft, self.signal)
        if raw is None:
            return self._unknown(draft, name)
        score = raw if self.knots is None else float(np.interp(raw, *self.knots))
        above = score > self.threshold
        what = WORDS[self.signal] if self.knots is None else f"P(right) by the {WORDS[self.signal]}"
        return Verdict(
            rerun_on=None if above else draft.tier + 1,
            reason="accepted" if above else "unsure",
            score=score,
            threshold=self.threshold,
            why=f"The {what} of {name}'s draft is {score:.3f}, "
            f"{'above' if above else 'not above'} {self.threshold:.3f}.",
        )

    def _unknown(self, draft: Draft, name: str) -> Verdict:
        why = f"{name}'s server told no {WORDS[self.signal]} of this draft."
        if self.unknown == "accept":
            return Verdict(reason="accepted", why=why)
        return Verdict(rerun_on=draft.tier + 1, reason="no_logprobs", why=why)


def _build(parameters: MarginParameters, ladder: Ladder, resources: Resources) -> Margin:
    if not parameters.weights:
        if parameters.choose_by == "target_share":
            raise InvalidInput(
                "A target share needs percentiles of margins seen before.",
                field="weights",
                hint="Make them with `train isotonic` on logs of this strategy, or choose by threshold.",
            )
        return Margin(
            signal=parameters.signal, threshold=parameters.threshold, unknown=parameters.unknown
        )
    folder = resources.locate(parameters.weights, field="weights")
    weights = load(folder, kind=ISOTONIC, ladder=ladder.snapshot())
    trained = weights.manifest.options.get("signal")
    if trained != parameters.signal:
        raise InvalidInput(
            f"The weights {weights.manifest.name!r} calibrate {trained!r}, not {parameters.signal!r}.",
            field="signal",
            hint="Choose the signal they were trained on.",
        )
    threshold = parameters.threshold
    if parameters.choose_by == "target_share":
        threshold = weights.manifest.threshold_for_share(parameters.target_share).threshold
    return Margin(
        signal=parameters.signal,
        threshold=threshold,
        unknown=parameters.unknown,
        knots=_knots(weights),
    )


def _knots(weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    if weights.manifest.options.get("method") != "isotonic":
        return None
    x = weights.take("x", None)
    y = weights.take("y", len(x))
    if not len(x) or (np.diff(x) < 0).any() or (np.diff(y) < 0).any():
        raise InvalidInput(
            f"The weights {weights.manifest.name!r} are damaged: their knots do not rise.",
            field="weights",
            hint="Train them again.",
        )
    return x, y


STRATEGY = Strategy(
    name="margin",
    title="Margin sampling",
    summary="The lowest tier drafts each step; if it was unsure of the deciding token, the next tier "
    "writes it anew.",
    family="Uncertainty",
    label="adapted",
    source="arXiv 2405.02134",
    parameters=MarginParameters,
    policy=_build,
    doc="margin.md",
    loads=True,
)
