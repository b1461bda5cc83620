"""Invitations: an owner makes a link, one person uses it once. The only writer of invitations.

Everything is decided by one row and one conditional update, so it holds without Redis, for two clicks
at once and for a link that is opened in two browsers.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from collab_core.errors import InvalidInput
from webapp.teams.audit import Action, Entry, record, record_all
from webapp.teams.models import Invitation, Membership, Role, User, Workspace

DAYS = (1, 7, 30)
MAX_PENDING = 200
MAX_ATTEMPTS = 10


class NotForYou(InvalidInput):
    """The invitation names another account, or was tried too often."""


class AlreadyIn(InvalidInput):
    """The person belongs to the workspace; the invitation stays usable for somebody else."""


@transaction.atomic
def invite(workspace: Workspace, by: User, *, role: str, days: int, only_for: str = "") -> str:
    """Store an invitation and return the secret of its link, which nobody can read again.

    Raises:
        InvalidInput: no such role or number of days, or too many wait.
    """
    if days not in DAYS:
        raise InvalidInput(f"An invitation lasts {DAYS} days.", field="days")
    if Invitation.objects.pending().filter(workspace=workspace).count() >= MAX_PENDING:
        raise InvalidInput(
            f"{MAX_PENDING} invitations wait to be accepted.", hint="Revoke some first."
        )
    invitation, secret = Invitation.objects.issue(
        workspace=workspace,
        role=Role(role),
        only_for=only_for.strip(),
        created_by=by,
        expires_at=timezone.now() + timedelta(days=days),
    )
    _record(invitation, by, Action.INVITATION_SENT)
    return secret


@transaction.atomic
def revoke(invitation: Invitation, *, by: User) -> None:
    """Make a link useless from now on; an accepted one stays accepted."""
    waiting = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
    if waiting.update(revoked_at=timezone.now()):
        _record(invitation, by, Action.INVITATION_REVOKED)


def revoke_made_by(membership: Membership, *, by: User) -> None:
    """Make the links useless that somebody made who is no owner any more."""
    waiting = Invitation.objects.filter(
        workspace_id=membership.workspace_id,
        created_by_id=membership.user_id,
        accepted_at=None,
        revoked_at=None,
    )
    entries = [_entry(one, Action.INVITATION_REVOKED) for one in waiting]
    waiting.update(revoked_at=timezone.now())
    record_all(membership.workspace_id, by, entries)


@transaction.atomic
def accept(invitation: Invitation, user: User) -> Membership:
    """Let a signed-in person in with the role of the invitation, which is used up.

    Raises:
        NotForYou: it names another account, or is used up by now.
        AlreadyIn: they belong to the workspace; nothing is used up.
    """
    _check_person(invitation, user)
    pending = Invitation.objects.filter(
        pk__in=Invitation.objects.pending().filter(pk=invitation.pk).values("pk"),
        attempts__lt=MAX_ATTEMPTS,
        accepted_at=None,
        revoked_at=None,
    )
    if not pending.update(accepted_at=timezone.now(), accepted_by=user):
        raise NotForYou("This invitation does not work any more.")
    membership, made = Membership.objects.get_or_create(
        workspace_id=invitation.workspace_id, user=user, defaults={"role": invitation.role}
    )
    if not made:
        raise AlreadyIn("You belong to this workspace already.")
    _record(invitation, user, Action.INVITATION_ACCEPTED)
    return membership


@transaction.atomic
def accept_as_new(invitation: Invitation, user: User) -> Membership:
    """Store a new account and let it in; neither happens without the other.

    Raises:
        NotForYou: the invitation names another account, or is used up by now.
        InvalidInput: somebody else took the name a moment ago.
    """
    _check_person(invitation, user)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise InvalidInput("A user with that name already exists.", field="username") from None
    return accept(invitation, user)


def check_attempts(invitation: Invitation) -> None:
    """Raises: NotForYou: it was tried too often."""
    if invitation.attempts >= MAX_ATTEMPTS:
        raise NotForYou("This invitation was tried too often. Ask for a new one.")


def count_attempt(invitation: Invitation) -> None:
    """Keep that somebody was refused. Call outside of the transaction that is given up."""
    few = Invitation.objects.filter(pk=invitation.pk, attempts__lt=MAX_ATTEMPTS)
    few.update(attempts=F("attempts") + 1)


def _check_person(invitation: Invitation, user: User) -> None:
    check_attempts(invitation)
    wanted = invitation.only_for.casefold()
    if wanted and wanted not in (user.username.casefold(), user.email.casefold()):
        raise NotForYou(
            "This invitation was made for another account.",
            hint="Use the user name or e-mail address that the owner knows.",
        )


def _record(invitation: Invitation, by: User, action: Action) -> None:
    entry = _entry(invitation, action)
    record(invitation.workspace_id, by, action, target=entry.target, detail=entry.detail)


def _entry(invitation: Invitation, action: Action) -> Entry:
    detail = {"role": invitation.role, "expires": invitation.expires_at.isoformat()[:16]}
    if invitation.created_by:
        detail["made_by"] = invitation.created_by.username
    return Entry(action=action, target=invitation.only_for or "whoever has the link", detail=detail)
