"""What wrong verdicts cost in a run: time on the lower tier, large steps that nobody needed.

Only decisions that a verdict led to count, told by the reasons in the log: a step is *below* if its
reason is ``default`` or ``restored``, *above* if it is ``escalated`` or ``budget_left``. Warm-up steps
and steps of strategies that do not listen to verdicts are neither, and have no consequences here.

All of it is per agent instance (scope): what a seeker says escalates that seeker only.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec

from collab_core import events as ev
from collab_core.review.labels import Label
from collab_core.review.rates import Rate, weighted_rate
from collab_core.review.settle import settle
from collab_core.runtime.costs import add_cost

BELOW = frozenset({"default", "restored"})
ABOVE = frozenset({"escalated", "budget_left"})


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Steps with their time and money; None USD = a price is unknown."""

    steps: int = 0
    seconds: float = 0.0
    usd: float | None = 0.0


class FalseProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A step whose "progress" was none, and what followed from believing it.

    ``lost``: the steps behind it that ran below, up to the next escalation (the first step whose
    reason is ``escalated``) or to the end of the instance.
    """

    step: int
    lost: Spent
    until: Literal["escalation", "end"]


class MissedProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A step whose "no progress" was progress, and what followed from believing it.

    ``large``: the steps above directly behind it, up to the one that gave control back. A stall within
    a take-over counts what it prolonged it by. Their price is gross: what the lower tier would have
    spent instead is not known.
    """

    step: int
    large: Spent


class Escalation(msgspec.Struct, frozen=True, kw_only=True):
    """One take-over of a higher tier."""

    step: int
    """The first step above."""
    needed: bool | None
    """The step before made no progress by its label; None = that is not known."""
    large: Spent
    """All its steps above."""
    steps_to_progress: int | None
    """Steps from its first on, up to and with the first one labelled as progress; None = there is
    none, or a step before it has no label."""


class Consequences(msgspec.Struct, frozen=True, kw_only=True):
    """Of one run; each list in the order of the log."""

    false_progress: tuple[FalseProgress, ...]
    missed_progress: tuple[MissedProgress, ...]
    escalations: tuple[Escalation, ...]
    lost: Spent
    """By all false progress; a step that two of them lost counts once."""
    large: Spent
    """By all missed progress; likewise."""


class EscalationTable(msgspec.Struct, frozen=True, kw_only=True):
    """Needed or not x escalated or not, over labelled steps below that another step followed.

    Needed: the label says no progress. Escalated: the next step of the instance is ``escalated``.
    """

    needed_escalated: int
    needed_not: int
    unneeded_escalated: int
    unneeded_not: int
    needed_of_escalated: Rate
    """Precision: of the escalations, how many were needed; weighted, with its interval."""
    escalated_of_needed: Rate
    """Recall: of the steps that needed one, how many had one."""


def consequences(records: Iterable[ev.Recorded], labels: Iterable[Label]) -> Consequences:
    """Return what the labels say of one run's log; labels of other runs must not be among them."""
    settled = {label.step: label for label in settle(labels)}
    false: list[FalseProgress] = []
    missed: list[MissedProgress] = []
    escalations: list[Escalation] = []
    lost: dict[int, ev.StepFinished] = {}
    large: dict[int, ev.StepFinished] = {}
    for steps in _instances(records):
        for at, step in enumerate(steps):
            label = settled.get(step.step)
            if step.reason == "escalated":
                escalations.append(_escalation(steps, at, settled))
            if label is None or step.reason not in BELOW | ABOVE:
                continue
            if label.kind == "false_progress":
                behind, until = _lost_behind(steps, at)
                false.append(FalseProgress(step=step.step, lost=_spent(behind), until=until))
                lost |= {one.step: one for one in behind}
            elif label.kind == "missed_progress":
                behind = _above_from(steps, at + 1)
                missed.append(MissedProgress(step=step.step, large=_spent(behind)))
                large |= {one.step: one for one in behind}
    return Consequences(
        false_progress=tuple(sorted(false, key=lambda one: one.step)),
        missed_progress=tuple(sorted(missed, key=lambda one: one.step)),
        escalations=tuple(sorted(escalations, key=lambda one: one.step)),
        lost=_spent(lost.values()),
        large=_spent(large.values()),
    )


def escalation_table(
    runs: Mapping[UUID, Sequence[ev.Recorded]], labels: Iterable[Label]
) -> EscalationTable:
    """Return the table over runs; labels of runs that are not given are left out."""
    settled = {label.item: label for label in settle(labels)}
    rows: list[tuple[Label, bool]] = []
    for run_id, records in runs.items():
        for steps in _instances(records):
            for step, following in itertools.pairwise(steps):
                label = settled.get((run_id, step.step))
                known = label is not None and label.made_progress is not None
                if label is not None and known and step.reason in BELOW:
                    rows.append((label, following.reason == "escalated"))
    needed = [label.made_progress is False for label, _ in rows]
    escalated = [raised for _, raised in rows]
    count = [sum(pair == both for both in zip(needed, escalated, strict=True)) for pair in _PAIRS]
    return EscalationTable(
        needed_escalated=count[0],
        needed_not=count[1],
        unneeded_escalated=count[2],
        unneeded_not=count[3],
        needed_of_escalated=_share(rows, needed, among=escalated),
        escalated_of_needed=_share(rows, escalated, among=needed),
    )


_PAIRS = ((True, True), (True, False), (False, True), (False, False))


def _share(
    rows: Sequence[tuple[Label, bool]], counted: Sequence[bool], *, among: Sequence[bool]
) -> Rate:
    at = [place for place, kept in enumerate(among) if kept]
    return weighted_rate(
        [counted[place] for place in at],
        [1.0 / rows[place][0].probability for place in at],
        [rows[place][0].run_id for place in at],
    )


def _instances(records: Iterable[ev.Recorded]) -> list[list[ev.StepFinished]]:
    found: dict[str, list[ev.StepFinished]] = defaultdict(list)
    for record in records:
        if isinstance(record.event, ev.StepFinished):
            found[record.event.scope].append(record.event)
    return list(found.values())


def _lost_behind(
    steps: Sequence[ev.StepFinished], at: int
) -> tuple[list[ev.StepFinished], Literal["escalation", "end"]]:
    behind: list[ev.StepFinished] = []
    for step in steps[at + 1 :]:
        if step.reason == "escalated":
            return behind, "escalation"
        if step.reason in BELOW:
            behind.append(step)
    return behind, "end"


def _above_from(steps: Sequence[ev.StepFinished], start: int) -> list[ev.StepFinished]:
    """Return the take-over that is under way or begins at ``start``, without a second one."""
    taken: list[ev.StepFinished] = []
    for step in steps[start:]:
        if step.reason not in ABOVE or (taken and step.reason == "escalated"):
            break
        taken.append(step)
    return taken


def _escalation(
    steps: Sequence[ev.StepFinished], at: int, settled: Mapping[int, Label]
) -> Escalation:
    before = settled.get(steps[at - 1].step) if at else None
    known = before is not None and before.made_progress is not None
    return Escalation(
        step=steps[at].step,
        needed=before.made_progress is False if before is not None and known else None,
        large=_spent(_above_from(steps, at)),
        steps_to_progress=_steps_to_progress(steps[at:], settled),
    )


def _steps_to_progress(
    steps: Sequence[ev.StepFinished], settled: Mapping[int, Label]
) -> int | None:
    for count, step in enumerate(steps, start=1):
        label = settled.get(step.step)
        if label is None or label.made_progress is None:
            return None
        if label.made_progress:
            return count
    return None


def _spent(steps: Iterable[ev.StepFinished]) -> Spent:
    count, seconds = 0, 0.0
    usd: float | None = 0.0
    for step in steps:
        count += 1
        seconds += step.latency.total_s
        usd = add_cost(usd, step.cost_usd)
    return Spent(steps=count, seconds=seconds, usd=usd)
