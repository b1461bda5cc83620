"""Endpoints and ladders: everybody in the workspace reads, owners edit."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from collab_core.errors import InvalidInput
from webapp.forms_summary import faults
from webapp.teams.access import active_workspace, current_user, owner_required
from webapp.tiers import services
from webapp.tiers.forms import EndpointForm, LadderForm, RungForm
from webapp.tiers.models import Endpoint, Ladder, Rung


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    """List the endpoints and ladders in use."""
    membership = active_workspace(request)
    rungs = Prefetch("rungs", Rung.objects.select_related("endpoint").order_by("position"))
    context = {
        "may_edit": membership.may_edit_endpoints,
        "endpoints": Endpoint.objects.filter(
            workspace_id=membership.workspace_id, archived_at=None
        ).order_by("name"),
        "ladders": Ladder.objects.filter(workspace_id=membership.workspace_id, archived_at=None)
        .prefetch_related(rungs)
        .order_by("name"),
    }
    return render(request, "tiers/overview.html", context)


def _endpoint(request: HttpRequest, uuid: UUID) -> Endpoint:
    workspace_id = active_workspace(request).workspace_id
    return get_object_or_404(Endpoint, uuid=uuid, workspace_id=workspace_id, archived_at=None)


def _ladder(request: HttpRequest, uuid: UUID) -> Ladder:
    workspace_id = active_workspace(request).workspace_id
    return get_object_or_404(Ladder, uuid=uuid, workspace_id=workspace_id, archived_at=None)


@owner_required
@require_http_methods(["GET", "POST"])
def add_endpoint(request: HttpRequest) -> HttpResponse:
    """Add a model at an address."""
    workspace = active_workspace(request).workspace
    return _endpoint_form(request, Endpoint(workspace=workspace), "Add endpoint")


@owner_required
@require_http_methods(["GET", "POST"])
def edit_endpoint(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Change an endpoint; a new address loses the key's variable."""
    endpoint = _endpoint(request, uuid)
    return _endpoint_form(request, endpoint, f"Endpoint {endpoint.name}")


def _endpoint_form(request: HttpRequest, endpoint: Endpoint, title: str) -> HttpResponse:
    form = EndpointForm(request.POST or None, instance=endpoint, workspace=endpoint.workspace)
    if form.is_valid():
        if services.save_endpoint(form.save(commit=False), by=current_user(request)):
            messages.warning(
                request,
                "The address changed, so the key's variable was removed. Name it again if the new "
                "server may see that key.",
            )
        return redirect("tiers:overview")
    context = {
        "form": form,
        "title": title,
        "endpoint": endpoint if endpoint.pk else None,
        "summary": faults([form]) if form.is_bound else [],
    }
    return render(request, "tiers/endpoint.html", context, status=422 if form.is_bound else 200)


@owner_required
@require_POST
def check_endpoint(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Ask the endpoint for real completions; the result shows on the overview."""
    endpoint = _endpoint(request, uuid)
    report = services.check_endpoint(endpoint, by=current_user(request))
    if report.works:
        messages.success(request, f"{endpoint.name} works.")
    else:
        messages.error(request, f"{endpoint.name}: {report.error} {report.hint}".strip())
    return redirect("tiers:overview")


@owner_required
@require_POST
def archive_endpoint(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Take an endpoint out of use."""
    try:
        services.archive_endpoint(_endpoint(request, uuid), by=current_user(request))
    except InvalidInput as error:
        messages.error(request, error.message)
    return redirect("tiers:overview")


@owner_required
@require_http_methods(["GET", "POST"])
def add_ladder(request: HttpRequest) -> HttpResponse:
    """Name a new ladder; its tiers come next."""
    ladder = Ladder(workspace=active_workspace(request).workspace)
    form = LadderForm(request.POST or None, instance=ladder, workspace=ladder.workspace)
    if form.is_valid():
        services.save_ladder(form.save(commit=False), by=current_user(request))
        return redirect("tiers:edit_ladder", uuid=ladder.uuid)
    context = {
        "form": form,
        "title": "Add ladder",
        "summary": faults([form]) if form.is_bound else [],
    }
    return render(request, "tiers/ladder.html", context, status=422 if form.is_bound else 200)


@owner_required
@require_http_methods(["GET", "POST"])
def edit_ladder(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Rename a ladder; show its rungs with their controls."""
    ladder = _ladder(request, uuid)
    form = LadderForm(request.POST or None, instance=ladder, workspace=ladder.workspace)
    if form.is_valid():
        services.save_ladder(form.save(commit=False), by=current_user(request))
        messages.success(request, "Saved.")
        return redirect("tiers:edit_ladder", uuid=uuid)
    return _ladder_page(request, ladder, form, RungForm(ladder=ladder, auto_id="rung_%s"))


def _ladder_page(
    request: HttpRequest, ladder: Ladder, form: LadderForm, rung_form: RungForm
) -> HttpResponse:
    ladder_name = Ladder.objects.values_list("name", flat=True).get(pk=ladder.pk)
    bad = form.is_bound or rung_form.is_bound
    context = {
        "form": form,
        "ladder": ladder,
        "rungs": ladder.ordered_rungs(),
        "rung_form": rung_form,
        "title": f"Ladder {ladder_name}",
        "summary": faults([form, rung_form]) if bad else [],
    }
    return render(request, "tiers/ladder.html", context, status=422 if bad else 200)


@owner_required
@require_POST
def archive_ladder(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Take a ladder out of use."""
    services.archive_ladder(_ladder(request, uuid), by=current_user(request))
    return redirect("tiers:overview")


@owner_required
@require_POST
def add_rung(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Add a tier on top."""
    ladder = _ladder(request, uuid)
    form = RungForm(request.POST, ladder=ladder, auto_id="rung_%s")
    if not form.is_valid():
        return _ladder_page(
            request, ladder, LadderForm(instance=ladder, workspace=ladder.workspace), form
        )
    services.add_rung(
        ladder,
        form.cleaned_data["endpoint"],
        form.cleaned_data["tier_name"],
        by=current_user(request),
    )
    return redirect("tiers:edit_ladder", uuid=uuid)


@owner_required
@require_POST
def move_rung(request: HttpRequest, uuid: UUID, position: int) -> HttpResponse:
    """Move a tier one place towards the top or the bottom."""
    up = request.POST.get("to") == "up"
    services.move_rung(_ladder(request, uuid), position, up=up, by=current_user(request))
    return redirect("tiers:edit_ladder", uuid=uuid)


@owner_required
@require_POST
def remove_rung(request: HttpRequest, uuid: UUID, position: int) -> HttpResponse:
    """Take a tier out of the ladder."""
    services.remove_rung(_ladder(request, uuid), position, by=current_user(request))
    return redirect("tiers:edit_ladder", uuid=uuid)
