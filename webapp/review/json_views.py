"""What the labelling page asks while somebody works: each answer holds only what they may see now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from collab_core.errors import InvalidInput
from webapp.review import labelling, reads
from webapp.review.models import Item, Queue
from webapp.teams.access import current_user

MAX_BODY = 64_000


class NextInput(msgspec.Struct, forbid_unknown_fields=True):
    want: int = 2


class LabelInput(msgspec.Struct, forbid_unknown_fields=True):
    answer: str
    comment: str = ""
    first_error: bool = False
    key: str | None = None
    seconds: float | None = None


class KeyInput(msgspec.Struct, forbid_unknown_fields=True):
    key: str | None = None


def visible_queue(request: HttpRequest, uuid: UUID) -> Queue:
    """Return a queue of one of the user's workspaces; 404 for a stranger."""
    queues = Queue.objects.for_user(current_user(request)).select_related("label_set__workspace")
    return get_object_or_404(queues, uuid=uuid)


def _item(request: HttpRequest, uuid: UUID, position: int) -> Item:
    """Return an item of a queue for somebody who may label there."""
    user = current_user(request)
    queue = visible_queue(request, uuid)
    items = Item.objects.filter(queue=queue).select_related("queue__label_set__workspace", "run")
    item = get_object_or_404(items, position=position)
    labelling.require_place(queue, user)
    return item


def _body(request: HttpRequest, kind: type[Any]) -> Any:
    try:
        if len(request.body) > MAX_BODY:
            raise InvalidInput("The request is too large.", field="body")
        return msgspec.json.decode(request.body or b"{}", type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"The request cannot be read: {error}.", field="body") from error


def _refused(error: InvalidInput) -> JsonResponse:
    told = {"code": error.code, "message": error.message, "hint": error.hint, "field": error.field}
    return JsonResponse(told, status=409 if isinstance(error, labelling.Refused) else 422)


@require_POST
def next_items(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """Reserve the next items and return them with their trajectories, and how far the queue is."""
    queue, user = visible_queue(request, uuid), current_user(request)
    try:
        wanted = _body(request, NextInput)
        items = labelling.reserve(queue, user, want=wanted.want)
    except InvalidInput as error:
        return _refused(error)
    return JsonResponse(
        {
            "items": [reads.payload(item, user) for item in items],
            "progress": reads.progress(queue, user).as_dict(),
            "upcoming": reads.upcoming(queue, user),
            "closed": queue.closed_at is not None,
        }
    )


@require_GET
def item(request: HttpRequest, uuid: UUID, position: int) -> JsonResponse:
    """Return one item, to look at it again."""
    return JsonResponse(reads.payload(_item(request, uuid, position), current_user(request)))


@require_GET
def item_steps(request: HttpRequest, uuid: UUID, position: int) -> JsonResponse:
    """Return more of an item's trajectory: ``?before=12`` or ``?after=40``."""
    found = _item(request, uuid, position)
    for name in ("before", "after"):
        raw = request.GET.get(name, "")
        if raw.isascii() and raw.isdigit() and len(raw) < 10:
            told = reads.more_steps(found, int(raw), earlier=name == "before")
            return JsonResponse(told)
    return _refused(InvalidInput("Say before or after which step.", field="before"))


@require_POST
def save(request: HttpRequest, uuid: UUID, position: int) -> JsonResponse:
    """Save the user's label; the verdict is not told here, so that it can still be undone blind."""
    found, user = _item(request, uuid, position), current_user(request)
    try:
        given = labelling.Given(**msgspec.structs.asdict(_body(request, LabelInput)))
        saved = labelling.save(found, user, given)
    except InvalidInput as error:
        return _refused(error)
    return _saved(found, saved)


@require_POST
def undo(request: HttpRequest, uuid: UUID, position: int) -> JsonResponse:
    """Take the user's label or skip back."""
    found, user = _item(request, uuid, position), current_user(request)
    try:
        saved = labelling.undo(found, user, key=_body(request, KeyInput).key)
    except InvalidInput as error:
        return _refused(error)
    return _saved(found, saved)


def _saved(found: Item, saved: labelling.Saved) -> JsonResponse:
    told = {"position": found.position, "repeated": saved.repeated}
    return JsonResponse({**told, "label": reads.own_label(saved.label)})


@require_POST
def skip(request: HttpRequest, uuid: UUID, position: int) -> JsonResponse:
    """Pass the item over."""
    found, user = _item(request, uuid, position), current_user(request)
    try:
        labelling.skip(found, user)
    except InvalidInput as error:
        return _refused(error)
    return JsonResponse({"position": found.position})


@require_POST
def reveal(request: HttpRequest, uuid: UUID, position: int) -> JsonResponse:
    """Show the user what was hidden of an item that they have labelled."""
    found, user = _item(request, uuid, position), current_user(request)
    if not labelling.reveal(found, user):
        return _refused(InvalidInput("Save your label first; then the verdict is shown."))
    return JsonResponse(reads.revealed(found, user))
