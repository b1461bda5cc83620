"""What a model call costs."""

from __future__ import annotations

from typing import Protocol

from collab_core.domain import Usage


class Priced(Protocol):
    """A tier, or what a log says of it."""

    @property
    def price_input_usd(self) -> float | None: ...
    @property
    def price_cached_usd(self) -> float | None: ...
    @property
    def price_output_usd(self) -> float | None: ...


def cost_usd(tier: Priced, usage: Usage) -> float | None:
    """Return the price of ``usage`` on ``tier``; None if a price is unknown.

    Cached tokens cost ``price_cached_usd``, or the full input price where that is not given.

    >>> from collab_core.domain import Tier
    >>> tier = Tier(name="s", model="m", base_url="", price_input_usd=1.0, price_output_usd=2.0,
    ...             price_cached_usd=0.1)
    >>> round(cost_usd(tier, Usage(input_tokens=1000, cached_tokens=400, output_tokens=100)), 9)
    0.00084
    """
    if tier.price_input_usd is None or tier.price_output_usd is None:
        return None
    cached = usage.cached_tokens or 0
    cached_price = tier.price_cached_usd
    if cached_price is None:
        cached_price = tier.price_input_usd
    return (
        (usage.input_tokens - cached) * tier.price_input_usd
        + cached * cached_price
        + usage.output_tokens * tier.price_output_usd
    ) / 1e6


def add_cost(total: float | None, cost: float | None) -> float | None:
    """Return the sum; unknown plus anything is unknown."""
    return None if total is None or cost is None else total + cost
