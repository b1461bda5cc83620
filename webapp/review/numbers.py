"""The figures of a label set: the core computes them, this collects what they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from collab_core.events import Recorded, decode_body
from collab_core.review.agreement import Agreement, agreement
from collab_core.review.consequences import EscalationTable, Spent, consequences, escalation_table
from collab_core.review.labels import Label
from collab_core.review.rates import KEYS, Rates, rates, rates_by
from collab_core.runtime.costs import add_cost
from webapp.review.labels import core_labels
from webapp.review.models import LabelSet
from webapp.runs.models import Run, RunEvent

MAX_GROUPS = 40
MAX_RUNS = 2_000
"""Runs whose steps are read for what wrong verdicts cost."""
WORDS = {
    "tier": "Tier",
    "model": "Model",
    "strategy": "Strategy",
    "ladder": "Ladder",
    "collection": "Tasks",
    "step_position": "Step position",
    "prompt_version": "Prompt version",
}


class Group(NamedTuple):
    """Rates by one thing."""

    key: str
    title: str
    rows: list[tuple[str, Rates]]
    more: int
    """Groups beyond the ones shown."""


class Costs(NamedTuple):
    """What wrong verdicts cost in the labelled runs that are still there."""

    runs: int
    left_out: int
    """Runs that were deleted, or too many to read."""
    false: int
    missed: int
    lost: Spent
    large: Spent
    table: EscalationTable


class Numbers(NamedTuple):
    """Everything on the numbers page."""

    rates: Rates
    groups: list[Group]
    """By what there are several of."""
    shared: list[tuple[str, str]]
    """What all labelled steps have in common: title and name."""
    agreement: Agreement
    costs: Costs


def numbers(label_set: LabelSet) -> Numbers:
    """Return the figures of a set's current labels."""
    labels = core_labels(label_set)
    groups = [_group(labels, key, title) for key, title in WORDS.items()]
    return Numbers(
        rates(labels),
        [group for group in groups if len(group.rows) > 1],
        [(group.title, group.rows[0][0]) for group in groups if len(group.rows) == 1],
        agreement(labels),
        _costs(labels),
    )


def _group(labels: Sequence[Label], key: str, title: str) -> Group:
    found = list(rates_by(labels, KEYS[key]).items())
    named = [(name or "not told", row) for name, row in found]
    if key == "step_position":
        named.sort(key=lambda row: int(row[0].split("-")[0].split()[0]))
    return Group(key, title, named[:MAX_GROUPS], max(0, len(named) - MAX_GROUPS))


def _costs(labels: Sequence[Label]) -> Costs:
    by_run: dict[UUID, list[Label]] = {}
    for label in labels:
        by_run.setdefault(label.run_id, []).append(label)
    logs = _logs(list(by_run)[:MAX_RUNS])
    found = [consequences(records, by_run[uuid]) for uuid, records in logs.items()]
    return Costs(
        runs=len(logs),
        left_out=len(by_run) - len(logs),
        false=sum(len(one.false_progress) for one in found),
        missed=sum(len(one.missed_progress) for one in found),
        lost=_sum(one.lost for one in found),
        large=_sum(one.large for one in found),
        table=escalation_table(logs, [label for uuid in logs for label in by_run[uuid]]),
    )


def _logs(uuids: Sequence[UUID]) -> dict[UUID, list[Recorded]]:
    """Return the finished steps of runs; nothing else of a log counts here."""
    known = dict(Run.objects.filter(uuid__in=uuids).values_list("pk", "uuid"))
    logs: dict[UUID, list[Recorded]] = {uuid: [] for uuid in known.values()}
    rows = RunEvent.objects.filter(run__in=known, type="step.finished").order_by("run_id", "seq")
    for run_id, seq, at, body in rows.values_list("run_id", "seq", "at", "body"):
        logs[known[run_id]].append(Recorded(seq=seq, at=at, event=decode_body(body)))
    return logs


def _sum(all_spent: Iterable[Spent]) -> Spent:
    total = Spent()
    for one in all_spent:
        total = Spent(
            steps=total.steps + one.steps,
            seconds=total.seconds + one.seconds,
            usd=add_cost(total.usd, one.usd),
        )
    return total
