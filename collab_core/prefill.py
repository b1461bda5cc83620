"""What warming a tier's prefix cache cost a run, and what it saved: a pure function of its log.

A warm-up is a one-token request (purpose ``warm_prefill``) on the prompt that another tier works on.
It pays off if the tier takes over and finds its prompt cached.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from collab_core.domain import TierSnapshot
from collab_core.events import AnyEvent, ModelReplied, RunQueued

PURPOSE = "warm_prefill"

Seat = tuple[str, int]
"""An agent instance and a tier: a prefix cache holds one prompt for each pair."""


@dataclass(frozen=True, kw_only=True)
class WarmPrefill:
    """A run's warm-ups in sum. None = the servers or the price table do not say."""

    calls: int
    take_overs: int
    """First calls of a tier behind at least one warm-up."""
    input_tokens: int
    uncached_tokens: int | None
    """Of the warm-ups' prompts: what they had to prefill."""
    output_tokens: int
    busy_s: float
    """Time of the warm-ups; they ran beside the step's own call."""
    waited_s: float
    """What of it the run waited for: a warm-up that outlasted the step's own call."""
    cost_usd: float | None
    saved_tokens: int | None
    """Cached tokens of the take-overs beyond what the tier's cache held without the warm-ups."""
    saved_s: float | None
    """Their prefill at the rate that the tier showed in this run: an estimate."""
    saved_usd: float | None
    """Their price uncached less their price cached."""

    @property
    def sentence(self) -> str:
        """The account in words."""
        found = "an unknown number of tokens"
        if self.saved_tokens is not None:
            found = f"{self.saved_tokens:,} more tokens"
        about = "" if self.saved_s is None else f", about {self.saved_s:.2f} s"
        return (
            f"Warm prefill: {_counted(self.calls, 'warm-up')} took {self.busy_s:.2f} s beside the "
            f"steps and held them up {self.waited_s:.2f} s. "
            f"{_counted(self.take_overs, 'take-over')} found {found} cached{about}."
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


@dataclass(kw_only=True)
class _Seat:
    own_tokens: int = 0
    """Of the tier's own latest prompt and reply."""
    warmed: list[ModelReplied] = field(default_factory=list)
    """Warm-ups since then."""


def warm_prefill(events: Iterable[AnyEvent]) -> WarmPrefill | None:
    """Return the account of a run's warm-ups; None if there were none."""
    replies: list[ModelReplied] = []
    ladder: Sequence[TierSnapshot] = ()
    for event in events:
        if isinstance(event, ModelReplied):
            replies.append(event)
        elif isinstance(event, RunQueued):
            ladder = event.ladder
    warm = [reply for reply in replies if reply.purpose == PURPOSE]
    if not warm:
        return None
    saved = list(_saved(replies))
    uncached = [_uncached(reply) for reply in warm]
    return WarmPrefill(
        calls=len(warm),
        take_overs=len(saved),
        input_tokens=sum(reply.usage.input_tokens for reply in warm),
        uncached_tokens=_sum(uncached),
        output_tokens=sum(reply.usage.output_tokens for reply in warm),
        busy_s=sum(reply.timing.total_s for reply in warm),
        waited_s=_waited_s(replies),
        cost_usd=_sum([reply.cost_usd for reply in warm]),
        saved_tokens=_sum([tokens for _, tokens in saved]),
        saved_s=_sum([_prefill_s(replies, tier, tokens) for tier, tokens in saved]),
        saved_usd=_sum([_price_usd(ladder, tier, tokens) for tier, tokens in saved]),
    )


def _saved(replies: Sequence[ModelReplied]) -> Iterable[tuple[int, int | None]]:
    """Yield (tier, tokens saved) of each take-over behind warm-ups.

    What the cache held without them is the larger of two figures: the tier's own latest prompt, and
    what the first warm-up itself found cached (a prompt that other runs share, say).
    """
    seats: dict[Seat, _Seat] = defaultdict(_Seat)
    for reply in replies:
        seat = seats[reply.scope.partition("~")[0], reply.tier]
        if reply.purpose == PURPOSE:
            seat.warmed.append(reply)
            continue
        if seat.warmed:
            yield reply.tier, _beyond(reply, seat)
        seat.own_tokens = reply.usage.input_tokens + reply.usage.output_tokens
        seat.warmed = []


def _beyond(reply: ModelReplied, seat: _Seat) -> int | None:
    found, before = reply.usage.cached_tokens, seat.warmed[0].usage.cached_tokens
    if found is None or before is None:
        return None
    given = min(found, max(warm.usage.input_tokens for warm in seat.warmed))
    return max(0, given - max(seat.own_tokens, before))


def _waited_s(replies: Sequence[ModelReplied]) -> float:
    own: dict[tuple[str, int], float] = {}
    for reply in replies:
        if reply.purpose != PURPOSE:
            own.setdefault((reply.scope, reply.step), reply.timing.total_s)
    beside = [
        reply.timing.total_s - own.get((reply.scope.partition("~")[0], reply.step), 0.0)
        for reply in replies
        if reply.purpose == PURPOSE
    ]
    return sum(max(0.0, more_s) for more_s in beside)


def _prefill_s(replies: Sequence[ModelReplied], tier: int, tokens: int | None) -> float | None:
    """Return what prefilling ``tokens`` takes on the tier, by its calls in this run."""
    prefilled, seconds = 0, 0.0
    for reply in replies:
        uncached = _uncached(reply)
        if reply.tier == tier and uncached is not None:
            prefilled += uncached
            seconds += max(0.0, reply.timing.first_token_s - (reply.timing.queued_s or 0.0))
    return tokens * seconds / prefilled if tokens is not None and prefilled else None


def _price_usd(ladder: Sequence[TierSnapshot], tier: int, tokens: int | None) -> float | None:
    if tier >= len(ladder) or tokens is None:
        return None
    full, cached = ladder[tier].price_input_usd, ladder[tier].price_cached_usd
    if full is None:
        return None
    return tokens * (full - (full if cached is None else cached)) / 1e6


def _uncached(reply: ModelReplied) -> int | None:
    cached = reply.usage.cached_tokens
    return None if cached is None else max(0, reply.usage.input_tokens - cached)


N = TypeVar("N", int, float)


def _sum(values: Sequence[N | None]) -> N | None:
    """Return the sum; None if a part of it is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
