"""A run's counters: everything a strategy spends is charged here, once, as events pass by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from collab_core import events as ev
from collab_core.domain import Attempt, Totals, Usage
from collab_core.runtime.costs import add_cost


@dataclass(kw_only=True)
class Ledger:
    """The fold of a run's events into its :class:`Totals`; fed by the session, live and replayed."""

    tiers: int
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = 0.0
    busy_s: float = 0.0
    """Recorded durations of all effects: the same before and after a resume."""
    steps: int = 0
    latency_s: float = 0.0
    switches: int = 0
    model_calls: int = 0
    failed_attempts: int = 0
    checks_missing: int = 0
    checks_malformed: int = 0
    _busy_at_step: float = 0.0
    """``busy_s`` when the latest step finished."""

    def __post_init__(self) -> None:
        self.output_tokens_by_tier = [0] * self.tiers
        self.steps_by_tier = [0] * self.tiers

    def add(self, event: ev.Event) -> None:
        """Charge one event."""
        match event:
            case ev.ModelReplied():
                self._charge_call(event)
            case ev.ToolReturned():
                self.busy_s += event.duration_s
            case ev.StepFinished():
                self.steps += 1
                self.steps_by_tier[event.tier] += 1
                self.latency_s = event.cumulative_s
                self._busy_at_step = self.busy_s
            case ev.TierSwitched():
                self.switches += 1
            case ev.ProgressJudged(status="missing"):
                self.checks_missing += 1
            case ev.ProgressJudged(status="malformed"):
                self.checks_malformed += 1

    def add_broken_call(
        self, *, duration_s: float, attempts: Sequence[Attempt], cost: float | None
    ) -> None:
        """Charge a call that never gave a reply: nothing of it is in the log but these totals."""
        self.busy_s += duration_s
        self.failed_attempts += len(attempts)
        self.cost_usd = add_cost(self.cost_usd, cost)

    def totals(self) -> Totals:
        return Totals(
            steps=self.steps,
            latency_s=self.latency_s,
            unfinished_s=self.busy_s - self._busy_at_step,
            usage=self.usage,
            output_tokens_by_tier=tuple(self.output_tokens_by_tier),
            steps_by_tier=tuple(self.steps_by_tier),
            switches=self.switches,
            cost_usd=self.cost_usd,
            model_calls=self.model_calls,
            failed_attempts=self.failed_attempts,
            checks_missing=self.checks_missing,
            checks_malformed=self.checks_malformed,
        )

    def _charge_call(self, reply: ev.ModelReplied) -> None:
        self.model_calls += 1
        self.usage = self.usage + reply.usage
        self.cost_usd = add_cost(self.cost_usd, reply.cost_usd)
        self.busy_s += reply.timing.total_s
        self.output_tokens_by_tier[reply.tier] += reply.usage.output_tokens
        self.failed_attempts += len(reply.attempts)
