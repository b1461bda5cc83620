"""A run's counters: everything a strategy spends is charged here, once, as events pass by."""

from __future__ import annotations

from collections import defaultdict
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
    steps: int = 0
    latency_s: float = 0.0
    """The largest cumulative latency of a finished step."""
    switches: int = 0
    model_calls: int = 0
    drafts_discarded: int = 0
    scorer_calls: int = 0
    scorer_s: float = 0.0
    failed_attempts: int = 0
    checks_missing: int = 0
    checks_malformed: int = 0
    _finished_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By agent instance: the cumulative latency of its latest step; before the first one, the
    time at which it began."""
    _open_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By scope: recorded durations of the effects since that step."""

    def __post_init__(self) -> None:
        self.output_tokens_by_tier = [0] * self.tiers
        self.steps_by_tier = [0] * self.tiers

    def add(self, event: ev.Event) -> None:
        """Charge one event."""
        match event:
            case ev.StepStarted():
                self._begin(event.scope)
            case ev.ModelReplied():
                self._charge_call(event)
            case ev.ToolReturned(delegated=False):
                self._open_s[event.scope] += event.duration_s
            case ev.ScorerReturned():
                self.scorer_calls += 1
                self.scorer_s += event.duration_s
                self._open_s[event.scope] += event.duration_s
            case ev.DraftDiscarded():
                self.drafts_discarded += 1
            case ev.StepFinished():
                self._finish_step(event)
            case ev.TierSwitched():
                self.switches += 1
            case ev.ProgressJudged(status="missing"):
                self.checks_missing += 1
            case ev.ProgressJudged(status="malformed"):
                self.checks_malformed += 1

    @property
    def elapsed_s(self) -> float:
        """How long the run has taken by its recorded durations, along its longest path: the same
        before and after a resume."""
        return max([self.latency_s, *map(self._now_s, self._open_s)])

    def add_broken_call(
        self, scope: str, *, duration_s: float, attempts: Sequence[Attempt], cost: float | None
    ) -> None:
        """Charge a call that never gave a reply: nothing of it is in the log but these totals."""
        self._open_s[scope] += duration_s
        self.failed_attempts += len(attempts)
        self.cost_usd = add_cost(self.cost_usd, cost)

    def totals(self) -> Totals:
        return Totals(
            steps=self.steps,
            latency_s=self.latency_s,
            unfinished_s=self.elapsed_s - self.latency_s,
            usage=self.usage,
            output_tokens_by_tier=tuple(self.output_tokens_by_tier),
            steps_by_tier=tuple(self.steps_by_tier),
            switches=self.switches,
            cost_usd=self.cost_usd,
            model_calls=self.model_calls,
            drafts_discarded=self.drafts_discarded,
            scorer_calls=self.scorer_calls,
            scorer_s=self.scorer_s,
            failed_attempts=self.failed_attempts,
            checks_missing=self.checks_missing,
            checks_malformed=self.checks_malformed,
        )

    def _begin(self, scope: str) -> None:
        """Note when an instance began: at the time of the one that started it."""
        if scope and scope not in self._finished_s:
            starter = scope.rpartition("/")[0]
            scopes = [s for s in self._open_s if s.partition("~")[0] == starter]
            self._finished_s[scope] = max(map(self._now_s, [starter, *scopes]))

    def _now_s(self, scope: str) -> float:
        finished_s = self._finished_s.get(scope.partition("~")[0], 0.0)
        return finished_s + self._open_s.get(scope, 0.0)

    def _charge_call(self, reply: ev.ModelReplied) -> None:
        self.model_calls += 1
        self.usage = self.usage + reply.usage
        self.cost_usd = add_cost(self.cost_usd, reply.cost_usd)
        self._open_s[reply.scope] += reply.timing.total_s
        self.output_tokens_by_tier[reply.tier] += reply.usage.output_tokens
        self.failed_attempts += len(reply.attempts)

    def _finish_step(self, event: ev.StepFinished) -> None:
        self.steps += 1
        self.steps_by_tier[event.tier] += 1
        self.latency_s = max(self.latency_s, event.cumulative_s)
        self._finished_s[event.scope] = event.cumulative_s
        done = [s for s in self._open_s if s.partition("~")[0] == event.scope]
        for scope in done:
            del self._open_s[scope]
