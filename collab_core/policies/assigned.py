"""The policy of an agent instance whose tier a whole method has chosen."""

from __future__ import annotations

from dataclasses import dataclass

from collab_core.domain import Decision
from collab_core.policies.base import Policy, StepContext


@dataclass(frozen=True, kw_only=True)
class Assigned(Policy):
    """Run every step on ``tier``, for the method's ``reason``."""

    tier: int
    reason: str
    why: str = ""

    def before_step(self, context: StepContext) -> Decision:
        return Decision(tier=self.tier, reason=self.reason, why=self.why)
