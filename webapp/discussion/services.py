"""The only writers of comments and notifications."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from collab_core.errors import InvalidInput
from webapp.discussion.mentions import check_mentions, cleaned, mentioned
from webapp.discussion.models import Comment, Notification, Reason, Revision
from webapp.runs.models import Run, RunEvent
from webapp.runs.services import QuotaReached
from webapp.teams.access import require_may_review, role_in
from webapp.teams.audit import Action, record
from webapp.teams.models import Membership, Role, User

A_MINUTE, AN_HOUR = 20, 200
"""Comments that one person may write."""
CALLS_AN_HOUR = 200
"""People that one person may call by mentions."""
ON_A_RUN = 2_000
MAX_STEP = 1_000_000


def add(run: Run, user: User, text: str, *, step: int | None = None, uuid: UUID) -> Comment:
    """Store a comment and tell whom it mentions, and the run's owner.

    ``uuid`` is the writer's: the same one again gives the first comment, so that nothing is doubled by
    a second click or a lost answer.

    Raises:
        InvalidInput: with the field at fault; QuotaReached: too much for now.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_review(role_in(user, run.workspace_id))
    if earlier := _earlier(run, user, uuid):
        return earlier
    text = cleaned(text)
    _check_step(run, step)
    _check_quota(run, user)
    try:
        with transaction.atomic():
            comment = Comment.objects.create(
                uuid=uuid,
                workspace_id=run.workspace_id,
                run=run,
                step=step,
                author=user,
                author_name=user.username,
                text=text,
            )
            _keep(comment, user)
            _tell(comment, user)
            _record(comment, user, Action.COMMENT_ADDED)
    except IntegrityError:
        # the same comment arrived twice at once; the other one was first
        if earlier := _earlier(run, user, uuid):
            return earlier
        raise
    return comment


@transaction.atomic
def edit(comment: Comment, user: User, text: str) -> Comment:
    """Give a comment another text; its author only. The old one stays in the history.

    Raises:
        InvalidInput: the text, or the comment is deleted. PermissionDenied: it is another's.
    """
    require_may_review(role_in(user, comment.workspace_id))
    text = cleaned(text)
    locked = _locked(comment)
    if locked.author_id != user.pk:
        raise PermissionDenied("Only who wrote a comment may change it.")
    if locked.deleted_at is not None:
        raise InvalidInput("This comment is deleted.")
    if locked.text == text:
        return locked
    locked.text, locked.edited_at = text, timezone.now()
    return _changed(locked, user, Action.COMMENT_CHANGED)


@transaction.atomic
def delete(comment: Comment, user: User) -> Comment:
    """Take a comment's text away; its author or an owner. The place in the discussion stays.

    Raises:
        PermissionDenied: it is another's.
    """
    membership = role_in(user, comment.workspace_id)
    require_may_review(membership)
    locked = _locked(comment)
    if locked.author_id != user.pk and membership.role != Role.OWNER:
        raise PermissionDenied("Only who wrote a comment, or an owner, may delete it.")
    if locked.deleted_at is not None:
        return locked
    locked.text, locked.deleted_at = "", timezone.now()
    Notification.objects.filter(comment=locked).delete()
    return _changed(locked, user, Action.COMMENT_DELETED)


def mark_read(user: User, notifications: Collection[int] | None = None) -> None:
    """Keep that somebody has seen these notifications of theirs; None = all."""
    mine = Notification.objects.filter(user=user, read_at=None)
    if notifications is not None:
        mine = mine.filter(pk__in=notifications)
    mine.update(read_at=timezone.now())


# --- checks -------------------------------------------------------------------------------------
def _earlier(run: Run, user: User, uuid: UUID) -> Comment | None:
    found = Comment.objects.filter(uuid=uuid).select_related("run").first()
    if found is not None and (found.run_id, found.author_id) != (run.pk, user.pk):
        raise InvalidInput("This id belongs to another comment.", field="uuid")
    return found


def _check_step(run: Run, step: int | None) -> None:
    if step is None:
        return
    # step 0 is what belongs to no step
    if not 1 <= step <= MAX_STEP or not RunEvent.objects.filter(run=run, step=step).exists():
        raise InvalidInput(
            f"{run.ref} has no step {step}.", field="step", hint=f"It has {run.steps} so far."
        )


def _check_quota(run: Run, user: User) -> None:
    now = timezone.now()
    mine = Comment.objects.filter(author=user)
    for most, span, words in ((A_MINUTE, 60, "minute"), (AN_HOUR, 3_600, "hour")):
        if mine.filter(created_at__gt=now - timedelta(seconds=span)).count() >= most:
            raise QuotaReached(
                f"You wrote {most} comments within the last {words}.", hint="Wait a little."
            )
    if Comment.objects.filter(run=run).count() >= ON_A_RUN:
        raise QuotaReached(f"{run.ref} has {ON_A_RUN:,} comments; more do not fit.")


# --- storing ------------------------------------------------------------------------------------
def _locked(comment: Comment) -> Comment:
    return Comment.objects.select_for_update(of=("self",)).select_related("run").get(pk=comment.pk)


def _changed(comment: Comment, by: User, action: Action) -> Comment:
    Comment.objects.filter(pk=comment.pk).update(
        text=comment.text,
        edited_at=comment.edited_at,
        deleted_at=comment.deleted_at,
        changes=F("changes") + 1,
    )
    comment.changes += 1
    _keep(comment, by)
    if comment.deleted_at is None:
        _tell(comment, by)
    _record(comment, by, action)
    return comment


def _keep(comment: Comment, by: User) -> None:
    Revision.objects.create(
        comment=comment,
        number=comment.changes,
        text=comment.text,
        deleted=comment.deleted_at is not None,
        by_name=by.username,
    )


def _tell(comment: Comment, by: User) -> None:
    """Notify who is mentioned and whose run it is; whoever was told already is not told again."""
    people = mentioned_members(comment)
    check_mentions(len(people))
    told = [
        Notification(user_id=pk, comment=comment, reason=Reason.MENTION)
        for pk in people
        if pk != by.pk
    ]
    since = timezone.now() - timedelta(hours=1)
    lately = Notification.objects.filter(
        comment__author=by, reason=Reason.MENTION, created_at__gt=since
    )
    if told and lately.count() + len(told) > CALLS_AN_HOUR:
        raise QuotaReached(
            f"You called more than {CALLS_AN_HOUR} people within the last hour.",
            hint="Wait a little, or mention nobody.",
        )
    owner = comment.run.submitted_by_id
    if owner is not None and owner != by.pk and owner not in people and _belongs(comment, owner):
        told.append(Notification(user_id=owner, comment=comment, reason=Reason.OWN_RUN))
    Notification.objects.bulk_create(told, ignore_conflicts=True)


def mentioned_members(comment: Comment) -> dict[int, str]:
    """Return {user id: user name} of the workspace's members that a comment mentions."""
    names = {name.casefold() for name in mentioned(comment.text)}
    if not names:
        return {}
    members = Membership.objects.filter(
        workspace_id=comment.workspace_id, user__is_active=True
    ).values_list("user_id", "user__username")
    return {pk: name for pk, name in members if name.casefold() in names}


def _belongs(comment: Comment, user_id: int) -> bool:
    return Membership.objects.filter(
        workspace_id=comment.workspace_id, user_id=user_id, user__is_active=True
    ).exists()


def _record(comment: Comment, by: User, action: Action) -> None:
    record(comment.workspace_id, by, action, target=comment.place, url=comment.url)
