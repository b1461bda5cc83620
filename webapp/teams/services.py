"""Changes of who may see what, and of a workspace's settings; with ``invitations`` the only writer of
memberships and tokens outside commands."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from collab_core.errors import InvalidInput
from webapp.teams import invitations
from webapp.teams.access import membership_changed
from webapp.teams.audit import Action, Entry, record, record_everywhere
from webapp.teams.models import Membership, Role, Token, User, Workspace


@transaction.atomic
def add_member(workspace: Workspace, username: str, role: str, *, by: User | None) -> Membership:
    """Give an existing account a role in the workspace.

    Raises:
        InvalidInput: no such account, or it is a member already.
    """
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise InvalidInput(f"There is no account named {username[:60]}.", field="username")
    membership, made = Membership.objects.get_or_create(
        workspace=workspace, user=user, defaults={"role": Role(role)}
    )
    if not made:
        raise InvalidInput(f"{username} is a member already.", field="username")
    record(workspace, by, Action.MEMBER_ADDED, target=username, detail={"role": role})
    return membership


@transaction.atomic
def change_role(membership: Membership, role: str, *, by: User) -> None:
    """Set a member's role; open sockets notice at once.

    Raises:
        InvalidInput: it would leave the workspace without an owner.
    """
    if role != Role.OWNER:
        _keep_an_owner(membership)
    changed = Membership.objects.filter(pk=membership.pk).exclude(role=role)
    if not changed.update(role=Role(role)):
        return
    if role != Role.OWNER:
        invitations.revoke_made_by(membership, by=by)
    record(
        membership.workspace_id,
        by,
        Action.ROLE_CHANGED,
        target=membership.user.username,
        detail={"from": membership.role, "to": role},
    )
    transaction.on_commit(lambda: membership_changed(membership.user_id))


@transaction.atomic
def remove_member(membership: Membership, *, by: User) -> None:
    """End a membership; the member's open sockets of this workspace close.

    Raises:
        InvalidInput: it would leave the workspace without an owner.
    """
    _keep_an_owner(membership)
    user_id = membership.user_id
    membership.delete()
    invitations.revoke_made_by(membership, by=by)
    record(
        membership.workspace_id,
        by,
        Action.MEMBER_REMOVED,
        target=membership.user.username,
        detail={"role": membership.role},
    )
    transaction.on_commit(lambda: membership_changed(user_id))


@transaction.atomic
def change_settings(workspace: Workspace, *, name: str, blind_review: bool, by: User) -> None:
    """Store the workspace's settings; each that changes is one entry of the audit log."""
    stored = Workspace.objects.select_for_update().get(pk=workspace.pk)
    for field, value in (("name", name), ("blind_review", blind_review)):
        before = getattr(stored, field)
        if before != value:
            detail = {"from": before, "to": value}
            record(workspace, by, Action.SETTING_CHANGED, target=field, detail=detail)
    Workspace.objects.filter(pk=workspace.pk).update(name=name, blind_review=blind_review)


def _keep_an_owner(membership: Membership) -> None:
    owners = Membership.objects.select_for_update().filter(
        workspace_id=membership.workspace_id, role=Role.OWNER
    )
    if [owner.pk for owner in owners] == [membership.pk]:
        raise InvalidInput("A workspace needs an owner: make somebody else an owner first.")


@transaction.atomic
def issue_token(user: User, name: str, *, by: User | None) -> str:
    """Store a personal token and return its secret, which nobody can read again."""
    token, secret = Token.objects.issue(user, name)
    record_everywhere(user, by, _about(Action.TOKEN_ISSUED, token))
    return secret


@transaction.atomic
def revoke_token(token: Token, *, by: User) -> None:
    """Make a token useless from now on."""
    if Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
        record_everywhere(token.user, by, _about(Action.TOKEN_REVOKED, token))


def _about(action: Action, token: Token) -> Entry:
    detail = {"of": token.user.username, "begins_with": token.prefix}
    return Entry(action=action, target=token.name, detail=detail)
