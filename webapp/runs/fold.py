"""What a log adds up to: the columns of ``Run`` that are cached from it.

One function, used event by event in the transaction that stores them and, for a check or after a
take-over, over a whole log; both must agree (a property test holds them together).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from string import ascii_lowercase, digits
from typing import Any

from collab_core.domain import Totals
from collab_core.events import (
    AnyEvent,
    Recorded,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunQueued,
    RunResumed,
    RunStarted,
    ScorerReturned,
    StepFinished,
    TierSwitched,
)
from collab_core.runtime.ledger import Ledger

TIER_SIGNS = digits + ascii_lowercase
VERDICT_SIGNS = {1: "1", 0: "0", None: "-"}

COLUMNS = (
    "status",
    "outcome",
    "answer",
    "ended_by",
    "error_code",
    "error_message",
    "error_hint",
    "sandbox",
    "started_at",
    "finished_at",
    "steps",
    "latency_s",
    "switches",
    "input_tokens",
    "output_tokens",
    "top_tier_output_tokens",
    "cost_usd",
    "tier_path",
    "stall_path",
    "stand_in",
)


@dataclass(slots=True, kw_only=True)
class Folded:
    """The cached columns, under their own names, and what a terminal event needs besides."""

    status: str = "queued"
    outcome: str = ""
    answer: str = ""
    ended_by: str = ""
    error_code: str = ""
    error_message: str = ""
    error_hint: str = ""
    sandbox: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: int = 0
    latency_s: float = 0.0
    switches: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    top_tier_output_tokens: int = 0
    cost_usd: float | None = None
    tier_path: str = ""
    stall_path: str = ""
    stand_in: bool = False
    # not columns
    tiers: int = 0
    version: int = 0
    """Grows whenever a column may have changed."""
    steps_stored: int = 0

    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in COLUMNS}

    def add(self, at: float, event: AnyEvent) -> None:
        """Take in the next event of the log."""
        match event:
            case StepFinished():
                self._add_step(event)
            case ScorerReturned() if event.stand_in and not self.stand_in:
                self.stand_in = True
            case TierSwitched():
                self.switches += 1
            case RunQueued():
                self.tiers = len(event.ladder)
            case RunStarted() | RunResumed():
                self.status = "running"
                self.sandbox = event.sandbox[:10] or self.sandbox
                self.started_at = self.started_at or _utc(at)
            case RunFinished():
                self.outcome, self.answer = event.outcome, _storable(event.answer)
                self.ended_by = _storable(event.ended_by)[:30]
                self._end("finished", at, event.totals)
            case RunFailed():
                self.error_code = _storable(event.code)[:40]
                self.error_message = _storable(event.message)
                self.error_hint = _storable(event.hint)
                self._end("failed", at, event.totals)
            case RunCancelled():
                self._end("cancelled", at, event.totals)
            case _:
                return
        self.version += 1

    def _add_step(self, event: StepFinished) -> None:
        first = self.steps == 0
        self.steps += 1
        self.steps_stored += 1
        # agents that ran side by side finish out of order
        self.latency_s = max(self.latency_s, event.cumulative_s)
        self.input_tokens += event.usage.input_tokens
        self.output_tokens += event.usage.output_tokens
        if event.tier == self.tiers - 1:
            self.top_tier_output_tokens += event.usage.output_tokens
        known = event.cost_usd is not None and (first or self.cost_usd is not None)
        self.cost_usd = (self.cost_usd or 0.0) + (event.cost_usd or 0.0) if known else None
        self.tier_path += TIER_SIGNS[min(event.tier, len(TIER_SIGNS) - 1)]
        self.stall_path += VERDICT_SIGNS[event.indicator]

    def _end(self, status: str, at: float, totals: Totals) -> None:
        """The totals win: they also hold what an unfinished step has spent."""
        self.status, self.finished_at = status, _utc(at)
        self.latency_s = totals.latency_s + totals.unfinished_s
        self.input_tokens = totals.usage.input_tokens
        self.output_tokens = totals.usage.output_tokens
        if len(totals.output_tokens_by_tier) == self.tiers and self.tiers:
            self.top_tier_output_tokens = totals.output_tokens_by_tier[-1]
        self.cost_usd = totals.cost_usd


def fold(history: Iterable[Recorded]) -> Folded:
    """Return what a whole log adds up to."""
    folded = Folded()
    for recorded in history:
        folded.add(recorded.at, recorded.event)
    return folded


def totals(history: Sequence[Recorded]) -> Totals:
    """Return what a run has spent so far, for a terminal event that no engine writes
    (cancelled while queued, or ended because it kills its workers)."""
    queued = history[0].event if history else None
    ledger = Ledger(tiers=len(queued.ladder) if isinstance(queued, RunQueued) else 0)
    for recorded in history:
        ledger.add(recorded.event)
    return ledger.totals()


def copy(folded: Folded) -> Folded:
    return replace(folded)


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, tz=UTC)


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL; the log keeps it (escaped)."""
    return text.replace("\x00", "\ufffd")
