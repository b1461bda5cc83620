"""Logs of runs that never ran: written with the product's own vocabulary, for pages to show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from collab_core import events as ev
from collab_core.domain import (
    Attempt,
    Fork,
    LatencySplit,
    Limits,
    Task,
    TierSnapshot,
    Timing,
    ToolCall,
    Totals,
    Usage,
)

End = Literal["finished", "failed", "cancelled", "running", "queued"]
ENDS: tuple[End, ...] = ("finished", "failed", "cancelled", "running", "queued")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What was said and seen in one step."""

    tier: int = 0
    text: str = "I look it up and compare what the passages say."
    rationale: str = "A new passage was found."
    arguments: str = '{"query": "Velvet Lapwing"}'
    observation: str = "3 results, best first: the ship, the shipyard, its founder."
    attempt: str = ""
    indicator: Literal[0, 1] = 1
    error: bool = False


@dataclass(frozen=True, kw_only=True)
class Story:
    """A whole run: what it was asked, its turns, how it ended."""

    question: str
    turns: Sequence[Turn]
    end: End
    tiers: Sequence[str] = ("small", "large")
    ladder_name: str = "planted"
    submitted_by: str = ""
    answer: str = "The shipyard Newel Trading, in 1835."
    error: tuple[str, str] = (
        "The endpoint of tier large refused the key.",
        "Set the key's variable.",
    )
    forked_from: Fork | None = None

    def events(self) -> list[ev.AnyEvent]:
        if self.end == "queued":
            return [self._queued()]
        log: list[ev.AnyEvent] = [self._queued(), ev.RunStarted(worker="planted", fence=1)]
        total_s = 0.0
        for number, turn in enumerate(self.turns, start=1):
            before = self.turns[number - 2].tier if number > 1 else turn.tier
            total_s += _seconds(turn)
            log += self._step(number, turn, before, total_s)
        return [*log, *self._ending(total_s)]

    def _queued(self) -> ev.RunQueued:
        snapshot = tuple(
            TierSnapshot(
                name=name, model=f"model-{name}", endpoint=f"server {name}", simulated=True
            )
            for name in self.tiers
        )
        return ev.RunQueued(
            task=Task(question=self.question),
            strategy="agentcollab",
            parameters={},
            ladder=snapshot,
            ladder_name=self.ladder_name,
            seed=1,
            limits=Limits(max_steps=max(40, len(self.turns))),
            submitted_by=self.submitted_by,
            simulated=True,
            forked_from=self.forked_from,
        )

    def _step(self, number: int, turn: Turn, before: int, total_s: float) -> Iterator[ev.AnyEvent]:
        name = self.tiers[turn.tier]
        level = 1 if turn.tier else 0
        reason = "escalated" if turn.tier else "default"
        yield ev.StepStarted(
            step=number, tier=turn.tier, tier_name=name, reason=reason, level=level
        )
        if turn.tier != before:
            yield ev.TierSwitched(
                step=number,
                from_tier=before,
                to_tier=turn.tier,
                from_name=self.tiers[before],
                to_name=name,
                reason=reason,
                why=turn.rationale[:200],
                level=level,
            )
        usage = _usage(turn)
        yield ev.ModelReplied(
            key=f"main:{2 * number}",
            step=number,
            purpose="think",
            tier=turn.tier,
            tier_name=name,
            request_digest="0" * 32,
            text=turn.text,
            tool_calls=(ToolCall(id=f"c{number}", name="search", arguments=turn.arguments),),
            finish_reason="tool_calls",
            usage=usage,
            timing=Timing(first_token_s=0.2, decode_s=_seconds(turn) - 0.3, total_s=_seconds(turn)),
            cost_usd=0.001,
            attempts=(Attempt(code="cut", message=turn.attempt, duration_s=0.5),)
            if turn.attempt
            else (),
        )
        yield ev.ProgressJudged(
            step=number,
            indicator=turn.indicator,
            made_progress=bool(turn.indicator),
            status="parsed",
            rationale=turn.rationale,
            raw=f"<progress>{turn.rationale}</progress>",
        )
        yield ev.ToolReturned(
            key=f"main:{2 * number + 1}",
            step=number,
            call_id=f"c{number}",
            tool="search",
            arguments=turn.arguments,
            observation=turn.observation,
            error=turn.error,
            duration_s=0.1,
        )
        yield self._finished(number, turn, total_s)

    def _finished(self, number: int, turn: Turn, total_s: float) -> ev.StepFinished:
        return ev.StepFinished(
            step=number,
            tier=turn.tier,
            tier_name=self.tiers[turn.tier],
            reason="escalated" if turn.tier else "default",
            level=1 if turn.tier else 0,
            thought=turn.text[:240],
            action=f"search: {turn.arguments}"[:160],
            tool="search",
            error=turn.error,
            indicator=turn.indicator,
            check="parsed",
            latency=LatencySplit(
                decode_s=_seconds(turn) - 0.3, tool_s=0.1, prefill_s=0.2, total_s=_seconds(turn)
            ),
            cumulative_s=total_s,
            usage=_usage(turn),
            cost_usd=0.001,
            tokens_per_s=40.0,
        )

    def _ending(self, total_s: float) -> list[ev.AnyEvent]:
        totals = self._totals(total_s)
        if self.end == "finished":
            return [ev.RunFinished(answer=self.answer, answer_source="tagged", totals=totals)]
        if self.end == "failed":
            message, hint = self.error
            where = f"step {len(self.turns)}, tier {self.tiers[-1]}"
            return [
                ev.RunFailed(code="auth", message=message, hint=hint, where=where, totals=totals)
            ]
        if self.end == "cancelled":
            return [ev.RunCancelled(by=self.submitted_by, totals=totals)]
        started = ev.StepStarted(
            step=len(self.turns) + 1, tier=0, tier_name=self.tiers[0], reason="default"
        )
        return [started]

    def _totals(self, total_s: float) -> Totals:
        used = [_usage(turn) for turn in self.turns]
        by_tier = [
            sum(_usage(t).output_tokens for t in self.turns if t.tier == i)
            for i in range(len(self.tiers))
        ]
        return Totals(
            steps=len(self.turns),
            latency_s=total_s,
            usage=sum(used, Usage()),
            output_tokens_by_tier=tuple(by_tier),
            steps_by_tier=tuple(
                sum(t.tier == i for t in self.turns) for i in range(len(self.tiers))
            ),
            switches=sum(a.tier != b.tier for a, b in pairwise(self.turns)),
            cost_usd=0.001 * len(self.turns),
            model_calls=len(self.turns),
        )


def _seconds(turn: Turn) -> float:
    return 2.5 if turn.tier else 1.0


def _usage(turn: Turn) -> Usage:
    return Usage(input_tokens=900, output_tokens=120 if turn.tier else 60, cached_tokens=400)


def turns(number: int) -> list[Turn]:
    """Return turns of which some stall and hand over to the large tier for two steps."""
    return [
        Turn(tier=int(i % 7 in (3, 4)), indicator=0 if i % 7 in (2, 3) else 1, error=i % 19 == 5)
        for i in range(number)
    ]
