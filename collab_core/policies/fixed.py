"""One tier from the first step to the last: the baselines Small and Large, and any tier between."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from collab_core.domain import Decision, Ladder
from collab_core.errors import InvalidInput
from collab_core.policies.base import Policy, StepContext
from collab_core.strategies.base import AgentParameters, Resources, Strategy


class FixedParameters(AgentParameters):
    """One tier for the whole run; verdicts are recorded, but change nothing."""


class TierParameters(FixedParameters):
    """One tier of the user's choice."""

    tier: str = Field(
        default="1",
        max_length=60,
        title="Tier",
        description="Its name, or its place in the ladder counted from 1, the cheapest.",
    )


@dataclass(frozen=True, kw_only=True)
class FixedTier(Policy):
    """Run every step on ``tier`` (position in the ladder; -1 = the top)."""

    by_verdicts = True

    tier: int

    def before_step(self, context: StepContext) -> Decision:
        tier = self.tier % len(context.tiers)
        return Decision(
            tier=tier, reason="fixed", why=f"Every step runs on {context.tiers[tier].name}."
        )


def tier_position(given: str, ladder: Ladder, *, field: str) -> int:
    """Return the position of a tier given by its name or by its place counted from 1.

    Raises:
        InvalidInput: the ladder has no such tier.
    """
    names = [tier.name for tier in ladder.tiers]
    if given in names:
        return names.index(given)
    if given.isdecimal() and 1 <= int(given) <= len(names):
        return int(given) - 1
    raise InvalidInput(
        f"{field}: the ladder {ladder.name!r} has no tier {given[:60]!r}. It has: "
        f"{', '.join(f'{n} {name}' for n, name in enumerate(names, start=1))}.",
        field=field,
    )


def _any_tier(parameters: TierParameters, ladder: Ladder, resources: Resources) -> FixedTier:
    return FixedTier(tier=tier_position(parameters.tier, ladder, field="tier"))


SMALL = Strategy(
    name="small",
    title="Small only",
    summary="Every step on the lowest tier: the cheapest baseline.",
    family="Fixed",
    label="native",
    source="arXiv 2603.26034, Table 1",
    parameters=FixedParameters,
    policy=lambda parameters, ladder, resources: FixedTier(tier=0),
    doc="fixed.md",
)
LARGE = Strategy(
    name="large",
    title="Large only",
    summary="Every step on the top tier: the reference that speedup is measured against.",
    family="Fixed",
    label="native",
    source="arXiv 2603.26034, Table 1",
    parameters=FixedParameters,
    policy=lambda parameters, ladder, resources: FixedTier(tier=-1),
    doc="fixed.md",
)
TIER = Strategy(
    name="tier",
    title="One tier",
    summary="Every step on a tier of your choice: for ladders of three tiers and more.",
    family="Fixed",
    label="native",
    source="arXiv 2603.26034, Table 3",
    parameters=TierParameters,
    policy=_any_tier,
    doc="fixed.md",
)
