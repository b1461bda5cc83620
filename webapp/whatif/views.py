"""Pages of what-ifs: ask, wait, read the answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_GET, require_http_methods

from collab_core.errors import InvalidInput
from collab_core.strategies.registry import STRATEGIES
from webapp.experiments.models import Experiment
from webapp.forms_summary import faults
from webapp.learning.weights import offers
from webapp.review.labels import note_opened
from webapp.runs.forms import parameters_form
from webapp.runs.models import Run
from webapp.schema_fields import SchemaForm
from webapp.static_files import PLOTLY_URL_PATH
from webapp.teams.access import active_workspace, current_user, member_required
from webapp.teams.models import Workspace
from webapp.whatif import services
from webapp.whatif.answers import settings, told
from webapp.whatif.forms import WhatIfForm, deciding
from webapp.whatif.models import WhatIf

LATEST = 10


@member_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Ask about an arm of ``?experiment=``, or about ``?runs=uuid,uuid``."""
    experiment, runs = _subject(request)
    workspace = experiment.workspace if experiment else active_workspace(request).workspace
    arms = [arm.label for arm in experiment.defined.arms] if experiment else []
    data = request.POST if request.method == "POST" else None
    form = WhatIfForm(data, arms=arms, initial={"arm": request.GET.get("arm", "")})
    parameters = _parameters(workspace, str(form["strategy"].value() or "agentcollab"), data)
    if data is not None:
        made = _asked(request, workspace, form, parameters, experiment, runs)
        if made is not None:
            return redirect("whatif:detail", uuid=made.uuid)
    context = {
        "form": form,
        "parameters": parameters,
        "experiment": experiment,
        "runs": runs,
        "latest": _latest(workspace, experiment),
        "summary": faults([form, *([parameters] if parameters else [])]) if data else [],
    }
    return render(request, "whatif/new.html", context, status=422 if data else 200)


@member_required
@require_GET
def parameters(request: HttpRequest) -> HttpResponse:
    """The fields of the chosen strategy."""
    workspace = active_workspace(request).workspace
    found = _parameters(workspace, request.GET.get("strategy", ""), None)
    if found is None:
        raise Http404
    return render(request, "whatif/_parameters.html", {"parameters": found})


@require_GET
def detail(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show the answer; while there is none, the part that asks for it again."""
    found = get_object_or_404(
        WhatIf.objects.for_user(current_user(request)).select_related("experiment", "created_by"),
        uuid=uuid,
    )
    if request.headers.get("HX-Request"):
        response = render(request, "whatif/_waiting.html", {"what_if": found})
        if found.ended:
            response["HX-Refresh"] = "true"
        return response
    strategy = STRATEGIES.get(found.strategy)
    context: dict[str, Any] = {
        "what_if": found,
        "strategy": strategy.title if strategy else found.strategy,
        "settings": settings(found),
        "plotly_js": static(PLOTLY_URL_PATH),
    }
    if found.result is not None:
        # it names tiers of single steps
        note_opened(current_user(request), [UUID(run) for run in found.runs])
        context["told"] = told(found)
    return render(request, "whatif/detail.html", context)


def _subject(request: HttpRequest) -> tuple[Experiment | None, list[Run]]:
    """Return what is asked about; 404 for what is not the user's."""
    user = current_user(request)
    try:
        wanted = [UUID(raw) for raw in request.GET.get("runs", "").split(",") if raw]
        experiment = UUID(request.GET["experiment"]) if "experiment" in request.GET else None
    except ValueError:
        raise Http404("The address names something that is no run.") from None
    if experiment is not None:
        mine = Experiment.objects.for_user(user).select_related("workspace")
        return get_object_or_404(mine, uuid=experiment), []
    chosen = wanted[: services.MOST_RUNS]
    runs = list(Run.objects.for_user(user).filter(uuid__in=chosen).order_by("id"))
    if not runs or len(runs) != len(set(chosen)):
        raise Http404("Choose an experiment, or runs.")
    return None, runs


def _parameters(workspace: Workspace, name: str, data: Any) -> SchemaForm | None:
    strategy = STRATEGIES.get(name)
    if strategy is None or strategy.policy is None:
        return None
    form = parameters_form(strategy, weights=offers(workspace))
    return form(data, prefix=name, auto_id="id_%s")


def _asked(
    request: HttpRequest,
    workspace: Workspace,
    form: WhatIfForm,
    parameters: SchemaForm | None,
    experiment: Experiment | None,
    runs: list[Run],
) -> WhatIf | None:
    """Ask; None with the errors in the forms."""
    if not form.is_valid() or parameters is None or not parameters.is_valid():
        return None
    arm = form.cleaned_data["arm"]
    try:
        chosen = services.arm_runs(experiment, arm) if experiment else runs
        return services.ask(
            workspace,
            current_user(request),
            chosen,
            source=f"{arm}, {experiment.ref}" if experiment else f"{len(chosen)} runs",
            strategy=form.cleaned_data["strategy"],
            parameters=deciding(parameters),
            experiment=experiment,
        )
    except InvalidInput as error:
        text = f"{error.message} {error.hint}".strip()
        owner = parameters if error.field in parameters.fields else form
        owner.add_error(error.field if error.field in owner.fields else None, text)
        return None


def _latest(workspace: Workspace, experiment: Experiment | None) -> list[WhatIf]:
    found = WhatIf.objects.filter(workspace=workspace)
    if experiment is not None:
        found = found.filter(experiment=experiment)
    return list(found.order_by("-id").defer("result", "runs")[:LATEST])
