"""Writing steps down: the same record whatever way of working made them.

A step is opened with a decision, collects what was spent in it and is closed into one
``step.finished``. Everything a strategy spends is charged here: rejected drafts, samples, scorers,
companions of a call. Calls made side by side cost their tokens and money each, and the time of the
longest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from collab_core import events as ev
from collab_core.agents.grammar import Turn, one_line
from collab_core.domain import Decision, LatencySplit, ProgressCheck, StepRecord, ToolCall, Usage
from collab_core.policies.base import CacheState, StepContext, Verdict
from collab_core.runtime.costs import add_cost
from collab_core.runtime.session import Session

THOUGHT_CHARS = 240

T = TypeVar("T")


@dataclass(kw_only=True)
class OpenStep:
    """One step under way."""

    number: int
    """In the run."""
    index: int
    """In this agent instance."""
    role: str
    decision: Decision
    started: float
    effect_s_before: float
    switch_announced: bool = False
    replies: list[ev.ModelReplied] = field(default_factory=list)
    """Calls made one after the other, rejected drafts included."""
    branches: list[list[ev.ModelReplied]] = field(default_factory=list)
    """Calls made side by side, each list one after the other: the longest one is the step's time."""
    companions: list[tuple[ev.ModelReplied, ev.ModelReplied]] = field(default_factory=list)
    """(companion, the reply it ran beside): only what it took longer is the step's time."""
    scored: list[ev.ScorerReturned] = field(default_factory=list)
    tools: list[ev.ToolReturned] = field(default_factory=list)
    accepted: ev.ModelReplied | None = None
    """The reply that became the step; None = the first one."""
    discarded: int = 0
    turn: Turn = field(default_factory=lambda: Turn(thought=""))
    check: ProgressCheck = field(default_factory=lambda: ProgressCheck(status="not_asked"))
    forced: str = ""
    """Why the final answer is forced in this step: max_steps or context; "" = it is not."""

    @property
    def tool(self) -> ev.ToolReturned | None:
        """The latest tool result."""
        return self.tools[-1] if self.tools else None


class StepBook:
    """The steps of one agent instance, and what is known of its tiers' caches."""

    def __init__(self, session: Session, *, role: str = "agent", started_s: float = 0.0) -> None:
        """``started_s``: the run's time, along its longest path, when this instance began."""
        self.session = session
        self.role = role
        self.cumulative_s = started_s
        self.trajectory: list[StepRecord] = []
        self.cache = [CacheState()] * len(session.ladder.tiers)
        self._snapshot = session.ladder.snapshot()
        self._cost: float | None = 0.0

    def context(self, index: int) -> StepContext:
        """Return what a policy may look at before step ``index`` of this instance."""
        session = self.session
        return StepContext(
            task=session.task,
            step_index=index,
            limits=session.limits,
            trajectory=self.trajectory,
            tiers=self._snapshot,
            cache=tuple(self.cache),
            spent_usd=self._cost,
            spent_s=self.cumulative_s,
            random=session.random,
            role=self.role,
        )

    def open(
        self,
        decision: Decision,
        *,
        number: int | None = None,
        role: str = "",
        drafting: bool = False,
        scored: ev.ScorerReturned | None = None,
    ) -> OpenStep:
        """Begin the next step. ``drafting``: its tier may still change, so no switch is told yet.

        ``number`` comes from :meth:`Session.next_step` where it was needed earlier.
        """
        step = OpenStep(
            number=number if number is not None else self.session.next_step(),
            index=len(self.trajectory) + 1,
            role=role or self.role,
            decision=decision,
            started=self.session.world.clock(),
            effect_s_before=self.session.effect_s,
            scored=[scored] if scored else [],
        )
        self.session.emit(
            ev.StepStarted(
                step=step.number,
                scope=self.session.scope,
                role=step.role,
                tier=decision.tier,
                tier_name=self._snapshot[decision.tier].name,
                reason=decision.reason,
                why=decision.why,
                level=decision.level,
                budget=decision.budget,
                budget_left=decision.budget_left,
                score=decision.score,
                threshold=decision.threshold,
            )
        )
        if not drafting:
            self.announce_switch(step)
        return step

    def discard(self, step: OpenStep, call: ToolCall | None, verdict: Verdict) -> None:
        """Write down that the latest draft was rejected; the step goes on on the verdict's tier."""
        to = verdict.rerun_on
        if to is None:
            raise ValueError("an accepted draft is not discarded")
        tier = step.decision.tier
        self.session.emit(
            ev.DraftDiscarded(
                step=step.number,
                scope=self.session.scope,
                tier=tier,
                tier_name=self._snapshot[tier].name,
                to_tier=to,
                to_name=self._snapshot[to].name,
                reason=verdict.reason,
                why=verdict.why,
                score=verdict.score,
                threshold=verdict.threshold,
                action=one_line(call) if call else "",
            )
        )
        step.discarded += 1
        step.decision = replace(
            step.decision,
            tier=to,
            reason=verdict.reason,
            why=verdict.why,
            score=verdict.score,
            threshold=verdict.threshold,
        )

    def accept(self, step: OpenStep, reply: ev.ModelReplied) -> None:
        """The reply becomes the step."""
        step.accepted = reply
        self.announce_switch(step)

    async def side_by_side(self, *work: Awaitable[T]) -> list[T]:
        """Await all of it; the first failure stops the rest. Their time is not the engine's."""
        tasks = [asyncio.ensure_future(one) for one in work]
        before, started = self.session.effect_s, self.session.world.clock()
        try:
            done = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        self.session.effect_s = before + self.session.world.clock() - started
        return list(done)

    def elapsed_s(self, step: OpenStep) -> float:
        """Return the run's time now, in the middle of the step, by what is recorded of it."""
        return self.cumulative_s + _latency(step, 0.0).total_s

    def saw_prompt(self, step: OpenStep, tier: int, tokens: int) -> None:
        """Note what the tier's prefix cache can hold now."""
        self.cache[tier] = CacheState(last_step=step.index, prefix_tokens=tokens)

    def close(self, step: OpenStep) -> StepRecord:
        """Write the step's record and return it as a policy sees it."""
        wall_s = self.session.world.clock() - step.started
        live_s = self.session.effect_s - step.effect_s_before
        usage, cost = _spent(step)
        finished = self.session.emit(
            self._finished(step, _latency(step, max(0.0, wall_s - live_s)), usage, cost)
        )
        self.cumulative_s = finished.cumulative_s
        self._cost = add_cost(self._cost, finished.cost_usd)
        record = _record(step, finished)
        self.trajectory.append(record)
        return record

    def _finished(
        self, step: OpenStep, latency: LatencySplit, usage: Usage, cost: float | None
    ) -> ev.StepFinished:
        decision, call = step.decision, step.turn.call
        return ev.StepFinished(
            step=step.number,
            scope=self.session.scope,
            role=step.role,
            tier=decision.tier,
            tier_name=self._snapshot[decision.tier].name,
            reason=decision.reason,
            level=decision.level,
            budget=decision.budget,
            budget_left=decision.budget_left,
            thought=step.turn.thought[:THOUGHT_CHARS],
            action=one_line(call) if call else "",
            tool=call.name[:80] if call else "",
            error=any(tool.error for tool in step.tools),
            indicator=step.check.indicator,
            check=step.check.status,
            latency=latency,
            cumulative_s=self.cumulative_s + latency.total_s,
            usage=usage,
            cost_usd=cost,
            tokens_per_s=usage.output_tokens / latency.decode_s if latency.decode_s > 0 else None,
            discarded=step.discarded,
        )

    def announce_switch(self, step: OpenStep) -> None:
        """Tell, once a step, that its tier is not the last one's."""
        decision = step.decision
        last = self.trajectory[-1].decision.tier if self.trajectory else decision.tier
        if step.switch_announced or last == decision.tier:
            return
        step.switch_announced = True
        self.session.emit(
            ev.TierSwitched(
                step=step.number,
                scope=self.session.scope,
                from_tier=last,
                to_tier=decision.tier,
                from_name=self._snapshot[last].name,
                to_name=self._snapshot[decision.tier].name,
                reason=decision.reason,
                why=decision.why,
                level=decision.level,
                budget=decision.budget,
            )
        )


def _spent(step: OpenStep) -> tuple[Usage, float | None]:
    replies = [
        *step.replies,
        *(reply for branch in step.branches for reply in branch),
        *(companion for companion, _ in step.companions),
    ]
    usage, cost = Usage(), 0.0 if replies or step.scored or step.tools else None
    for reply in replies:
        usage, cost = usage + reply.usage, add_cost(cost, reply.cost_usd)
    return usage, cost


def _latency(step: OpenStep, overhead_s: float) -> LatencySplit:
    split = LatencySplit()
    longest: Sequence[ev.ModelReplied] = max(step.branches, key=_total_s, default=())
    for reply in (*step.replies, *longest):
        split = _add_reply(split, reply)
    waited = sum(max(0.0, c.timing.total_s - own.timing.total_s) for c, own in step.companions)
    parts: dict[str, Any] = {
        "queue_s": split.queue_s,
        "prefill_s": split.prefill_s + waited,
        "decode_s": split.decode_s,
        "tool_s": sum(tool.duration_s for tool in step.tools),
        "route_s": sum(scored.duration_s for scored in step.scored),
        "overhead_s": split.overhead_s + overhead_s,
    }
    return LatencySplit(**parts, total_s=sum(parts.values()))


def _total_s(branch: Sequence[ev.ModelReplied]) -> float:
    return sum(reply.timing.total_s for reply in branch)


def _add_reply(split: LatencySplit, reply: ev.ModelReplied) -> LatencySplit:
    timing = reply.timing
    queued = timing.queued_s or 0.0
    prefill = max(0.0, timing.first_token_s - queued)
    rest = max(0.0, timing.total_s - queued - prefill - timing.decode_s)
    return replace(
        split,
        queue_s=split.queue_s + queued,
        prefill_s=split.prefill_s + prefill,
        decode_s=split.decode_s + timing.decode_s,
        overhead_s=split.overhead_s + rest,
    )


def _record(step: OpenStep, finished: ev.StepFinished) -> StepRecord:
    first = step.accepted or (step.replies[0] if step.replies else None)
    call, tool = step.turn.call, step.tool
    return StepRecord(
        index=step.index,
        decision=step.decision,
        text=first.text if first else "",
        tool_name=call.name if call else "",
        tool_arguments=call.arguments if call else "",
        observation=tool.observation if tool else "",
        tool_error=bool(tool and tool.error),
        check=step.check,
        usage=finished.usage,
        latency_s=finished.latency.total_s,
        cost_usd=finished.cost_usd,
        mean_logprob=first.mean_logprob if first else None,
        first_token_margin=first.first_token_margin if first else None,
        decisive_margin=first.decisive_margin if first else None,
        discarded=step.discarded,
    )
