"""Pages of the runs: list, new, live. The writing is done by the services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from collab_core.errors import InvalidInput
from collab_core.strategies.base import Strategy
from collab_core.strategies.registry import STRATEGIES
from webapp.forms_summary import Fault, faults
from webapp.learning.weights import offers
from webapp.runs import services
from webapp.runs.forms import ForkForm, NewRunForm, parameter_forms, parameters_form
from webapp.runs.models import Collection, Run, SampleTask, Status
from webapp.runs.queries import DEFAULT_ORDER, OUTCOMES, RunFilters, list_runs
from webapp.runs.warm import warm_account
from webapp.schema_fields import SchemaForm
from webapp.static_files import PLOTLY_URL_PATH
from webapp.teams.access import (
    active_workspace,
    current_user,
    member_required,
    require_may_run,
    role_in,
)
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder

KPIS = (
    ("steps", "Steps"),
    ("elapsed", "Elapsed"),
    ("speedup", "Speed-up"),
    ("switches", "Switches"),
    ("top", "Top tokens"),
    ("cost", "Cost"),
)
TASKS_SHOWN = 50
FEW_STRATEGIES = 6
"""Up to so many, the form shows every family unfolded."""
SORTS = (("steps", "Steps"), ("latency", "Latency"), ("cost", "Cost"), ("created", "Age"))


@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    """List the workspace's runs; filters, order and place are in the address."""
    membership = active_workspace(request)
    filters = RunFilters.from_query(request.GET)
    page = list_runs(
        membership.workspace, filters, request.GET.get("order", ""), request.GET.get("cursor")
    )
    order = request.GET.get("order") or DEFAULT_ORDER
    context = {
        "page": page,
        "filters": filters,
        "filtered": filters.any(),
        "order": order,
        "sorts": [_sort(request, key, label, order) for key, label in SORTS],
        "next_url": _with(request, cursor=page.next_cursor) if page.next_cursor else "",
        "first_url": _with(request, cursor=None) if request.GET.get("cursor") else "",
        "titles": {name: strategy.title for name, strategy in STRATEGIES.items()},
        "active": any(not run.ended for run in page.rows),
    }
    swapped = bool(request.headers.get("HX-Request")) and not request.headers.get(
        "HX-History-Restore-Request"
    )
    if not swapped:
        context |= _choices(membership.workspace)
    template = "runs/_results.html" if swapped else "runs/list.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _with(request: HttpRequest, **changes: str | None) -> str:
    """Return the address of this list with some keys changed; empty ones are left out."""
    query = {key: value for key, value in request.GET.items() if value} | changes
    kept = {key: value for key, value in query.items() if value}
    return f"{reverse('runs:list')}?{urlencode(kept)}" if kept else reverse("runs:list")


class Sort(NamedTuple):
    key: str
    label: str
    url: str
    direction: str
    """ascending, descending or "" where the list is sorted by something else."""


def _sort(request: HttpRequest, key: str, label: str, order: str) -> Sort:
    down = order == f"-{key}"
    on = order.removeprefix("-") == key
    url = _with(request, order=key if down else f"-{key}", cursor=None)
    return Sort(key, label, url, ("descending" if down else "ascending") if on else "")


def _choices(workspace: Workspace) -> dict[str, Any]:
    ladders: QuerySet[Ladder, str] = Ladder.objects.filter(workspace=workspace).values_list(
        "name", flat=True
    )
    members = User.objects.filter(memberships__workspace=workspace).order_by("username")
    return {
        "statuses": Status.choices,
        "outcomes": OUTCOMES,
        "strategies": [(name, strategy.title) for name, strategy in STRATEGIES.items()],
        "ladders": sorted(set(ladders)),
        "people": members.values_list("username", flat=True),
    }


def visible_run(request: HttpRequest, uuid: UUID) -> Run:
    """Return a run of one of the user's workspaces; 404 for a stranger."""
    runs = Run.objects.for_user(current_user(request))
    return get_object_or_404(
        runs.select_related(
            "workspace",
            "collection",
            "submitted_by",
            "parent",
            "ladder",
            "trial__experiment",
            "trial__arm",
        ),
        uuid=uuid,
    )


@require_GET
def detail(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show the page that follows a run."""
    run = visible_run(request, uuid)
    membership = role_in(current_user(request), run.workspace_id)
    may_run = membership.may_run
    strategy = STRATEGIES.get(run.strategy)
    context: dict[str, Any] = {
        "run": run,
        "may_run": may_run,
        "may_review": membership.may_review,
        "kpis": [(key, _top_words(run) if key == "top" else label) for key, label in KPIS],
        "strategy_title": strategy.title if strategy else run.strategy,
        "plotly_js": static(PLOTLY_URL_PATH),
        "compare_url": _compare_url(run),
        "tools": _tool_words(run),
        "warm": warm_account(run) if run.ended else None,
    }
    if may_run:
        context["fork_form"] = ForkForm(
            workspace=run.workspace,
            initial={"strategy": run.strategy, "ladder": run.ladder and run.ladder.uuid},
            auto_id="fork_%s",
        )
        context["parameters"] = _fork_parameters(run, run.strategy)
    return render(request, "runs/detail.html", context)


def _top_words(run: Run) -> str:
    """Return the label of the top tier's share of tokens, by the tier's name where it is short."""
    name = str(run.tiers[-1]["name"]) if run.tiers else ""
    return f"{name.capitalize()} tokens" if 0 < len(name) <= 8 else "Top tokens"


def _tool_words(run: Run) -> str:
    """Return the tools that were chosen, in words; "" for a run of an older version."""
    if run.tools is None:
        return ""
    return ", ".join(name.replace("_", " ") for name in run.tools) or "none"


def _compare_url(run: Run) -> str:
    """Return the comparison with the runs that share its race, else its parent and itself."""
    others = Run.objects.filter(workspace_id=run.workspace_id)
    if run.race:
        uuids = list(others.filter(race=run.race).order_by("id").values_list("uuid", flat=True))
    else:
        kin = Q(pk=run.pk) | (Q(pk=run.parent_id) if run.parent_id else Q(pk=run.pk))
        uuids = list(others.filter(kin).order_by("id").values_list("uuid", flat=True))
    return f"{reverse('compare:compare')}?{urlencode({'runs': ','.join(map(str, uuids))})}"


@member_required
@require_http_methods(["GET", "POST"])
def new_run(request: HttpRequest) -> HttpResponse:
    """Show the form; submit one run, or one for each ticked strategy."""
    workspace = active_workspace(request).workspace
    if request.method == "POST":
        form = NewRunForm(request.POST, workspace=workspace)
        parameters = parameter_forms(_ticked(form), data=request.POST, weights=offers(workspace))
        if runs := _submitted(request, form, parameters):
            return _after_submit(runs)
    else:
        form, parameters = _fresh_forms(request)
    context = {
        "form": form,
        "families": families_of(parameters, _ticked(form)),
        "most": services.MAX_RACE,
        "summary": _faults(form, parameters) if form.is_bound else [],
        "collections": Collection.objects.filter(workspace=workspace).exists(),
    }
    return render(request, "runs/new.html", context, status=422 if form.is_bound else 200)


@member_required
@require_GET
def parameters(request: HttpRequest) -> HttpResponse:
    """The fields of one strategy's parameters, for a card that was ticked."""
    name = request.GET.get("strategy", "")
    if name not in STRATEGIES:
        raise Http404
    workspace = active_workspace(request).workspace
    forms = parameter_forms([name], weights=offers(workspace))
    return render(request, "runs/_parameters.html", {"parameters": forms[name]})


class Card(NamedTuple):
    """A strategy as the form shows it."""

    strategy: Strategy
    parameters: SchemaForm | None
    """None = loaded when the card is ticked."""
    ticked: bool
    words: str
    """What the search looks at."""


class FamilyOfCards(NamedTuple):
    name: str
    cards: list[Card]
    open: bool


def families_of(
    parameters: Mapping[str, SchemaForm] | None = None, ticked: Sequence[str] = ()
) -> list[FamilyOfCards]:
    """Return the strategies by family, both in the registry's order; ticked ones are in sight."""
    known = parameters or {}
    cards: dict[str, list[Card]] = {}
    for name, strategy in STRATEGIES.items():
        words = f"{strategy.title} {name} {strategy.family} {strategy.summary}".lower()
        card = Card(strategy, known.get(name), name in ticked, words)
        cards.setdefault(strategy.family, []).append(card)
    few = len(STRATEGIES) <= FEW_STRATEGIES
    return [
        FamilyOfCards(family, members, few or any(card.ticked for card in members))
        for family, members in cards.items()
    ]


def _fresh_forms(request: HttpRequest) -> tuple[NewRunForm, dict[str, SchemaForm]]:
    """Return empty forms, or ones filled from the run that ``?like=`` names."""
    workspace = active_workspace(request).workspace
    initial: dict[str, Any] = {"strategies": ["agentcollab"]}
    given: dict[str, dict[str, Any]] = {}
    first = Collection.objects.filter(workspace=workspace).order_by("id").first()
    if first:
        initial["collection"] = first.uuid
    if like := request.GET.get("like"):
        run = Run.objects.filter(workspace=workspace, uuid=like).first() if _is_uuid(like) else None
        if run:
            initial |= {
                "question": run.question,
                "task_id": run.task_id,
                "seed": run.seed,
                "strategies": [run.strategy],
                **run.limits,
            }
            initial |= {
                "collection": run.collection and run.collection.uuid,
                "ladder": run.ladder and run.ladder.uuid,
            }
            if run.tools is not None:
                initial["tools"] = run.tools
            given[run.strategy] = run.parameters
    forms = parameter_forms(initial["strategies"], initial=given, weights=offers(workspace))
    return NewRunForm(workspace=workspace, initial=initial), forms


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _ticked(form: NewRunForm) -> list[str]:
    chosen = form["strategies"].value() or []
    return [name for name in STRATEGIES if name in chosen]


def _submitted(
    request: HttpRequest, form: NewRunForm, parameters: Mapping[str, SchemaForm]
) -> list[Run] | None:
    """Submit what the forms say; None with the errors in the forms."""
    valid = form.is_valid()
    ticked = _ticked(form)
    if not all([valid, *(parameters[name].is_valid() for name in ticked)]):
        return None
    data = form.cleaned_data
    if not _fitting({name: parameters[name] for name in ticked}, data["ladder"]):
        return None
    submission = services.Submission(
        question=data["question"],
        strategies=[(name, parameters[name].cleaned_data) for name in ticked],
        ladder=data["ladder"],
        collection=data["collection"],
        tools=form.chosen_tools(),
        task_id=data["task_id"],
        seed=data["seed"],
        limits=form.limits(),
        idempotency_key=data["key"] or None,
    )
    try:
        return services.submit(
            active_workspace(request).workspace, current_user(request), submission
        )
    except InvalidInput as error:
        _place_error(error, form, [parameters[name] for name in ticked])
        return None


def _fitting(parameters: Mapping[str, SchemaForm], ladder: Ladder) -> bool:
    """Put what a strategy cannot do on this ladder at its own card; True if there is nothing."""
    for name, form in parameters.items():
        try:
            services.checked_parameters(ladder.workspace, name, form.cleaned_data, ladder)
        except InvalidInput as error:
            text = _without_field(error)
            form.add_error(error.field if error.field in form.fields else None, text)
    return all(form.is_valid() for form in parameters.values())


def _without_field(error: InvalidInput) -> str:
    """Return what is wrong, for a place that names the field already."""
    words = f"{error.message} {error.hint}".strip().removeprefix(f"{error.field}: ")
    return words[:1].upper() + words[1:]


def _faults(form: NewRunForm, parameters: Mapping[str, SchemaForm]) -> list[Fault]:
    """Return every error; several strategies have fields of one name, so theirs name the strategy."""
    found = faults([form])
    for name, own in parameters.items():
        title = STRATEGIES[name].title
        found += [
            fault._replace(label=f"{title}, {fault.label}")
            if fault.id
            else fault._replace(message=f"{title}: {fault.message}")
            for fault in faults([own])
        ]
    return found


def _place_error(error: InvalidInput, form: NewRunForm, parameters: list[SchemaForm]) -> None:
    """Put the service's error at the field it names."""
    text = f"{error.message} {error.hint}".strip()
    name = {"strategy": "strategies"}.get(error.field, error.field)
    if name in form.fields:
        form.add_error(name if not form.fields[name].widget.is_hidden else None, text)
        return
    owner = next((part for part in parameters if name in part.fields), None)
    if owner is not None:
        owner.add_error(name, text)
    else:
        form.add_error(None, text)


def _after_submit(runs: list[Run]) -> HttpResponse:
    if len(runs) == 1:
        return redirect("runs:detail", uuid=runs[0].uuid)
    query = urlencode({"runs": ",".join(str(run.uuid) for run in runs)})
    return redirect(f"{reverse('compare:compare')}?{query}")


@require_GET
def sample_tasks(request: HttpRequest) -> JsonResponse:
    """Find sample tasks of a collection by words of the question, id or difficulty."""
    workspace = active_workspace(request).workspace
    uuid = request.GET.get("collection", "")
    tasks = SampleTask.objects.filter(collection__workspace=workspace)
    tasks = tasks.filter(collection__uuid=uuid) if _is_uuid(uuid) else tasks.none()
    for word in request.GET.get("q", "")[:200].split()[:8]:
        tasks = tasks.filter(
            Q(question__icontains=word) | Q(task_id__icontains=word) | Q(difficulty__iexact=word)
        )
    rows = tasks.order_by("id").values("task_id", "question", "difficulty")[: TASKS_SHOWN + 1]
    return JsonResponse({"tasks": list(rows[:TASKS_SHOWN]), "more": len(rows) > TASKS_SHOWN})


@require_POST
def cancel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Ask a run to stop."""
    services.cancel(visible_run(request, uuid), current_user(request))
    return redirect("runs:detail", uuid=uuid)


@require_POST
def rerun(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Submit the same task with the same seed again."""
    try:
        run = services.rerun(visible_run(request, uuid), current_user(request))
    except InvalidInput as error:
        return _refused(request, uuid, error)
    return redirect("runs:detail", uuid=run.uuid)


def _fork_parameters(run: Run, strategy: str) -> SchemaForm | None:
    """Return the form of a strategy's parameters, with the run's own as a beginning."""
    if strategy not in STRATEGIES:
        return None
    initial = run.parameters if strategy == run.strategy else None
    form = parameters_form(STRATEGIES[strategy], weights=offers(run.workspace))
    return form(prefix=strategy, initial=initial, auto_id="fork_%s")


@require_GET
def fork_parameters(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The part of the fork's dialog that depends on the chosen strategy."""
    run = visible_run(request, uuid)
    require_may_run(role_in(current_user(request), run.workspace_id))
    form = _fork_parameters(run, request.GET.get("strategy", ""))
    if form is None:
        raise Http404
    return render(request, "runs/_parameters.html", {"parameters": form})


@require_POST
def fork(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Branch a run off after one of its steps."""
    run = visible_run(request, uuid)
    form = ForkForm(request.POST, workspace=run.workspace)
    if not form.is_valid():
        return _refused(request, uuid, InvalidInput(_first_error(form)))
    data = form.cleaned_data
    strategy = STRATEGIES[data["strategy"]]
    parameters = parameters_form(strategy, weights=offers(run.workspace))(
        request.POST, prefix=strategy.name
    )
    if not parameters.is_valid():
        return _refused(request, uuid, InvalidInput(_first_error(parameters)))
    try:
        made = services.fork(
            run,
            current_user(request),
            after_step=data["after_step"],
            strategy=data["strategy"],
            parameters=parameters.cleaned_data,
            ladder=data["ladder"],
        )
    except InvalidInput as error:
        return _refused(request, uuid, error)
    return redirect("runs:detail", uuid=made.uuid)


def _first_error(form: NewRunForm | ForkForm | SchemaForm) -> str:
    fault = faults([form])[0]
    return f"{fault.label}: {fault.message}" if fault.label else fault.message


def _refused(request: HttpRequest, uuid: UUID, error: InvalidInput) -> HttpResponse:
    messages.error(request, f"{error.message} {error.hint}".strip())
    return redirect("runs:detail", uuid=uuid)
