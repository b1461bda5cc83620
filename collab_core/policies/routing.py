"""What routers that decide before a step share: a score, a threshold, a calibrated share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from collab_core.domain import Decision
from collab_core.learned.store import CalibrationPoint
from collab_core.policies.base import StepContext
from collab_core.strategies.base import AgentParameters


class RouterParameters(AgentParameters):
    """How the threshold is chosen."""

    choose_by: Literal["target_share", "threshold"] = Field(
        default="target_share",
        title="Choose by",
        description="target_share: the threshold that gave this share of large steps on the "
        "calibration split. threshold: the number itself.",
    )
    target_share: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Target share",
        description="Share of steps that shall run on the top tier, 0 to 1.",
    )
    threshold: float = Field(
        default=0.5,
        ge=-1e6,
        le=1e6,
        title="Threshold",
        description="A step whose score reaches it runs on the top tier.",
    )

    def threshold_of(self, lookup: Callable[[float], CalibrationPoint]) -> CalibrationPoint:
        """Return the chosen threshold; ``lookup`` finds that of a share.

        Raises:
            InvalidInput: there is no calibration table to look it up in.
        """
        if self.choose_by == "threshold":
            return CalibrationPoint(threshold=self.threshold, large_share=0.0)
        return lookup(self.target_share)


def routed(context: StepContext, threshold: float, what: str) -> Decision:
    """Return the top tier if the one score reaches ``threshold``, else the lowest.

    Tiers between are not used: the sources know two models.
    """
    (score,) = context.scores
    top = len(context.tiers) - 1
    large = score >= threshold
    tier = top if large else 0
    relation = "reaches" if large else "stays below"
    return Decision(
        tier=tier,
        reason="routed_up" if large else "routed_down",
        score=score,
        threshold=threshold,
        why=f"{what}, {score:.3f}, {relation} {threshold:.3f}, so {context.tiers[tier].name} runs.",
    )
