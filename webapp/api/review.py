"""REST of the reviews: label sets, queues, labelling, figures, files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import File, Form, Router, Status
from ninja.files import UploadedFile

from collab_core.errors import InvalidInput
from collab_core.review.files import form_of
from webapp.api.access import ERRORS, IDEMPOTENCY_KEY, membership_of, user_of
from webapp.api.schemas import ErrorBody
from webapp.api.schemas_review import (
    GivenInput,
    ImportOut,
    ItemsOut,
    LabelSetInput,
    LabelSetOut,
    QueueInput,
    QueueOut,
    SavedOut,
)
from webapp.review import labelling, reads, services
from webapp.review.exchange import import_labels
from webapp.review.frame import MAX_RUNS
from webapp.review.models import Item, LabelSet, Queue
from webapp.review.set_views import export_answer
from webapp.review.views import filter_words
from webapp.runs.models import Run
from webapp.runs.queries import RunFilters, matching_ids
from webapp.teams.models import User, Workspace

MOST = 200
router = Router(tags=["review"])
TAKEN = {409: ErrorBody, **ERRORS}


def _set(request: HttpRequest, uuid: UUID) -> LabelSet:
    sets = LabelSet.objects.for_user(user_of(request)).select_related("workspace", "adjudicator")
    return get_object_or_404(sets, uuid=uuid)


def _queue(request: HttpRequest, uuid: UUID) -> Queue:
    queues = Queue.objects.for_user(user_of(request)).select_related("label_set__workspace")
    return get_object_or_404(queues, uuid=uuid)


def _item(request: HttpRequest, uuid: UUID, position: int) -> Item:
    queue = _queue(request, uuid)
    labelling.require_place(queue, user_of(request))
    items = Item.objects.filter(queue=queue).select_related("queue__label_set__workspace", "run")
    return get_object_or_404(items, position=position)


def _set_body(label_set: LabelSet) -> dict[str, Any]:
    return {
        "uuid": label_set.uuid,
        "name": label_set.name,
        "question": label_set.question,
        "overlap": label_set.overlap,
        "blind": label_set.blind,
        "adjudicator": label_set.adjudicator.username if label_set.adjudicator else "",
        "created_at": label_set.created_at,
    }


def _queue_body(queue: Queue, user: User) -> dict[str, Any]:
    told = reads.progress(queue, user)
    return {
        "uuid": queue.uuid,
        "name": queue.name,
        "label_set": queue.label_set.name,
        "method": queue.method,
        "seed": queue.seed,
        "population": queue.population,
        "drawn": queue.drawn,
        "done": told.done,
        "labels": told.labels,
        "closed": queue.closed_at is not None,
    }


def _people(workspace: Workspace, names: list[str]) -> list[User]:
    found = {one.username: one for one in services.reviewers(workspace)}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise InvalidInput(f"{unknown[0][:60]} may not review in this workspace.", field="people")
    return [found[name] for name in names]


@router.get("/label-sets", response={200: list[LabelSetOut], **ERRORS})
def list_label_sets(request: HttpRequest, workspace: UUID | None = None) -> list[dict[str, Any]]:
    """Return the label sets of a workspace, the newest first, at most 200."""
    membership = membership_of(request, workspace)
    found = LabelSet.objects.filter(workspace=membership.workspace).select_related("adjudicator")
    return [_set_body(one) for one in found.order_by("-pk")[:MOST]]


@router.post("/label-sets", response={201: LabelSetOut, **ERRORS})
def create_label_set(request: HttpRequest, payload: LabelSetInput) -> Status[dict[str, Any]]:
    """Make a label set; it is blind if the workspace's reviews are."""
    membership = membership_of(request, payload.workspace)
    named = _people(membership.workspace, [payload.adjudicator] if payload.adjudicator else [])
    made = services.create_label_set(
        membership.workspace,
        membership.user,
        name=payload.name,
        question=payload.question,
        overlap=payload.overlap,
        adjudicator=named[0] if named else None,
    )
    return Status(201, _set_body(made))


@router.get("/label-sets/{uuid:uuid}", response={200: LabelSetOut, **ERRORS})
def get_label_set(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """Return a label set."""
    return _set_body(_set(request, uuid))


@router.get("/label-sets/{uuid:uuid}/queues", response={200: list[QueueOut], **ERRORS})
def list_queues(request: HttpRequest, uuid: UUID) -> list[dict[str, Any]]:
    """Return the queues of a label set with their progress, the newest first."""
    queues = _set(request, uuid).queues.select_related("label_set").order_by("-pk")[:MOST]
    return [_queue_body(queue, user_of(request)) for queue in queues]


@router.post("/label-sets/{uuid:uuid}/queues", response={201: QueueOut, **ERRORS})
def create_queue(request: HttpRequest, uuid: UUID, payload: QueueInput) -> Status[dict[str, Any]]:
    """Draw steps of some runs: of those named in `runs`, or of those that `filters` finds."""
    label_set, user = _set(request, uuid), user_of(request)
    filters = RunFilters.from_query(payload.filters)
    if payload.runs:
        found = Run.objects.filter(workspace=label_set.workspace, uuid__in=payload.runs)
        runs = list(found.values_list("pk", flat=True))
        if len(runs) != len(set(payload.runs)):
            raise InvalidInput("Some of these runs are not in this workspace.", field="runs")
    else:
        runs = matching_ids(label_set.workspace, filters, MAX_RUNS + 1)
    wanted = services.Wanted(
        name=payload.name,
        runs=runs,
        words=f"{len(runs)} named runs" if payload.runs else filter_words(filters),
        method=payload.method,
        size=payload.size,
        strata=payload.strata,
        seed=payload.seed,
        people=_people(label_set.workspace, payload.people),
        dealt=payload.dealt,
    )
    return Status(201, _queue_body(services.create_queue(label_set, user, wanted), user))


@router.post("/queues/{uuid:uuid}/next", response={200: ItemsOut, **ERRORS})
def next_items(request: HttpRequest, uuid: UUID, want: int = 1) -> dict[str, Any]:
    """Reserve the next items for the caller and return them, blind where the label set is."""
    queue, user = _queue(request, uuid), user_of(request)
    items = labelling.reserve(queue, user, want=want)
    return {"items": [reads.payload(item, user) for item in items]}


@router.post("/queues/{uuid:uuid}/items/{position}/label", response={200: SavedOut, **TAKEN})
def save_label(
    request: HttpRequest,
    uuid: UUID,
    position: int,
    payload: GivenInput,
    idempotency_key: str | None = IDEMPOTENCY_KEY,
) -> dict[str, Any]:
    """Save the caller's label, or change it. The same `Idempotency-Key` stores it once."""
    given = labelling.Given(**payload.model_dump(), key=idempotency_key)
    saved = labelling.save(_item(request, uuid, position), user_of(request), given)
    return {"position": position, "repeated": saved.repeated, "label": reads.own_label(saved.label)}


@router.post("/queues/{uuid:uuid}/items/{position}/undo", response={200: SavedOut, **ERRORS})
def undo_label(
    request: HttpRequest,
    uuid: UUID,
    position: int,
    idempotency_key: str | None = IDEMPOTENCY_KEY,
) -> dict[str, Any]:
    """Take the caller's label or skip back."""
    item = _item(request, uuid, position)
    saved = labelling.undo(item, user_of(request), key=idempotency_key)
    return {"position": position, "repeated": saved.repeated, "label": reads.own_label(saved.label)}


@router.post("/queues/{uuid:uuid}/items/{position}/skip", response={204: None, **ERRORS})
def skip_item(request: HttpRequest, uuid: UUID, position: int) -> Status[None]:
    """Pass an item over."""
    labelling.skip(_item(request, uuid, position), user_of(request))
    return Status(204, None)


@router.get("/label-sets/{uuid:uuid}/files/{name}", response={**ERRORS})
def get_file(request: HttpRequest, uuid: UUID, name: str) -> HttpResponse:
    """Return `labels.jsonl`, `labels.csv` or `manifest.json`; `X-Withheld` counts steps that are left
    out because the caller could still label them blindly."""
    return export_answer(_set(request, uuid), user_of(request), name)


@router.post("/label-sets/import", response={200: ImportOut, **ERRORS})
def import_file(
    request: HttpRequest,
    into: Form[str],
    file: File[UploadedFile],
    workspace: Form[UUID | None] = None,
) -> dict[str, Any]:
    """Store a file of labels in the label set named `into`; owners only. Rows are refused one by one."""
    membership = membership_of(request, workspace)
    result = import_labels(
        membership.workspace,
        membership.user,
        file.read(),
        form=form_of(file.name or ""),
        into=into,
    )
    if result.label_set is None:
        why = "; ".join(f"line {one.line}: {one.message}" for one in result.refusals[:3])
        raise InvalidInput(
            f"Nothing in this file can be read or kept: {result.refused:,} refused ({why}).",
            field="file",
            hint="No label set was made.",
        )
    return {
        "label_set": result.label_set.uuid,
        "stored": result.stored,
        "unchanged": result.unchanged,
        "refused": result.refused,
        "refusals": [one._asdict() for one in result.refusals],
    }
