"""Pages of invitations: owners make and revoke links, anybody with a link opens it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from collab_core.errors import InvalidInput
from webapp.teams import invitations
from webapp.teams.access import (
    SESSION_KEY,
    active_workspace,
    current_user,
    owner_required,
)
from webapp.teams.forms import AccountForm, InvitationForm
from webapp.teams.invitations import NotForYou
from webapp.teams.models import Invitation, Membership, User
from webapp.teams.views import Forms, team_page

BACKEND = "django.contrib.auth.backends.ModelBackend"


@owner_required
@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    """Make a link and show it this once, without a redirect: it would have to be kept in between."""
    form = InvitationForm(request.POST, auto_id="invitation_%s")
    workspace = active_workspace(request).workspace
    if form.is_valid():
        try:
            secret = invitations.invite(workspace, current_user(request), **form.cleaned_data)
        except InvalidInput as error:
            form.add_error(None, f"{error.message} {error.hint}".strip())
        else:
            path = reverse("teams:invitation", args=[secret])
            return team_page(request, link=request.build_absolute_uri(path))
    return team_page(request, Forms(invitation=form), status=422)


@owner_required
@require_POST
def revoke(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Make a link useless."""
    mine = Invitation.objects.filter(workspace_id=active_workspace(request).workspace_id)
    invitations.revoke(get_object_or_404(mine, uuid=uuid), by=current_user(request))
    return redirect("teams:team")


@login_not_required
@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Show whither a link leads; a POST accepts it, as the signed-in person or as a new one.

    Opening it uses nothing up: programs that look at links open them too.
    """
    found = Invitation.objects.find(secret[:200])
    if found is None:
        return _shown(request, None, status=404)
    if request.method == "GET":
        return _shown(request, found)
    try:
        if isinstance(request.user, User):
            return _welcome(request, invitations.accept(found, request.user))
        return _accept_as_new(request, found)
    except NotForYou as error:
        invitations.count_attempt(found)
        return _shown(request, found, problem=f"{error.message} {error.hint}".strip(), status=403)
    except invitations.AlreadyIn as error:
        return _shown(request, found, problem=error.message, status=409)


def _accept_as_new(request: HttpRequest, found: Invitation) -> HttpResponse:
    invitations.check_attempts(found)
    form = AccountForm(request.POST)
    if form.is_valid():
        user = form.save(commit=False)
        try:
            membership = invitations.accept_as_new(found, user)
        except NotForYou:
            raise
        except InvalidInput as error:
            form.add_error(error.field, error.message)
        else:
            login(request, user, backend=BACKEND)
            return _welcome(request, membership)
    if "username" in form.errors:
        invitations.count_attempt(found)
    return _shown(request, found, form=form, status=422)


def _welcome(request: HttpRequest, membership: Membership) -> HttpResponse:
    request.session[SESSION_KEY] = str(membership.workspace.uuid)
    return redirect("runs:list")


def _shown(
    request: HttpRequest, found: Invitation | None, *, status: int = 200, **context: Any
) -> HttpResponse:
    context = {"invitation": found, "form": AccountForm()} | context
    response = render(request, "teams/invitation.html", context, status=status)
    response["Cache-Control"] = "private, no-store"
    return response
