"""From a run's log to what the tables need of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from collab_core import events as ev
from collab_core.domain import Totals
from collab_core.errors import InvalidInput
from collab_core.experiments.records import Facts, Trace
from collab_core.metrics import tier_paths

FACT_TYPES = ev.TERMINAL_TYPES | {"run.queued", "scorer.returned", "step.finished"}
"""The types of events that :func:`facts_of` reads: who keeps logs in a database need not load the
others, among them all that hold long texts."""


def facts_of(history: Iterable[ev.Recorded]) -> tuple[Facts, Trace]:
    """Return what the log of an ended run adds up to; only events of ``FACT_TYPES`` matter.

    What was spent comes from the totals of the last event, which hold what no other event does: a
    step that never finished, a call that never gave a reply. Steps come from the finished ones.

    Raises:
        InvalidInput: the run has not ended.
    """
    queued: ev.RunQueued | None = None
    steps: list[ev.StepFinished] = []
    totals: Totals | None = None
    stand_in = False
    for record in history:
        match record.event:
            case ev.StepFinished() as step:
                steps.append(step)
            case ev.ScorerReturned() as scored:
                stand_in = stand_in or scored.stand_in
            case ev.RunQueued() as queued:
                pass
            case ev.RunFinished() | ev.RunFailed() | ev.RunCancelled() as end:
                totals = end.totals
    if totals is None:
        raise InvalidInput(
            "The log has no last event: its run has not ended.",
            field="history",
            hint="Wait until the run has finished, failed or was stopped.",
        )
    facts = _facts(steps, totals, simulated=_simulated(queued), stand_in=stand_in)
    return facts, _trace(steps, top=_top(totals))


def _simulated(queued: ev.RunQueued | None) -> bool:
    return queued is not None and (
        queued.simulated or any(tier.simulated for tier in queued.ladder)
    )


def _facts(
    steps: Sequence[ev.StepFinished], totals: Totals, *, simulated: bool, stand_in: bool
) -> Facts:
    paths = tier_paths((step.scope, step.tier) for step in steps)
    moves = [pair for path in paths for pair in itertools.pairwise(path)]
    top = _top(totals)
    verdicts = [step.indicator for step in steps if step.indicator is not None]
    return Facts(
        steps=len(steps),
        large_steps=sum(step.tier == top for step in steps),
        switches=sum(before != after for before, after in moves),
        moves=len(moves),
        latency_s=totals.latency_s + totals.unfinished_s,
        input_tokens=totals.usage.input_tokens,
        cached_tokens=totals.usage.cached_tokens,
        output_tokens=totals.usage.output_tokens,
        large_output_tokens=sum(totals.output_tokens_by_tier[-1:]),
        cost_usd=totals.cost_usd,
        model_calls=totals.model_calls,
        checks=len(verdicts),
        stalls=verdicts.count(0),
        checks_unusable=totals.checks_missing + totals.checks_malformed,
        escalations=sum(before < after for before, after in moves),
        drafts_discarded=totals.drafts_discarded,
        simulated=simulated,
        stand_in=stand_in,
    )


def _top(totals: Totals) -> int | None:
    return len(totals.steps_by_tier) - 1 if totals.steps_by_tier else None


def _trace(steps: Sequence[ev.StepFinished], *, top: int | None) -> Trace:
    return Trace(
        top=top,
        tiers=tuple(step.tier for step in steps),
        scopes=tuple(step.scope for step in steps),
        latency_s=tuple(step.latency.total_s for step in steps),
        cumulative_s=tuple(step.cumulative_s for step in steps),
        output_tokens=tuple(step.usage.output_tokens for step in steps),
        decode_s=tuple(step.latency.decode_s for step in steps),
        verdicts=tuple(step.indicator for step in steps),
    )
