"""The team page: members, roles and settings for owners, personal tokens for everybody."""

from __future__ import annotations

from typing import NamedTuple

from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from collab_core.errors import InvalidInput
from webapp.teams import services
from webapp.teams.access import (
    active_workspace,
    current_user,
    membership_changed,
    owner_required,
    switch_workspace,
)
from webapp.teams.forms import AddMemberForm, InvitationForm, RoleForm, SettingsForm, TokenForm
from webapp.teams.models import Invitation, Membership, Role, Token


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session; open sockets notice."""
    user_id = current_user(request).pk
    logout(request)
    membership_changed(user_id)
    return redirect("teams:login")


@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Make another of the user's workspaces the active one."""
    switch_workspace(request, request.POST.get("workspace", ""))
    return redirect("runs:list")


@require_GET
def team(request: HttpRequest) -> HttpResponse:
    """Show members and the user's own tokens."""
    return team_page(request)


class Forms(NamedTuple):
    """The page's forms: the one that was sent, and fresh ones of the others."""

    member: AddMemberForm | None = None
    token: TokenForm | None = None
    invitation: InvitationForm | None = None
    settings: SettingsForm | None = None


def team_page(
    request: HttpRequest,
    forms: Forms = Forms(),  # noqa: B008 - immutable
    *,
    secret: str = "",
    link: str = "",
    status: int = 200,
) -> HttpResponse:
    """Return the page; a ``secret`` or a ``link`` is shown this once and kept by no cache."""
    membership = active_workspace(request)
    workspace, is_owner = membership.workspace, membership.role == Role.OWNER
    context = {
        "members": Membership.objects.filter(workspace=workspace)
        .select_related("user")
        .order_by("id"),
        "tokens": Token.objects.filter(user=current_user(request), revoked_at=None).order_by("-id"),
        "roles": Role.choices,
        "is_owner": is_owner,
        "member_form": forms.member or AddMemberForm(auto_id="member_%s"),
        "token_form": forms.token or TokenForm(auto_id="token_%s"),
        "secret": secret,
        "link": link,
    }
    if is_owner:
        pending = Invitation.objects.pending().filter(workspace=workspace)
        settings = {"name": workspace.name, "blind_review": workspace.blind_review}
        context |= {
            "invitations": pending.select_related("created_by").order_by("-id"),
            "invitation_form": forms.invitation or InvitationForm(auto_id="invitation_%s"),
            "settings_form": forms.settings or SettingsForm(initial=settings, auto_id="set_%s"),
        }
    response = render(request, "teams/team.html", context, status=status)
    if secret or link:
        response["Cache-Control"] = "private, no-store"
    return response


def _member(request: HttpRequest, pk: int) -> Membership:
    workspace_id = active_workspace(request).workspace_id
    return get_object_or_404(Membership, pk=pk, workspace_id=workspace_id)


@owner_required
@require_POST
def add_member(request: HttpRequest) -> HttpResponse:
    """Add an existing account to the workspace."""
    form = AddMemberForm(request.POST, auto_id="member_%s")
    if not form.is_valid():
        return team_page(request, Forms(member=form), status=422)
    try:
        services.add_member(
            active_workspace(request).workspace, **form.cleaned_data, by=current_user(request)
        )
    except InvalidInput as error:
        form.add_error("username", error.message)
        return team_page(request, Forms(member=form), status=422)
    return redirect("teams:team")


@owner_required
@require_POST
def change_role(request: HttpRequest, pk: int) -> HttpResponse:
    """Change what a member may do."""
    member, form = _member(request, pk), RoleForm(request.POST)
    if not form.is_valid():
        messages.error(request, "There is no such role.")
        return redirect("teams:team")
    try:
        services.change_role(member, form.cleaned_data["role"], by=current_user(request))
    except InvalidInput as error:
        messages.error(request, error.message)
    return redirect("teams:team")


@owner_required
@require_POST
def remove_member(request: HttpRequest, pk: int) -> HttpResponse:
    """End a membership."""
    try:
        services.remove_member(_member(request, pk), by=current_user(request))
    except InvalidInput as error:
        messages.error(request, error.message)
    return redirect("teams:team")


@owner_required
@require_POST
def change_settings(request: HttpRequest) -> HttpResponse:
    """Rename the workspace, switch blind review."""
    form = SettingsForm(request.POST, auto_id="set_%s")
    if not form.is_valid():
        return team_page(request, Forms(settings=form), status=422)
    workspace = active_workspace(request).workspace
    services.change_settings(workspace, **form.cleaned_data, by=current_user(request))
    messages.success(request, "Saved.")
    return redirect("teams:team")


@require_POST
def add_token(request: HttpRequest) -> HttpResponse:
    """Issue a personal token and show its secret this once.

    No redirect: the secret would have to be kept somewhere in between.
    """
    form = TokenForm(request.POST, auto_id="token_%s")
    if not form.is_valid():
        return team_page(request, Forms(token=form), status=422)
    user = current_user(request)
    secret = services.issue_token(user, form.cleaned_data["name"], by=user)
    return team_page(request, secret=secret)


@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Make one of the user's own tokens useless."""
    user = current_user(request)
    services.revoke_token(get_object_or_404(Token, pk=pk, user=user), by=user)
    return redirect("teams:team")
