"""Who asks over REST, in which workspace, for what: shared by all routes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest
from ninja import Header

from collab_core.errors import InvalidInput
from webapp.api.schemas import ErrorBody
from webapp.teams.access import memberships
from webapp.teams.models import Membership, User

IDEMPOTENCY_KEY: Any = Header(None, alias="Idempotency-Key")  # type: ignore[type-arg]
ERRORS = {400: ErrorBody, 401: ErrorBody, 403: ErrorBody, 404: ErrorBody, 422: ErrorBody}


def user_of(request: HttpRequest) -> User:
    """Return whom the token belongs to."""
    assert isinstance(request.user, User)  # the authenticator has set it
    return request.user


def membership_of(request: HttpRequest, workspace: UUID | None) -> Membership:
    """Return the caller's membership of that workspace, or of the only one.

    Raises:
        InvalidInput: there are several to choose from. Http404: it is not theirs.
    """
    mine = memberships(user_of(request))
    if workspace is None and len(mine) > 1:
        names = ", ".join(f"{m.workspace.name} ({m.workspace.uuid})" for m in mine[:10])
        raise InvalidInput(f"You belong to several workspaces: {names}.", field="workspace")
    for membership in mine:
        if workspace in (None, membership.workspace.uuid):
            return membership
    raise Http404


def named(found: QuerySet[Any], wanted: str, field: str) -> Any:
    """Return the row with this UUID or name.

    Raises:
        InvalidInput: there is none among ``found``.
    """
    try:
        match = Q(uuid=UUID(wanted))
    except ValueError:
        match = Q(name=wanted)
    row = found.filter(match).first()
    if row is None:
        raise InvalidInput(f"There is no {field} {wanted[:80]!r} in this workspace.", field=field)
    return row
