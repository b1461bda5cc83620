"""Comments as JSON for the page of a run; the page of notifications."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from collab_core.errors import InvalidInput
from webapp.discussion import reads, services
from webapp.discussion.models import Comment, Notification
from webapp.review.labels import blind_places, note_opened
from webapp.runs.models import Run
from webapp.runs.services import QuotaReached
from webapp.teams.access import current_user, role_in
from webapp.teams.models import Role


def _run(request: HttpRequest, uuid: UUID) -> Run:
    return get_object_or_404(Run.objects.for_user(current_user(request)), uuid=uuid)


def _comment(request: HttpRequest, uuid: UUID) -> Comment:
    mine = Comment.objects.for_user(current_user(request)).select_related("run")
    return get_object_or_404(mine, uuid=uuid)


@require_GET
def comments(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The newest comments of a run; 204 if ``version`` is still theirs.

    With ``in=review``, for the review page, without what a blind reviewer must not read yet.
    """
    run, user = _run(request, uuid), current_user(request)
    blind: set[int] = set()
    if request.GET.get("in") == "review":
        blind = {step for _, step in blind_places(user, [run.uuid])}
    now = "-".join([reads.version(run), *map(str, sorted(blind))])
    if request.GET.get("version") == now:
        return HttpResponse(status=204)
    if request.GET.get("in") != "review":
        note_opened(user, [run.uuid])
    seen = reads.visible_comments(user, run, blind_steps=blind)
    newest = seen.order_by("-id")[: reads.SHOWN + 1]
    found = list(newest)[::-1]
    membership = role_in(user, run.workspace_id)
    return JsonResponse(
        {
            "version": now,
            "comments": reads.comment_dicts(run.workspace_id, found[-reads.SHOWN :]),
            "older": len(found) > reads.SHOWN,
            "me": user.username,
            "may_write": membership.may_review,
            "may_delete": membership.role == Role.OWNER,
            "members": list(reads.member_names(run.workspace_id).values()),
        }
    )


def _answer(request: HttpRequest, change: Callable[[], Comment]) -> JsonResponse:
    """Return the changed comment, or what is wrong, for the form to show."""
    try:
        comment = change()
    except InvalidInput as error:
        status = 429 if isinstance(error, QuotaReached) else 422
        words = f"{error.message} {error.hint}".strip()
        return JsonResponse({"message": words, "field": error.field}, status=status)
    [body] = reads.comment_dicts(comment.workspace_id, [comment])
    return JsonResponse(body)


@require_POST
def add(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """Write a comment."""
    run, user = _run(request, uuid), current_user(request)

    def change() -> Comment:
        return services.add(
            run,
            user,
            request.POST.get("text", ""),
            step=_step(request.POST.get("step", "")),
            uuid=_uuid(request.POST.get("uuid", "")),
        )

    return _answer(request, change)


def _step(raw: str) -> int | None:
    if not raw.strip():
        return None
    if not (raw.isascii() and raw.isdigit() and len(raw) < 8):
        raise InvalidInput(f"{raw[:20]!r} is no number of a step.", field="step")
    return int(raw)


def _uuid(raw: str) -> UUID:
    try:
        return UUID(raw) if raw else uuid4()
    except ValueError:
        raise InvalidInput("The comment's id is no UUID.", field="uuid") from None


@require_POST
def edit(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """Change one's own comment."""
    comment, user = _comment(request, uuid), current_user(request)
    return _answer(request, lambda: services.edit(comment, user, request.POST.get("text", "")))


@require_POST
def delete(request: HttpRequest, uuid: UUID) -> JsonResponse:
    """Take a comment's text away."""
    comment, user = _comment(request, uuid), current_user(request)
    return _answer(request, lambda: services.delete(comment, user))


# --- notifications ------------------------------------------------------------------------------
@require_GET
def notifications(request: HttpRequest) -> HttpResponse:
    """List what somebody was told of, newest first."""
    raw = request.GET.get("before", "")
    before = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 19 else None
    user = current_user(request)
    page = reads.notifications(user, before)
    blind = blind_places(user, {row.comment.run.uuid for row in page.rows})
    context = {
        "rows": [(row, _is_blind(row.comment, blind)) for row in page.rows],
        "page": page,
        "later": before is not None,
    }
    return render(request, "discussion/notifications.html", context)


def _is_blind(comment: Comment, blind: set[tuple[UUID, int]]) -> bool:
    """Whether the words would tell a reviewer what others think of a step still to label."""
    run = comment.run.uuid
    return (run, comment.step) in blind or (
        comment.step is None and any(place[0] == run for place in blind)
    )


@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    """Mark everything read."""
    services.mark_read(current_user(request))
    return redirect("discussion:notifications")


@require_POST
def open_one(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one read and go to its comment."""
    mine = Notification.objects.for_user(current_user(request))
    found = get_object_or_404(mine.select_related("comment__run"), pk=pk)
    services.mark_read(current_user(request), [found.pk])
    return redirect(found.comment.url)
