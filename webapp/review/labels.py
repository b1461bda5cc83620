"""Stored labels as the core knows them, and what of them somebody may see.

A step is *blind for a person* while it waits, in a blind label set, for a label that this person may
give and has not given. Nobody's labels of such a step are told to them, on no page and in no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from collab_core.review.labels import Label, kind_of
from webapp.review.models import (
    Answer,
    Decision,
    Item,
    LabelRevision,
    LabelSet,
    Opening,
    Queue,
    StepLabel,
)
from webapp.runs.models import Run
from webapp.teams.models import User

MADE_PROGRESS = {Answer.YES: True, Answer.NO: False, Answer.UNSURE: None}
ANSWERS = {made: answer for answer, made in MADE_PROGRESS.items()}
ADJUDICATOR = " (adjudicator)"
"""Behind the name of who decided: their own label of the step stays another one."""
Place = tuple[UUID, int]
"""Run and step."""


def kind(answer: str, verdict: int | None) -> str:
    """Return what label and verdict come to: correct, false_progress, missed_progress …"""
    if not answer:
        return ""
    return kind_of(made_progress=MADE_PROGRESS[Answer(answer)], verdict=verdict)


# --- what is blind for whom ---------------------------------------------------------------------
def blind_items(user: User, **where: Any) -> Any:
    """Return the items that this person could still label blindly, as a queryset."""
    own = StepLabel.objects.current().filter(
        label_set=OuterRef("queue__label_set"),
        run_uuid=OuterRef("run_uuid"),
        step=OuterRef("step"),
        reviewer=user.username,
    )
    reviews = LabelSet.objects.filter(
        pk=OuterRef("queue__label_set"),
        workspace__memberships__user=user,
        workspace__memberships__role__in=("owner", "member", "reviewer"),
    )
    queue = Queue.objects.filter(pk=OuterRef("queue"))
    return (
        Item.objects.filter(
            closed=False, queue__closed_at=None, queue__label_set__blind=True, **where
        )
        .filter(Exists(reviews), ~Exists(own))
        .filter(Exists(queue.filter(Q(people=None) | Q(people=user))))
    )


def blind_places(user: User, run_uuids: Iterable[UUID]) -> set[Place]:
    """Return the steps of these runs whose labels and verdicts are hidden from this person."""
    found = blind_items(user, run_uuid__in=list(run_uuids))
    return set(found.values_list("run_uuid", "step"))


def note_opened(user: User, run_uuids: Sequence[UUID]) -> None:
    """Keep that somebody opened pages that show the verdicts of runs, where they label blindly.

    Called by everything that tells verdicts of a whole run; two queries where there is nothing to keep.
    """
    note_revealed(user, run_uuids)
    runs = set(blind_items(user, run_uuid__in=list(run_uuids)).values_list("run_uuid", flat=True))
    if runs:
        now = timezone.now()
        rows = [Opening(run_uuid=uuid, user=user, at=now) for uuid in sorted(runs)]
        Opening.objects.bulk_create(rows, ignore_conflicts=True)


def note_revealed(user: User, run_uuids: Sequence[UUID]) -> None:
    """Keep that somebody saw the verdicts on what they have labelled: changes are blind no more."""
    unseen = StepLabel.objects.current().filter(
        run_uuid__in=list(run_uuids),
        reviewer=user.username,
        revealed_at=None,
        label_set__blind=True,
        label_set__workspace__memberships__user=user,
    )
    labels = list(unseen.values_list("pk", flat=True))
    if labels:
        StepLabel.objects.filter(pk__in=labels).update(revealed_at=timezone.now())


# --- labels for other pages ---------------------------------------------------------------------
def labels_of(runs: Sequence[Run], user: User) -> dict[UUID, dict[int, list[dict[str, Any]]]]:
    """Return by run and step what people said of its verdicts, as far as ``user`` may see it.

    Each label: ``{"reviewer", "answer", "kind", "comment", "first_error", "label_set"}``; a decision
    comes last, with ``"decision": True``. Steps without labels, or blind for the user, are missing.
    """
    uuids = [run.uuid for run in runs]
    hidden = blind_places(user, uuids)
    found: dict[UUID, dict[int, list[dict[str, Any]]]] = {}
    verdicts: dict[Place, int | None] = {}
    given = StepLabel.objects.current().filter(run_uuid__in=uuids)
    for label in given.select_related("label_set", "item").order_by("saved_at"):
        place = (label.run_uuid, label.step)
        verdicts[place] = label.item.verdict
        if place not in hidden:
            found.setdefault(place[0], {}).setdefault(place[1], []).append(_told(label))
    decided = Decision.objects.filter(run_uuid__in=uuids).select_related("label_set")
    latest = {(d.label_set_id, d.run_uuid, d.step): d for d in decided.order_by("number")}
    for decision in latest.values():
        place = (decision.run_uuid, decision.step)
        if place not in hidden and place in verdicts:
            told = _told_decision(decision, verdicts[place])
            found.setdefault(place[0], {}).setdefault(place[1], []).append(told)
    return found


def _told(label: StepLabel) -> dict[str, Any]:
    return {
        "reviewer": label.reviewer,
        "answer": label.answer,
        "kind": kind(label.answer, label.item.verdict),
        "comment": label.comment,
        "first_error": label.first_error,
        "label_set": label.label_set.name,
        "decision": False,
    }


def _told_decision(decision: Decision, verdict: int | None) -> dict[str, Any]:
    return {
        "reviewer": decision.by,
        "answer": decision.answer,
        "kind": kind(decision.answer, verdict),
        "comment": decision.reason,
        "first_error": False,
        "label_set": decision.label_set.name,
        "decision": True,
    }


# --- labels for the core ------------------------------------------------------------------------
def core_labels(
    label_set: LabelSet, *, history: bool = False, without: set[Place] | None = None
) -> list[Label]:
    """Return the labels and decisions of a set, in the order of runs and steps.

    Args:
        history: also the earlier states of changed labels.
        without: steps to leave out (:func:`blind_places`).
    """
    given = StepLabel.objects.filter(label_set=label_set).select_related("item")
    rows = list(given.order_by("run_uuid", "step", "reviewer"))
    items = {(row.run_uuid, row.step): row.item for row in rows}
    if history:
        found = [_of_revision(label_set, one) for one in _revisions(label_set)]
    else:
        found = [_of_label(label_set, row) for row in rows if row.answer]
    found += [
        _of_decision(label_set, one, items[one.run_uuid, one.step])
        for one in Decision.objects.filter(label_set=label_set).order_by(
            "run_uuid", "step", "number"
        )
        if (one.run_uuid, one.step) in items
    ]
    return [label for label in found if without is None or label.item not in without]


def _revisions(label_set: LabelSet) -> Iterable[LabelRevision]:
    return (
        LabelRevision.objects.filter(label__label_set=label_set)
        .exclude(answer="")
        .exclude(label__answer="")  # taken back: none of its states counts
        .select_related("label__item")
        .order_by("label__run_uuid", "label__step", "label__reviewer", "number")
    )


def _facts(label_set: LabelSet, item: Item) -> dict[str, Any]:
    return {
        "run_id": item.run_uuid,
        "step": item.step,
        "scope": item.scope,
        "label_set": label_set.name,
        "verdict": item.verdict,
        "check": item.check_status,
        "tier": item.tier,
        "tier_name": item.tier_name,
        "model": item.model,
        "strategy": item.strategy,
        "ladder": item.ladder,
        "task_id": item.task_id,
        "collection": item.collection,
        "step_position": item.step_position,
        "prompt_version": item.prompt_version,
        "simulated": item.simulated,
        "probability": item.probability,
        "stratum": item.stratum,
    }


def _of_label(label_set: LabelSet, label: StepLabel) -> Label:
    return Label(
        reviewer=label.reviewer,
        made_progress=MADE_PROGRESS[Answer(label.answer)],
        first_error=label.first_error,
        comment=label.comment,
        at=label.saved_at.timestamp(),
        blind=label.blind and not label.opened,
        revision=label.revision,
        **_facts(label_set, label.item),
    )


def _of_revision(label_set: LabelSet, one: LabelRevision) -> Label:
    return Label(
        reviewer=one.label.reviewer,
        made_progress=MADE_PROGRESS[Answer(one.answer)],
        first_error=one.first_error,
        comment=one.comment,
        at=one.at.timestamp(),
        blind=one.blind,
        revision=one.number,
        **_facts(label_set, one.label.item),
    )


def _of_decision(label_set: LabelSet, decision: Decision, item: Item) -> Label:
    return Label(
        reviewer=decision.by + ADJUDICATOR,
        made_progress=MADE_PROGRESS[Answer(decision.answer)],
        comment=decision.reason,
        at=decision.at.timestamp(),
        blind=False,
        revision=decision.number,
        adjudicated=True,
        **_facts(label_set, item),
    )
