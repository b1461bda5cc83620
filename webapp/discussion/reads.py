"""Reading comments and notifications, for pages, REST and the review."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from django.db.models import Count, Max, Q, QuerySet

from webapp.discussion.mentions import mentioned
from webapp.discussion.models import Comment, Notification
from webapp.runs.models import Run
from webapp.teams.models import Membership, User

SHOWN = 300
"""Comments of a run that its page shows, the newest."""
MANY = 99
"""Unread notifications are counted up to here."""
PAGE_SIZE = 50


def visible_comments(
    user: User, run: Run, *, blind_steps: Collection[int] = ()
) -> QuerySet[Comment]:
    """Return the comments of a run that a member may see, oldest first; a stranger sees none.

    ``blind_steps`` are the steps of the run that this person still has to label blind. While there are
    any, what others say of them, and of the run as a whole, is left out: it would give the verdict
    away. What one wrote oneself stays.
    """
    found = Comment.objects.for_user(user).filter(run=run).select_related("run").order_by("id")
    if not blind_steps:
        return found
    hidden = Q(step__in=list(blind_steps)) | Q(step=None)
    return found.filter(~hidden | Q(author=user))


def version(run: Run) -> str:
    """Return what is different after every change of a run's comments, whatever order they commit."""
    state = Comment.objects.filter(run=run).aggregate(
        rows=Count("id"), changes=Max("changes"), edited=Max("edited_at"), deleted=Max("deleted_at")
    )
    moments = (state["edited"], state["deleted"])
    ticks = (str(round(at.timestamp() * 1e6)) if at else "" for at in moments)
    return "-".join([str(state["rows"]), str(state["changes"] or 0), *ticks])


def comment_dict(comment: Comment, names: dict[str, str]) -> dict[str, Any]:
    """Return a comment for JSON; ``names`` are the members' by their casefolded form."""
    return {
        "uuid": str(comment.uuid),
        "run": str(comment.run.uuid),
        "step": comment.step,
        "author": comment.author_name,
        "text": comment.text,
        "mentions": _mentions(comment.text, names),
        "created_at": comment.created_at.isoformat(),
        "edited_at": comment.edited_at.isoformat() if comment.edited_at else None,
        "deleted": comment.deleted_at is not None,
        "url": comment.url,
    }


def _mentions(text: str, names: dict[str, str]) -> list[str]:
    """Return the members that a text mentions, as they are called."""
    found = (names.get(name.casefold()) for name in mentioned(text))
    return sorted({name for name in found if name})


def member_names(workspace_id: int) -> dict[str, str]:
    members = Membership.objects.filter(workspace_id=workspace_id, user__is_active=True)
    names = members.order_by("user__username").values_list("user__username", flat=True)
    return {name.casefold(): name for name in names}


def comment_dicts(workspace_id: int, comments: Collection[Comment]) -> list[dict[str, Any]]:
    names = member_names(workspace_id)
    return [comment_dict(comment, names) for comment in comments]


# --- notifications ------------------------------------------------------------------------------
class NotificationPage(NamedTuple):
    rows: list[Notification]
    next_before: int | None
    """The id that the next page is behind."""


def unread(user: User) -> int:
    """Return how many notifications wait, at most ``MANY`` + 1."""
    return Notification.objects.for_user(user).unread()[: MANY + 1].count()


def notifications(user: User, before: int | None = None) -> NotificationPage:
    """Return a page of a person's notifications, newest first."""
    found = Notification.objects.for_user(user).order_by("-id")
    if before is not None:
        found = found.filter(pk__lt=before)
    rows = list(
        found.select_related("comment", "comment__run", "comment__workspace")[: PAGE_SIZE + 1]
    )
    shown = rows[:PAGE_SIZE]
    return NotificationPage(shown, shown[-1].pk if len(rows) > PAGE_SIZE else None)
