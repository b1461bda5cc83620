"""A finished run as its policies saw it: one list of complete steps for each agent instance."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from collab_core import events as ev
from collab_core.domain import Decision, StepRecord, TierSnapshot
from collab_core.learned.logs import LoggedDraft, LoggedRun, LoggedStep
from collab_core.policies.base import CacheState
from collab_core.runtime.costs import add_cost

_PARENT_STEP = re.compile(r"-(\d+)(?:\.\d+)?$")

E = TypeVar("E", bound=ev.Event)


@dataclass(frozen=True, kw_only=True)
class Before:
    """What a policy could look at before a step, beside the steps themselves."""

    cache: tuple[CacheState, ...]
    spent_usd: float | None
    spent_s: float


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """One finished step with all that the log says of it."""

    number: int
    """In the run."""
    record: StepRecord
    """As the policy of a live run was shown it; ``index`` counts in the agent instance."""
    begun: ev.StepStarted
    finished: ev.StepFinished
    drafts: tuple[LoggedDraft, ...]
    """All of them, the accepted one last."""
    discarded: tuple[ev.DraftDiscarded, ...]
    scored: tuple[ev.ScorerReturned, ...]
    before: Before
    cache_after: tuple[CacheState, ...]
    """With what this step put into the prefix caches."""
    prompt_tokens: int
    """Of its first thought."""
    warmed: int | None
    """The tier whose prefix cache was filled beside it."""
    forced: bool
    """It had to answer: no policy looks at its draft, and no cache is warmed beside it."""
    inherited: bool
    """A fork's parent decided it."""

    @property
    def tier(self) -> int:
        return self.finished.tier


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One agent instance of a run; every one has a policy of its own."""

    scope: str
    role: str
    steps: tuple[RecordedStep, ...]

    @property
    def parent_step(self) -> int | None:
        """The number of the step that set it to work; None for the main one."""
        found = _PARENT_STEP.search(self.scope)
        return int(found[1]) if found else None


@dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """``instances``: the main one first."""

    logged: LoggedRun
    queued: ev.RunQueued
    end: ev.RunFinished
    instances: tuple[Instance, ...]

    @property
    def run_id(self) -> str:
        return self.logged.run_id

    @property
    def tiers(self) -> tuple[TierSnapshot, ...]:
        return self.logged.ladder

    @property
    def steps(self) -> Iterator[tuple[Instance, RecordedStep]]:
        """All steps, by their numbers."""
        pairs = [(instance, step) for instance in self.instances for step in instance.steps]
        return iter(sorted(pairs, key=lambda pair: pair[1].number))


@dataclass(kw_only=True)
class _Events:
    """What the log says of one step, besides what was read already."""

    begun: ev.StepStarted | None = None
    finished: ev.StepFinished | None = None
    judged: ev.ProgressJudged | None = None
    replies: list[ev.ModelReplied] = field(default_factory=list)
    discarded: list[ev.DraftDiscarded] = field(default_factory=list)
    scored: list[ev.ScorerReturned] = field(default_factory=list)
    warmed: ev.ModelReplied | None = None


def recorded(logged: LoggedRun) -> RecordedRun:
    """Return the run with its steps as a live run's policies are shown them."""
    by_step, order = _by_step(logged.events)
    inherited = _inherited(logged.events)
    instances: dict[str, list[LoggedStep]] = defaultdict(list)
    for branch in logged.branches:
        for step in branch:
            begun = by_step[step.record.index].begun
            instances[begun.scope if begun is not None else ""].append(step)
    queued = _only(logged.events, ev.RunQueued)
    return RecordedRun(
        logged=logged,
        queued=queued,
        end=_only(logged.events, ev.RunFinished),
        instances=tuple(
            _instance(scope, instances[scope], by_step, inherited, len(queued.ladder))
            for scope in sorted(instances, key=lambda scope: (scope != "", order.index(scope)))
        ),
    )


def _by_step(events: Sequence[ev.AnyEvent]) -> tuple[dict[int, _Events], list[str]]:
    by_step: dict[int, _Events] = defaultdict(_Events)
    order: list[str] = []
    for event in events:
        of = by_step[getattr(event, "step", 0)]
        if isinstance(event, ev.StepStarted):
            of.begun = event
            if event.scope not in order:
                order.append(event.scope)
        elif isinstance(event, ev.StepFinished):
            of.finished = event
        elif isinstance(event, ev.ProgressJudged):
            of.judged = event
        elif isinstance(event, ev.DraftDiscarded):
            of.discarded.append(event)
        elif isinstance(event, ev.ScorerReturned):
            of.scored.append(event)
        elif isinstance(event, ev.ModelReplied):
            if event.purpose == "warm_prefill":
                of.warmed = event
            elif "~" not in event.scope:
                of.replies.append(event)
    return by_step, order


def _inherited(events: Sequence[ev.AnyEvent]) -> frozenset[int]:
    """Return the numbers of the steps that a fork has of its parent."""
    fork = _only(events, ev.RunQueued).forked_from
    if fork is None:
        return frozenset()
    begun: set[int] = set()
    for event in events:
        if isinstance(event, ev.StepStarted):
            begun.add(event.step)
        last = ("", fork.after_step)
        if isinstance(event, ev.StepFinished) and (event.scope, event.step) == last:
            break
    return frozenset(begun)


def _only(events: Sequence[ev.AnyEvent], kind: type[E]) -> E:
    return next(event for event in events if isinstance(event, kind))


def _instance(
    scope: str,
    steps: Sequence[LoggedStep],
    by_step: dict[int, _Events],
    inherited: frozenset[int],
    tiers: int,
) -> Instance:
    cache, spent_usd = [CacheState()] * tiers, 0.0 if tiers else None
    made: list[RecordedStep] = []
    role = "agent"
    for index, logged in enumerate(steps, start=1):
        of = by_step[logged.record.index]
        if of.begun is None or of.finished is None:
            raise AssertionError("a logged step has begun and finished")
        role = of.begun.role
        before = Before(
            cache=tuple(cache),
            spent_usd=spent_usd,
            spent_s=of.finished.cumulative_s - of.finished.latency.total_s,
        )
        _fill(cache, index, of)
        made.append(
            RecordedStep(
                number=of.begun.step,
                record=_record(index, logged, of, of.begun, of.finished),
                begun=of.begun,
                finished=of.finished,
                drafts=logged.drafts,
                discarded=tuple(of.discarded),
                scored=tuple(of.scored),
                before=before,
                cache_after=tuple(cache),
                prompt_tokens=of.replies[0].usage.input_tokens if of.replies else 0,
                warmed=of.warmed.tier if of.warmed else None,
                forced=bool(of.replies) and of.replies[0].purpose == "final_answer",
                inherited=of.begun.step in inherited,
            )
        )
        spent_usd = add_cost(spent_usd, of.finished.cost_usd)
    return Instance(scope=scope, role=role, steps=tuple(made))


def _fill(cache: list[CacheState], index: int, of: _Events) -> None:
    """Note what the step put into the prefix caches, as a live run's book does."""
    drafts = [reply for reply in of.replies if reply.purpose == "think"]
    if of.warmed is not None:
        tokens = of.warmed.usage.input_tokens
        cache[of.warmed.tier] = CacheState(last_step=index, prefix_tokens=tokens)
    for number, reply in enumerate(drafts):
        kept = number >= len(of.discarded)
        tokens = reply.usage.input_tokens + (reply.usage.output_tokens if kept else 0)
        cache[reply.tier] = CacheState(last_step=index, prefix_tokens=tokens)


def _record(
    index: int,
    logged: LoggedStep,
    of: _Events,
    begun: ev.StepStarted,
    finished: ev.StepFinished,
) -> StepRecord:
    told: ev.StepStarted | ev.DraftDiscarded = of.discarded[-1] if of.discarded else begun
    decision = Decision(
        tier=finished.tier,
        reason=finished.reason,
        level=finished.level,
        budget=finished.budget,
        budget_left=finished.budget_left,
        why=told.why,
        score=told.score,
        threshold=told.threshold,
    )
    check = logged.record.check
    if of.judged is not None:
        check = replace(check, raw=of.judged.raw)
    return replace(
        logged.record, index=index, decision=decision, check=check, discarded=finished.discarded
    )
