"""Disagreements of a label set, and the decisions of those who may decide them."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Max
from django.urls import reverse
from django.utils import timezone

from collab_core.errors import InvalidInput
from collab_core.review.agreement import Disagreement, agreement
from webapp.experiments import labels as experiment_labels
from webapp.review.labels import ANSWERS, blind_places, core_labels, kind
from webapp.review.models import Answer, Decision, Item, LabelSet
from webapp.teams import audit
from webapp.teams.access import role_in
from webapp.teams.models import Role, User

MAX_REASON_CHARS = 2_000


class Dispute(NamedTuple):
    """A step on which answers differ, as the list shows it."""

    item: Item
    answers: list[tuple[str, str]]
    """Reviewer and what they said."""
    decision: Decision | None
    kind: str
    """What decision and verdict come to."""


def may_decide(label_set: LabelSet, user: User) -> bool:
    """Whether this person is an owner, or the set's adjudicator and still may review."""
    membership = role_in(user, label_set.workspace_id)
    named = label_set.adjudicator_id == user.pk and membership.may_review
    return membership.role == Role.OWNER or named


def disputes(label_set: LabelSet, user: User) -> list[Dispute]:
    """Return the disagreements, undecided ones first; without the steps that are blind for ``user``."""
    found = agreement(core_labels(label_set)).disagreements
    places = {(one.run_id, one.step) for one in found}
    hidden = blind_places(user, {run_id for run_id, _ in places})
    items: dict[tuple[UUID, int], Item] = {}
    wanted = Item.objects.filter(
        queue__label_set=label_set, run_uuid__in={run_id for run_id, _ in places}
    )
    for item in wanted.select_related("run").order_by("-pk"):
        items[item.run_uuid, item.step] = item
    decided = {
        (one.run_uuid, one.step): one
        for one in Decision.objects.filter(label_set=label_set).order_by("number")
    }
    return [
        _dispute(one, items[one.run_id, one.step], decided.get((one.run_id, one.step)))
        for one in found
        if (one.run_id, one.step) not in hidden
    ]


def _dispute(one: Disagreement, item: Item, decision: Decision | None) -> Dispute:
    answers = [(who, Answer(ANSWERS[said]).label) for who, said in sorted(one.answers.items())]
    told = kind(decision.answer, item.verdict) if decision else ""
    return Dispute(item, answers, decision, told)


def decide(
    label_set: LabelSet, user: User, *, run_uuid: UUID, step: int, answer: str, reason: str
) -> Decision:
    """Store a decision with its reason; an earlier one of the same step is kept below it.

    Raises:
        InvalidInput: no disagreement there, no answer, no reason.
        Http404, PermissionDenied: a stranger, somebody who does not decide here.
    """
    if not may_decide(label_set, user):
        raise PermissionDenied("Disagreements are decided by an owner or the named adjudicator.")
    if answer not in Answer.values:
        raise InvalidInput(f"Decide on one of {', '.join(Answer.values)}.", field="answer")
    words = reason.replace("\x00", "\ufffd").strip()
    if not 1 <= len(words) <= MAX_REASON_CHARS:
        raise InvalidInput(
            f"A decision needs a reason of 1 to {MAX_REASON_CHARS:,} characters.", field="reason"
        )
    with transaction.atomic():
        items = Item.objects.of_step(label_set.pk, run_uuid, step).select_for_update()
        item = next(iter(items.order_by("pk")), None)
        disputed = {(one.item.run_uuid, one.item.step) for one in disputes(label_set, user)}
        if item is None or (run_uuid, step) not in disputed:
            raise InvalidInput("There is no disagreement on this step.", field="step")
        earlier = Decision.objects.filter(label_set=label_set, run_uuid=run_uuid, step=step)
        decision = Decision.objects.create(
            label_set=label_set,
            run_uuid=run_uuid,
            step=step,
            number=1 + (earlier.aggregate(last=Max("number"))["last"] or 0),
            answer=answer,
            reason=words,
            by=user.username,
            at=timezone.now(),
        )
        experiment_labels.changed(run_uuid)
        _record(item, label_set, user, decision)
    return decision


def _record(item: Item, label_set: LabelSet, user: User, decision: Decision) -> None:
    detail: dict[str, Any] = {"label_set": label_set.name, "number": decision.number}
    audit.record(
        label_set.workspace_id,
        user,
        audit.Action.LABEL_ADJUDICATED,
        target=str(item),
        url=reverse("review:disagreements", args=[label_set.uuid]),
        detail=detail,
    )
