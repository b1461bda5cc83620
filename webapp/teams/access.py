"""Who acts, in which workspace, and may they: the one place that answers.

A stranger gets 404 (not even the existence is told), a viewer who writes gets 403.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from redis.exceptions import RedisError

from webapp.teams.models import Membership, Role, User

logger = logging.getLogger(__name__)
SESSION_KEY = "workspace"
CONTROL_GROUP = "control"
"""The channel layer's group that every web process with open sockets listens to."""
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def current_user(request: HttpRequest) -> User:
    """Return the signed-in user.

    Raises:
        PermissionDenied: nobody is signed in (a view that was opened to anonymous by mistake).
    """
    if not isinstance(request.user, User):
        raise PermissionDenied("Sign in first.")
    return request.user


def memberships(user: User) -> list[Membership]:
    """Return the user's memberships, oldest first, with their workspaces."""
    return list(
        Membership.objects.filter(user=user).select_related("workspace", "user").order_by("id")
    )


def active_workspace(request: HttpRequest) -> Membership:
    """Return the membership the session points at, else the user's first; one query a request.

    Raises:
        Http404: the user belongs to no workspace.
    """
    known = getattr(request, "_membership", None)
    if known is not None:
        return known  # type: ignore[no-any-return]
    mine = memberships(current_user(request))
    if not mine:
        raise Http404("You belong to no workspace yet. Ask an owner to add you.")
    wanted = request.session.get(SESSION_KEY)
    chosen = next((m for m in mine if str(m.workspace.uuid) == wanted), mine[0])
    request._membership = chosen  # type: ignore[attr-defined] # noqa: SLF001
    request._memberships = mine  # type: ignore[attr-defined] # noqa: SLF001
    return chosen


def switch_workspace(request: HttpRequest, uuid: str) -> Membership:
    """Make another workspace of this user the active one.

    Raises:
        Http404: it does not exist or is not theirs.
    """
    for membership in memberships(current_user(request)):
        if str(membership.workspace.uuid) == str(uuid):
            request.session[SESSION_KEY] = str(membership.workspace.uuid)
            return membership
    raise Http404("No such workspace.")


def role_in(user: User, workspace_id: int) -> Membership:
    """Return the user's membership of a workspace.

    Raises:
        Http404: they are a stranger to it.
    """
    found = Membership.objects.filter(user=user, workspace_id=workspace_id).first()
    if found is None:
        raise Http404("Not found.")
    return found


def require_may_run(membership: Membership) -> None:
    """Raises: PermissionDenied: viewers and reviewers do not run."""
    if not membership.may_run:
        role = membership.get_role_display().lower()
        raise PermissionDenied(f"You are a {role} here: ask an owner to make you a member.")


def require_may_review(membership: Membership) -> None:
    """Raises: PermissionDenied: a viewer only reads."""
    if not membership.may_review:
        raise PermissionDenied("You are a viewer here: ask an owner to make you a reviewer.")


def require_owner(membership: Membership) -> None:
    """Raises: PermissionDenied: only owners do this."""
    if membership.role != Role.OWNER:
        raise PermissionDenied("Only an owner of this workspace may do this.")


def _guarded(check: Callable[[Membership], None]) -> Callable[[View[P]], View[P]]:
    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def inner(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            check(active_workspace(request))
            return view(request, *args, **kwargs)

        return cast("View[P]", inner)

    return decorate


def member_required(view: View[P]) -> View[P]:
    """Let owners and members of the active workspace in."""
    return _guarded(require_may_run)(view)


def reviewer_required(view: View[P]) -> View[P]:
    """Let everybody of the active workspace in but viewers."""
    return _guarded(require_may_review)(view)


def owner_required(view: View[P]) -> View[P]:
    """Let owners of the active workspace in."""
    return _guarded(require_owner)(view)


def workspace_context(request: HttpRequest) -> dict[str, Any]:
    """Give every template ``membership`` (active) and ``memberships`` (all of the user's)."""
    if not isinstance(getattr(request, "user", None), User):
        return {}
    try:
        active = active_workspace(request)
    except Http404:
        return {"membership": None, "memberships": []}
    return {"membership": active, "memberships": getattr(request, "_memberships", [])}


def membership_changed(user_id: int) -> None:
    """Make every web process check the rights of its open sockets at once.

    Call after a role change, a removal or a logout. It is a hint: sockets are also checked every
    few seconds without it.
    """
    layer = get_channel_layer()
    message = {"type": "control.recheck", "user": user_id}
    try:
        async_to_sync(layer.group_send)(CONTROL_GROUP, message)
    except (OSError, RedisError) as error:
        logger.warning("no control message for user %s: %s", user_id, error)


class NoStoreMiddleware:
    """Private answers are not kept by any cache: JSON and files never, pages only to go back."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not response.has_header("Cache-Control"):
            is_page = response.headers.get("Content-Type", "").startswith("text/html")
            response["Cache-Control"] = "private, no-cache" if is_page else "private, no-store"
        return response
