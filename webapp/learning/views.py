"""Pages of trainings and weights: members train, owners delete, everybody reads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from collab_core.errors import InvalidInput
from collab_core.learned.store import MANIFEST, TENSORS
from collab_core.learned.trainer import Trainer
from collab_core.learned.training import find_trainer
from webapp.forms_summary import faults
from webapp.learning import services, weights
from webapp.learning.forms import TrainingForm, options_form
from webapp.learning.models import Training, Weights
from webapp.learning.reports import strategies_for, told
from webapp.runs.specs import resources
from webapp.schema_fields import SchemaForm
from webapp.static_files import PLOTLY_URL_PATH
from webapp.teams.access import active_workspace, current_user, member_required, owner_required


def _trainer(kind: str) -> Trainer:
    try:
        return find_trainer(kind)
    except InvalidInput as error:
        raise Http404(error.message) from error


def _training(request: HttpRequest, uuid: UUID) -> Training:
    found = Training.objects.for_user(current_user(request))
    return get_object_or_404(found.select_related("weights", "submitted_by"), uuid=uuid)


def _weights(request: HttpRequest, uuid: UUID) -> Weights:
    found = Weights.objects.for_user(current_user(request))
    return get_object_or_404(found.select_related("created_by"), uuid=uuid)


@member_required
@require_http_methods(["GET", "POST"])
def train(request: HttpRequest, kind: str) -> HttpResponse:
    """Show the form of a training; submit it."""
    trainer, workspace = _trainer(kind), active_workspace(request).workspace
    if request.method == "POST":
        form = TrainingForm(request.POST, request.FILES, workspace=workspace, trainer=trainer)
        options = options_form(trainer, request.POST)
        if training := _submitted(request, trainer, form, options):
            return redirect("learning:training", uuid=training.uuid)
    else:
        form = TrainingForm(workspace=workspace, trainer=trainer)
        options = options_form(trainer)
    context = {
        "trainer": trainer,
        "form": form,
        "options": options,
        "strategies": strategies_for(trainer.kind),
        "summary": faults([form, options]) if form.is_bound else [],
    }
    return render(request, "learning/train.html", context, status=422 if form.is_bound else 200)


def _submitted(
    request: HttpRequest, trainer: Trainer, form: TrainingForm, options: SchemaForm
) -> Training | None:
    """Submit what the forms say; None with the errors in the forms."""
    if not all([form.is_valid(), options.is_valid()]):
        return None
    try:
        return services.submit(
            active_workspace(request).workspace,
            current_user(request),
            _order(trainer, form.cleaned_data, options.cleaned_data),
        )
    except InvalidInput as error:
        text = f"{error.message} {error.hint}".strip()
        if error.field in options.fields:
            options.add_error(error.field, text)
        else:
            form.add_error(error.field if error.field in form.fields else None, text)
        return None


def _order(trainer: Trainer, data: Mapping[str, Any], options: Mapping[str, Any]) -> services.Order:
    runs, labels = data["source"] == "runs", data["labels"]
    return services.Order(
        kind=trainer.kind,
        name=data["name"],
        options=options,
        seed=data["seed"] or 0,
        encoder=data["encoder"],
        ladder=data["ladder"] if runs else None,
        collection=data["collection"] if runs else None,
        classifier=data["classifier"],
        most=data["most"] or 1_000,
        upload=None if runs else data["file"].chunks(),
        labels=labels.chunks() if labels and trainer.needs_labels else None,
        labels_name=labels.name or "" if labels else "",
        # a file that was chosen is meant, whatever the list shows
        label_set=None if labels else data["label_set"],
        idempotency_key=data["key"] or None,
    )


@require_GET
def training(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show how far a training is, and what it made."""
    found = _training(request, uuid)
    context = {"training": found, **_about(found), "may_run": _may_run(request)}
    if found.weights is not None:
        context |= _told(found.weights)
    return render(request, "learning/training.html", context)


@require_GET
def progress(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The part of the page that changes; when the training has ended, the page is loaded anew."""
    found = _training(request, uuid)
    context = {"training": found, "may_run": _may_run(request)}
    response = render(request, "learning/_progress.html", context)
    if found.ended:
        response["HX-Refresh"] = "true"
    return response


def _about(found: Training) -> dict[str, Any]:
    try:
        return {"trainer": find_trainer(found.kind)}
    except InvalidInput:
        return {"trainer": None}


def _may_run(request: HttpRequest) -> bool:
    return active_workspace(request).may_run


def _told(found: Weights) -> dict[str, Any]:
    return {"weights": found, "told": told(found), "plotly_js": static(PLOTLY_URL_PATH)}


@require_POST
def cancel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Ask a training to stop."""
    services.cancel(_training(request, uuid), current_user(request))
    return redirect("learning:training", uuid=uuid)


@require_GET
def show_weights(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show where weights come from and what they can do."""
    found = _weights(request, uuid)
    context = {
        **_told(found),
        "uses": weights.uses(found),
        "ours": bool(found.manifest),
        "training": found.trainings.order_by("-id").first(),
        "may_delete": active_workspace(request).may_edit_endpoints,
    }
    return render(request, "learning/weights.html", context)


@require_GET
def download(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The weights folder as a ZIP archive."""
    found = _weights(request, uuid)
    home = resources(found.workspace_id).folder
    assert home is not None
    packed = io.BytesIO()
    try:
        with zipfile.ZipFile(packed, "w") as archive:
            for name in (MANIFEST, TENSORS):
                archive.write(home / found.reference / name, f"{found.reference}/{name}")
    except FileNotFoundError as error:
        raise Http404("The files of these weights are gone.") from error
    headers = {"Content-Disposition": f'attachment; filename="{found.reference}.zip"'}
    return HttpResponse(packed.getvalue(), content_type="application/zip", headers=headers)


@owner_required
@require_POST
def delete(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Delete weights for good."""
    found = _weights(request, uuid)
    try:
        weights.delete(found, current_user(request))
    except InvalidInput as error:
        messages.error(request, f"{error.message} {error.hint}".strip())
        return redirect("learning:weights", uuid=uuid)
    messages.success(request, f"{found.name} is deleted.")
    return redirect("strategies:catalogue")
