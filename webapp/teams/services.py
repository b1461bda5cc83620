"""Changes of who may see what; the only writer of memberships and tokens outside commands."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from collab_core.errors import InvalidInput
from webapp.teams.access import membership_changed
from webapp.teams.models import Membership, Role, Token, User, Workspace


def add_member(workspace: Workspace, username: str, role: str) -> Membership:
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
    return membership


@transaction.atomic
def change_role(membership: Membership, role: str) -> None:
    """Set a member's role; open sockets notice at once.

    Raises:
        InvalidInput: it would leave the workspace without an owner.
    """
    if role != Role.OWNER:
        _keep_an_owner(membership)
    Membership.objects.filter(pk=membership.pk).update(role=Role(role))
    transaction.on_commit(lambda: membership_changed(membership.user_id))


@transaction.atomic
def remove_member(membership: Membership) -> None:
    """End a membership; the member's open sockets of this workspace close.

    Raises:
        InvalidInput: it would leave the workspace without an owner.
    """
    _keep_an_owner(membership)
    user_id = membership.user_id
    membership.delete()
    transaction.on_commit(lambda: membership_changed(user_id))


def _keep_an_owner(membership: Membership) -> None:
    owners = Membership.objects.select_for_update().filter(
        workspace_id=membership.workspace_id, role=Role.OWNER
    )
    if [owner.pk for owner in owners] == [membership.pk]:
        raise InvalidInput("A workspace needs an owner: make somebody else an owner first.")


def issue_token(user: User, name: str) -> str:
    """Store a personal token and return its secret, which nobody can read again."""
    return Token.objects.issue(user, name)[1]


def revoke_token(token: Token) -> None:
    """Make a token useless from now on."""
    Token.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
