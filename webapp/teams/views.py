"""The team page: members and roles for owners, personal tokens for everybody."""

from __future__ import annotations

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
from webapp.teams.forms import AddMemberForm, RoleForm, TokenForm
from webapp.teams.models import Membership, Role, Token


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
    return _page(request)


def _page(
    request: HttpRequest,
    *,
    member_form: AddMemberForm | None = None,
    token_form: TokenForm | None = None,
    secret: str = "",
    status: int = 200,
) -> HttpResponse:
    membership = active_workspace(request)
    context = {
        "members": Membership.objects.filter(workspace_id=membership.workspace_id)
        .select_related("user")
        .order_by("id"),
        "tokens": Token.objects.filter(user=current_user(request), revoked_at=None).order_by("-id"),
        "roles": Role.choices,
        "is_owner": membership.role == Role.OWNER,
        "member_form": member_form or AddMemberForm(auto_id="member_%s"),
        "token_form": token_form or TokenForm(auto_id="token_%s"),
        "secret": secret,
    }
    return render(request, "teams/team.html", context, status=status)


def _member(request: HttpRequest, pk: int) -> Membership:
    workspace_id = active_workspace(request).workspace_id
    return get_object_or_404(Membership, pk=pk, workspace_id=workspace_id)


@owner_required
@require_POST
def add_member(request: HttpRequest) -> HttpResponse:
    """Add an existing account to the workspace."""
    form = AddMemberForm(request.POST, auto_id="member_%s")
    if not form.is_valid():
        return _page(request, member_form=form, status=422)
    try:
        services.add_member(
            active_workspace(request).workspace, **form.cleaned_data, by=current_user(request)
        )
    except InvalidInput as error:
        form.add_error("username", error.message)
        return _page(request, member_form=form, status=422)
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


@require_POST
def add_token(request: HttpRequest) -> HttpResponse:
    """Issue a personal token and show its secret this once.

    No redirect: the secret would have to be kept somewhere in between.
    """
    form = TokenForm(request.POST, auto_id="token_%s")
    if not form.is_valid():
        return _page(request, token_form=form, status=422)
    user = current_user(request)
    secret = services.issue_token(user, form.cleaned_data["name"], by=user)
    response = _page(request, secret=secret)
    response["Cache-Control"] = "private, no-store"
    return response


@require_POST
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Make one of the user's own tokens useless."""
    user = current_user(request)
    services.revoke_token(get_object_or_404(Token, pk=pk, user=user), by=user)
    return redirect("teams:team")
