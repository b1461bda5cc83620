"""One tier from the first step to the last: the baselines Small and Large."""

from __future__ import annotations

from dataclasses import dataclass

from collab_core.domain import Decision, StepRecord
from collab_core.policies.base import StepContext


@dataclass(frozen=True, kw_only=True)
class FixedTier:
    """Run every step on ``tier`` (position in the ladder; -1 = the top)."""

    tier: int

    def before_step(self, context: StepContext) -> Decision:
        tier = self.tier % len(context.tiers)
        return Decision(
            tier=tier, reason="fixed", why=f"Every step runs on {context.tiers[tier].name}."
        )

    def after_observation(self, context: StepContext, step: StepRecord) -> None:
        """Nothing to learn."""
