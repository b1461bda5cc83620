"""Reading logs for pages and sockets: stored bodies are joined into JSON, and only those of drafts decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from django.db.models import Q, QuerySet

from collab_core.events import (
    TERMINAL_TYPES,
    AnyEvent,
    DraftDiscarded,
    ModelReplied,
    decode_body,
    frame,
)
from collab_core.strategies.registry import STRATEGIES
from webapp.runs.models import Run, RunEvent, Status

STEP_BODIES = (
    "model.replied",
    "scorer.returned",
    "draft.discarded",
    "tool.returned",
    "progress.judged",
)
MAX_STEPS_A_CALL = 100
PAGE = 1_000

Place = tuple[int, float, str]
"""seq, at, body."""


class Tail(NamedTuple):
    """A stretch of a log, ready for the wire."""

    frames: list[tuple[int, bytes]]
    more: bool


def _frame(row: Place) -> bytes:
    return frame(row[0], row[1], row[2].encode())


def _joined(rows: Sequence[Place]) -> bytes:
    return b"[" + b",".join(map(_frame, rows)) + b"]"


def events_since(run_id: int, since: int, limit: int = PAGE) -> Tail:
    """Return the events after ``since``, at most ``limit`` of them."""
    rows = list(
        RunEvent.objects.filter(run_id=run_id, seq__gt=since)
        .order_by("seq")
        .values_list("seq", "at", "body")[: limit + 1]
    )
    return Tail([(row[0], _frame(row)) for row in rows[:limit]], len(rows) > limit)


def head(run_id: int) -> int:
    """Return the last seq; -1 for a run that is gone."""
    next_seq = Run.objects.filter(pk=run_id).values_list("next_seq", flat=True).first()
    return -1 if next_seq is None else next_seq - 1


def heads(run_ids: Sequence[int]) -> dict[int, int]:
    """Return the last seq of each run."""
    rows = Run.objects.filter(pk__in=run_ids).values_list("pk", "next_seq")
    return {pk: next_seq - 1 for pk, next_seq in rows}


def snapshot(run: Run) -> bytes:
    """Return the whole picture of a run without its bodies.

    Consistent without a transaction: a log only grows, so everything up to the head that was read
    with the row belongs together. Steps under way come with all their events: where agents work
    side by side, one may have begun long before another's last step ended.
    """
    run = Run.objects.select_related("submitted_by", "parent").get(pk=run.pk)
    last = run.next_seq - 1
    events = RunEvent.objects.filter(run=run, seq__lte=last).order_by("seq")
    steps = list(events.filter(type="step.finished").values_list("seq", "at", "body"))
    switches = list(events.filter(type="tier.switched").values_list("seq", "at", "body"))
    after = steps[-1][0] if steps else -1
    wanted = Q(seq__gt=after) | Q(type__in=TERMINAL_TYPES, seq=last) | Q(step__in=_open(events))
    tail = list(events.filter(wanted).values_list("seq", "at", "body"))
    return b'{"run":%s,"steps":%s,"drafts":%s,"switches":%s,"tail":%s,"head":%d}' % (
        msgspec.json.encode(run_dict(run)),
        _joined(steps),
        msgspec.json.encode(_drafts(events)),
        _joined(switches),
        _joined(tail),
        last,
    )


def _drafts(events: QuerySet[RunEvent]) -> list[dict[str, float]]:
    """Return what the discarded drafts of each finished step took, which its record adds to its own."""
    rejected = {
        (draft.step, draft.scope, draft.tier)
        for draft in _decoded(events.filter(type="draft.discarded"))
        if isinstance(draft, DraftDiscarded)
    }
    steps = {step for step, _, _ in rejected} - set(_open(events) if rejected else [])
    spent: dict[int, dict[str, float]] = {}
    for reply in _decoded(events.filter(type="model.replied", step__in=steps) if steps else []):
        if isinstance(reply, ModelReplied) and (reply.step, reply.scope, reply.tier) in rejected:
            sums = spent.setdefault(
                reply.step, {"step": reply.step, "output_tokens": 0, "total_s": 0.0}
            )
            sums["output_tokens"] += reply.usage.output_tokens
            sums["total_s"] += reply.timing.total_s
    return list(spent.values())


def _decoded(events: Iterable[RunEvent]) -> Iterator[AnyEvent]:
    return (decode_body(event.body) for event in events)


def _open(events: QuerySet[RunEvent]) -> list[int]:
    """Return the steps that have begun and not ended."""
    begun = events.filter(type="step.started").values_list("step", flat=True)
    ended = events.filter(type="step.finished").values_list("step", flat=True)
    return sorted(set(begun) - set(ended))


def step_bodies(run: Run, first: int, last: int) -> bytes:
    """Return what became of steps ``first``..``last`` (<= 100): their events but for the records."""
    last = min(last, first + MAX_STEPS_A_CALL - 1)
    rows = RunEvent.objects.filter(
        run=run, step__gte=first, step__lte=last, type__in=STEP_BODIES
    ).order_by("seq")
    return b'{"events":%s}' % _joined(list(rows.values_list("seq", "at", "body")))


def log_lines(run: Run) -> Iterator[bytes]:
    """Yield the log, one JSON object a line, up to the head at the time of the call."""
    last, since = run.next_seq - 1, -1
    while since < last:
        tail = events_since(run.pk, since, min(PAGE, last - since))
        if not tail.frames:
            return
        since = tail.frames[-1][0]
        yield b"".join(text + b"\n" for _, text in tail.frames)


def queue_position(run: Run) -> int | None:
    """Return 1 for the next in line; None for a run that does not wait."""
    if run.status != Status.QUEUED:
        return None
    return 1 + Run.objects.alive().filter(status=Status.QUEUED, pk__lt=run.pk).count()


def run_dicts(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return several runs; the queue is looked at once."""
    waiting: list[int] = []
    if any(run.status == Status.QUEUED for run in runs):
        waiting = list(
            Run.objects.alive()
            .filter(status=Status.QUEUED)
            .order_by("pk")
            .values_list("pk", flat=True)
        )
    places = {pk: place for place, pk in enumerate(waiting, start=1)}
    return [_as_dict(run, places.get(run.pk)) for run in runs]


def run_dict(run: Run) -> dict[str, Any]:
    """Return the run as JSON values: the same on the page's snapshot and over REST."""
    return _as_dict(run, queue_position(run))


def _as_dict(run: Run, position: int | None) -> dict[str, Any]:
    strategy = STRATEGIES.get(run.strategy)
    return {
        "uuid": str(run.uuid),
        "ref": run.ref,
        "status": run.status,
        "question": run.question,
        "strategy": run.strategy,
        "strategy_title": strategy.title if strategy else run.strategy,
        "parameters": run.parameters,
        "tiers": [{"name": tier["name"], "model": tier["model"]} for tier in run.tiers],
        "ladder_name": run.ladder_name,
        "tools": run.tools,
        "sandbox": run.sandbox or "",
        "seed": run.seed,
        "limits": run.limits,
        "simulated": run.simulated,
        "stand_in": bool(run.stand_in),
        "task_id": run.task_id,
        "gold": run.gold if run.ended else [],
        "outcome": run.outcome,
        "answer": run.answer,
        "ended_by": run.ended_by,
        "error": {"code": run.error_code, "message": run.error_message, "hint": run.error_hint}
        if run.error_code
        else None,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "submitted_by": run.submitted_by.username if run.submitted_by else "",
        "forked_from": {
            "uuid": str(run.parent.uuid),
            "ref": run.parent.ref,
            "after_step": run.fork_step,
        }
        if run.parent
        else None,
        "race": str(run.race) if run.race else None,
        "cancel_requested": run.cancel_requested_at is not None,
        "queue_position": position,
        "steps": run.steps,
        "latency_s": run.latency_s,
        "switches": run.switches,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "top_tier_output_tokens": run.top_tier_output_tokens,
        "cost_usd": run.cost_usd,
        "tier_path": run.tier_path,
        "stall_path": run.stall_path,
    }
