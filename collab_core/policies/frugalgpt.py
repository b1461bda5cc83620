"""FrugalGPT: write a draft, let a scorer judge it, and climb while it is not good enough.

Source: FrugalGPT (arXiv 2305.05176) section 3, strategy 3: the LLM cascade. Published for whole answers; here every
step is a query, and a rejected draft's tool never runs: ``docs/strategies/frugalgpt.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from collab_core.domain import Decision, Ladder
from collab_core.errors import InvalidInput
from collab_core.learned.base import Scorer
from collab_core.learned.published import is_classifier, load_hf_classifier
from collab_core.learned.rendering import draft as draft_text
from collab_core.learned.scorers import FRUGALGPT, PUBLISHED, open_scorer
from collab_core.learned.store import Weights
from collab_core.policies.base import ACCEPT, Draft, Policy, StepContext, Verdict
from collab_core.strategies.base import AgentParameters, Resources, Strategy


class FrugalGPTParameters(AgentParameters):
    """A scorer after each draft."""

    weights: str = Field(
        default="",
        max_length=500,
        title="Weights",
        description="Name of weights that `train frugalgpt` has made, or a folder with a fine-tuned "
        "sequence classifier (label 1 = accept).",
        json_schema_extra={"weights": [FRUGALGPT, PUBLISHED]},
    )
    choose_by: Literal["target_share", "threshold", "budget"] = Field(
        default="target_share",
        title="Choose by",
        description="target_share: the thresholds that passed this share of each tier's drafts on in "
        "the calibration split. threshold: the number itself. budget: the thresholds that training "
        "found for its cost budget.",
    )
    target_share: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Target share",
        description="Share of a tier's drafts that shall be passed on to the next, 0 to 1.",
    )
    threshold: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Threshold",
        description="A draft is accepted if its score is above; the same for every tier.",
    )


@dataclass(frozen=True, kw_only=True)
class FrugalGPT(Policy):
    """Accept a draft of tier t if its score is above ``thresholds[t]``; the top tier's always."""

    scorer: Scorer
    thresholds: tuple[float, ...]
    """One for each tier but the top."""

    def before_step(self, context: StepContext) -> Decision:
        return Decision(
            tier=0,
            reason="first_draft",
            why=f"{context.tiers[0].name} writes the first draft of every step.",
        )

    def draft_texts(self, context: StepContext, draft: Draft) -> tuple[str, ...] | None:
        if draft.tier >= len(context.tiers) - 1:
            return None
        text = draft_text(
            context.task, context.trajectory, tier=draft.tier, text=draft.text, call=draft.call
        )
        return (text,)

    def after_generation(self, context: StepContext, draft: Draft) -> Verdict:
        if draft.tier >= len(context.tiers) - 1:
            return ACCEPT
        (score,) = draft.scores
        threshold = self.thresholds[draft.tier]
        above = score > threshold
        return Verdict(
            rerun_on=None if above else draft.tier + 1,
            reason="accepted" if above else "draft_rejected",
            score=score,
            threshold=threshold,
            why=f"The draft of {context.tiers[draft.tier].name} scores {score:.3f}, "
            f"{'above' if above else 'not above'} {threshold:.3f}.",
        )


def _build(parameters: FrugalGPTParameters, ladder: Ladder, resources: Resources) -> FrugalGPT:
    folder = resources.locate(parameters.weights, field="weights")
    judged = len(ladder.tiers) - 1
    if is_classifier(folder):
        if parameters.choose_by != "threshold":
            raise InvalidInput(
                "A classifier from elsewhere carries no thresholds.",
                field="choose_by",
                hint="Choose by threshold.",
            )
        scorer = load_hf_classifier(folder, "frugalgpt")
        return FrugalGPT(scorer=scorer, thresholds=(parameters.threshold,) * judged)
    trained = open_scorer(
        folder, kind=FRUGALGPT, ladder=ladder.snapshot(), encoder=resources.encoder
    )
    return FrugalGPT(scorer=trained, thresholds=_thresholds(parameters, trained.source, judged))


def _thresholds(
    parameters: FrugalGPTParameters, weights: Weights, judged: int
) -> tuple[float, ...]:
    if parameters.choose_by == "threshold":
        return (parameters.threshold,) * judged
    if parameters.choose_by == "target_share":
        return shared_thresholds(weights, judged, parameters.target_share)
    found = weights.manifest.options.get("thresholds")
    usable = (
        isinstance(found, list)
        and len(found) == judged
        and all(isinstance(value, int | float) and math.isfinite(value) for value in found)
    )
    if not usable or not isinstance(found, list):
        raise InvalidInput(
            f"The weights {weights.manifest.name!r} were trained without a budget.",
            field="choose_by",
            hint="Train with --option budget_frac=0.5, or choose by target share.",
        )
    return tuple(float(value) for value in found if isinstance(value, int | float))


def shared_thresholds(weights: Weights, judged: int, share: float) -> tuple[float, ...]:
    """Return the thresholds at which each tier passes on ``share`` of its drafts.

    Among those of the calibration split a share of 0 accepts every draft, 1 none; a later draft can
    score outside of what was seen there.
    """
    quantiles = weights.take("quantiles", judged, 101)
    if share <= 0.0:
        return tuple(float(np.nextafter(row[0], -np.inf)) for row in quantiles)
    grid = np.linspace(0.0, 1.0, 101)
    return tuple(float(np.interp(share, grid, row)) for row in quantiles)


STRATEGY = Strategy(
    name="frugalgpt",
    title="FrugalGPT",
    summary="The lowest tier drafts each step; a trained scorer accepts the draft or has the next tier "
    "write it anew.",
    family="Learned routers",
    label="adapted",
    source="arXiv 2305.05176, section 3, strategy 3",
    parameters=FrugalGPTParameters,
    policy=_build,
    doc="frugalgpt.md",
    loads=True,
)
