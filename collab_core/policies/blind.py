"""Blind switching: tiers change by chance or by the step's number, never by what happened.

These are the controls that show what a *signal* is worth: a method that does not beat the blind
switch with the same share of large steps has gained nothing by looking. ``docs/strategies/blind.md``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, field_validator

from collab_core.domain import Decision, Ladder
from collab_core.errors import InvalidInput
from collab_core.policies.base import Policy, StepContext
from collab_core.strategies.base import AgentParameters, Resources, Strategy

Middle = Literal["skip", "use"]


class BlindParameters(AgentParameters):
    """What the blind switches share; verdicts are recorded, but change nothing."""

    middle_tiers: Middle = Field(
        default="skip",
        title="Tiers between",
        description="On three or more tiers: skip = only the lowest and the top tier run; use = "
        "those between have their part too. Without effect on two tiers.",
    )


class RandomParameters(AgentParameters):
    """Every step drawn anew."""

    shares: str = Field(
        default="",
        max_length=200,
        title="Shares",
        description="One number per tier, lowest first, as in 0.7, 0.3: its chance to run a step, "
        "after scaling them to sum 1. Empty = all alike.",
    )

    @field_validator("shares")
    @classmethod
    def _are_shares(cls, text: str) -> str:
        _shares(text)
        return text


class MatchedParameters(BlindParameters):
    """Random at the share of large steps that another run or method had."""

    large_share: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        title="Share of large steps",
        description="Chance of the top tier at every step, 0..1: take the large-step share of the "
        "method you compare with.",
    )


class FirstLargeParameters(BlindParameters):
    """The top tier first."""

    large_steps: int = Field(
        default=2,
        ge=0,
        le=1_000,
        title="Large steps",
        description="K: so many first steps run on the top tier, all later ones on the lowest.",
    )


class OneWayParameters(BlindParameters):
    """One switch for good, after a fixed number of steps."""

    after_steps: int = Field(
        default=5,
        ge=0,
        le=1_000,
        title="Switch after",
        description="K: steps before the one switch.",
    )
    direction: Literal["up", "down"] = Field(
        default="up",
        title="Direction",
        description="up: the lowest tier first, then the top. down: the reverse.",
    )


class PeriodParameters(BlindParameters):
    """Every n-th step is large."""

    period: int = Field(
        default=3, ge=1, le=1_000, title="Period", description="n: every n-th step is large."
    )
    first: int = Field(
        default=0,
        ge=0,
        le=1_000,
        title="First large step",
        description="Number of the first large step, counted from 1; 0 = step n.",
    )


@dataclass(frozen=True, kw_only=True)
class RandomTier(Policy):
    """Draw every step's tier with chances ``shares``, one per tier, summing to 1."""

    by_verdicts = True

    shares: tuple[float, ...]

    def before_step(self, context: StepContext) -> Decision:
        drawn = context.random.random()
        edges = itertools.accumulate(self.shares)
        # rounding may leave the last edge just below 1: the last tier with a chance takes the rest
        last = max(tier for tier, share in enumerate(self.shares) if share > 0)
        tier = next((tier for tier, edge in enumerate(edges) if drawn < edge), last)
        share = f"{100 * self.shares[tier]:.3g} %"
        return Decision(
            tier=tier,
            reason="drawn",
            why=f"Drawn at random: {context.tiers[tier].name} has a chance of {share}.",
        )


@dataclass(frozen=True, kw_only=True)
class Blocks(Policy):
    """Run ``steps`` steps on each of ``order``'s tiers in turn; the last one keeps the rest."""

    by_verdicts = True

    order: tuple[int, ...]
    steps: int

    def before_step(self, context: StepContext) -> Decision:
        passed = (context.step_index - 1) // self.steps if self.steps else len(self.order)
        place = min(passed, len(self.order) - 1)
        tier = self.order[place]
        name = context.tiers[tier].name
        if place == len(self.order) - 1:
            why = f"From step {self.steps * place + 1} on, {name} runs every step."
        else:
            why = f"Steps {self.steps * place + 1} to {self.steps * (place + 1)} run on {name}."
        return Decision(tier=tier, reason="scheduled", why=why)


@dataclass(frozen=True, kw_only=True)
class Period(Policy):
    """Every ``period``-th step is large; with ``middle`` = use, as an odometer turns.

    Then every n-th step runs one tier up, every n-squared-th two tiers up, and so on to the top.
    """

    by_verdicts = True

    period: int
    first: int
    """Number of the first large step; the period counts from there."""
    middle: Middle = "skip"

    def before_step(self, context: StepContext) -> Decision:
        top = len(context.tiers) - 1
        tier = self._tier(context.step_index, top)
        name = context.tiers[tier].name
        why = f"Every {self.period}. step is large; this is one of them, on {name}."
        if not tier:
            why = f"Not one of the large steps, so {name} runs it."
        return Decision(tier=tier, reason="scheduled", why=why)

    def _tier(self, step: int, top: int) -> int:
        turns = step - self.first + self.period
        if turns < self.period or turns % self.period:
            return 0
        if self.middle == "skip" or self.period == 1:
            return top
        tier = 1
        while tier < top and turns % self.period ** (tier + 1) == 0:
            tier += 1
        return min(tier, top)


def _shares(text: str) -> tuple[float, ...]:
    """Read ``0.7, 0.3``; () if there is nothing.

    Raises:
        ValueError: they are no shares.
    """
    if not text.strip():
        return ()
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("give numbers with commas between them, as in 0.7, 0.3") from None
    if not all(math.isfinite(s) and s >= 0 for s in shares) or not 0 < sum(shares) < math.inf:
        raise ValueError("shares are finite, none is below 0, and one is above it")
    return shares


def _random(parameters: RandomParameters, ladder: Ladder, resources: Resources) -> RandomTier:
    tiers = len(ladder.tiers)
    shares = _shares(parameters.shares) or (1.0,) * tiers
    if len(shares) != tiers:
        raise InvalidInput(
            f"shares: the ladder {ladder.name!r} has {tiers} tiers, but {len(shares)} shares "
            "were given.",
            field="shares",
        )
    total = sum(shares)
    return RandomTier(shares=tuple(share / total for share in shares))


def _matched(parameters: MatchedParameters, ladder: Ladder, resources: Resources) -> RandomTier:
    top, share = ladder.top, parameters.large_share
    if top == 0:
        return RandomTier(shares=(1.0,))
    if parameters.middle_tiers == "use":
        return RandomTier(shares=(*((1 - share) / top for _ in range(top)), share))
    return RandomTier(shares=(1 - share, *(0.0 for _ in range(top - 1)), share))


def _order(ladder: Ladder, middle: Middle) -> tuple[int, ...]:
    """Return the tiers that have a part, lowest first."""
    if middle == "use" or ladder.top == 0:
        return tuple(range(len(ladder.tiers)))
    return (0, ladder.top)


def _first_large(parameters: FirstLargeParameters, ladder: Ladder, resources: Resources) -> Blocks:
    order = _order(ladder, parameters.middle_tiers)
    return Blocks(order=order[::-1], steps=parameters.large_steps)


def _one_way(parameters: OneWayParameters, ladder: Ladder, resources: Resources) -> Blocks:
    order = _order(ladder, parameters.middle_tiers)
    return Blocks(
        order=order if parameters.direction == "up" else order[::-1], steps=parameters.after_steps
    )


def _period(parameters: PeriodParameters, ladder: Ladder, resources: Resources) -> Period:
    return Period(
        period=parameters.period,
        first=parameters.first or parameters.period,
        middle=parameters.middle_tiers,
    )


RANDOM = Strategy(
    name="random",
    title="Random",
    summary="Every step on a tier drawn at random: all alike, or by shares of your choice.",
    family="Blind switching",
    label="native",
    source="arXiv 2603.26034, Table 1 (Random)",
    parameters=RandomParameters,
    policy=_random,
    doc="blind.md",
)
MATCHED = Strategy(
    name="random-matched",
    title="Random, share-matched",
    summary="Large steps at random, at the share that the method you compare with has.",
    family="Blind switching",
    label="native",
    source="a control of our own",
    parameters=MatchedParameters,
    policy=_matched,
    doc="blind.md",
)
FIRST_LARGE = Strategy(
    name="first-k-large",
    title="First K large",
    summary="The first K steps on the top tier, all later ones on the lowest.",
    family="Blind switching",
    label="adapted",
    source="First-Large in arXiv 2602.21227, known second-hand",
    parameters=FirstLargeParameters,
    policy=_first_large,
    doc="blind.md",
)
ONE_WAY = Strategy(
    name="one-way",
    title="One-way switch",
    summary="The lowest tier for K steps, then the top tier for good; or the reverse.",
    family="Blind switching",
    label="proxy",
    source="the one hand-off of arXiv 2608.27911, by step number instead of its learned risk",
    parameters=OneWayParameters,
    policy=_one_way,
    doc="blind.md",
)
PERIOD = Strategy(
    name="period",
    title="Fixed period",
    summary="Every n-th step on the top tier, all others on the lowest.",
    family="Blind switching",
    label="native",
    source="a control of our own",
    parameters=PeriodParameters,
    policy=_period,
    doc="blind.md",
)
