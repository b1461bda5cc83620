"""Pages of experiments: the list, the result page with what can be done there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_POST

from collab_core.errors import InvalidInput
from collab_core.strategies.registry import STRATEGIES
from webapp.experiments import control, creation, grid, overview, reads, results
from webapp.experiments.export_views import offered, visible
from webapp.experiments.models import Experiment, TaskSet
from webapp.static_files import PLOTLY_URL_PATH
from webapp.teams.access import active_workspace, current_user, role_in
from webapp.teams.models import User


@require_GET
def experiment_list(request: HttpRequest) -> HttpResponse:
    """List the workspace's experiments, newest first."""
    workspace = active_workspace(request).workspace
    page = overview.listed(workspace, before=_number(request, "before"))
    context = {
        "page": page,
        "first": "before" not in request.GET,
        "active": any(not row.experiment.ended for row in page.rows),
        "any_task_set": TaskSet.objects.live().filter(workspace=workspace).exists(),
    }
    part = request.headers.get("HX-Request")
    response = render(request, f"experiments/{'_list' if part else 'list'}.html", context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_GET
def detail(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show the result page; its figures are fetched by it."""
    experiment = visible(request, uuid)
    progress = reads.progress([experiment.pk])[experiment.pk]
    definition = experiment.defined
    context = {
        "experiment": experiment,
        "progress": progress,
        "definition": definition,
        "tasks": experiment.trials_total // (len(definition.arms) * len(definition.seeds)),
        "may_run": role_in(current_user(request), experiment.workspace_id).may_run,
        "shows": grid.SHOWS,
        "exports": offered(),
        "rerun_key": uuid4().hex,
        "payload": _payload(experiment, progress),
        "plotly_js": static(PLOTLY_URL_PATH),
    }
    return render(request, "experiments/detail.html", context)


def _payload(experiment: Experiment, progress: reads.Progress) -> dict[str, Any]:
    definition = experiment.defined
    return {
        "url": reverse("experiments:detail", args=[experiment.uuid]),
        "socket": f"/ws/experiments/{experiment.uuid}/",
        "name": experiment.name,
        "ref": experiment.ref,
        "baseline": definition.baseline,
        "simulated": experiment.simulated,
        "progress": progress._asdict(),
        "arms": [
            {
                "label": arm.label,
                "strategy": STRATEGIES[arm.strategy].title
                if arm.strategy in STRATEGIES
                else arm.strategy,
                "ladder": arm.ladder,
            }
            for arm in definition.arms
        ],
    }


@require_GET
def figures(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The figures as they stand, against the baseline that is asked for; one part or all."""
    experiment = visible(request, uuid)
    try:
        body = results.body(
            experiment, request.GET.get("baseline", "")[:80], only=request.GET.get("part", "")
        )
    except InvalidInput as error:
        return JsonResponse({"message": error.message, "hint": error.hint}, status=422)
    return HttpResponse(body, content_type="application/json")


@require_GET
def trials(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """A page of the grid of trials."""
    experiment = visible(request, uuid)
    show = request.GET.get("show", "all")
    show = show if show in dict(grid.SHOWS) else "all"
    page = grid.tasks(experiment, show=show, number=_number(request, "page") or 1)
    context = {
        "experiment": experiment,
        "page": page,
        "show": show,
        "arms": experiment.defined.arms,
    }
    return render(request, "experiments/_trials.html", context)


@require_GET
def failures(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """A page of the trials that failed."""
    experiment = visible(request, uuid)
    page = grid.failures(experiment, _number(request, "page") or 1)
    return render(request, "experiments/_failures.html", {"experiment": experiment, "page": page})


# --- steering -----------------------------------------------------------------------------------
def _steer(
    request: HttpRequest, uuid: UUID, act: Callable[[Experiment, User], int | None]
) -> int | None:
    return act(visible(request, uuid), current_user(request))


@require_POST
def pause(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Begin no more runs."""
    _steer(request, uuid, control.pause)
    return redirect("experiments:detail", uuid=uuid)


@require_POST
def resume(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Go on after a pause."""
    _steer(request, uuid, control.resume)
    return redirect("experiments:detail", uuid=uuid)


@require_POST
def cancel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Stop it for good; what is done stays."""
    _steer(request, uuid, control.cancel)
    return redirect("experiments:detail", uuid=uuid)


@require_POST
def retry(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Begin again what failed or was stopped."""
    count = _steer(request, uuid, control.retry)
    messages.success(request, _told(count, "begins again", "begin again"))
    return redirect("experiments:detail", uuid=uuid)


@require_POST
def judge_again(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Ask the judge anew about every answer."""
    count = _steer(request, uuid, control.judge_again)
    messages.success(request, _told(count, "is judged again", "are judged again"))
    return redirect("experiments:detail", uuid=uuid)


def _told(count: int | None, one: str, many: str) -> str:
    return "There was nothing to do." if not count else f"{count} {one if count == 1 else many}."


@require_POST
def rerun(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Make the same experiment again, as another one; once for each page that asks."""
    earlier = visible(request, uuid)
    try:
        made = creation.create(
            earlier.workspace,
            current_user(request),
            earlier.defined,
            max_parallel=earlier.max_parallel,
            idempotency_key=request.POST.get("key") or None,
            parent=earlier,
        )
    except InvalidInput as error:
        messages.error(request, f"{error.message} {error.hint}".strip())
        return redirect("experiments:detail", uuid=uuid)
    return redirect("experiments:detail", uuid=made.uuid)


def _number(request: HttpRequest, name: str) -> int | None:
    raw = request.GET.get(name, "")
    return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 10 else None
