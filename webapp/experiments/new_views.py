"""The page on which an experiment is put together. The server alone holds what an arm's fields are:
adding, copying and sweeping arms send the form and get the new arms back."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from collab_core.errors import InvalidInput
from collab_core.experiments import shipped
from collab_core.experiments.definition import MAX_ARMS, MAX_BYTES, Definition, build, parse
from collab_core.strategies.registry import STRATEGIES
from webapp.experiments import creation, drafts
from webapp.experiments.drafts import Draft, DraftArm
from webapp.experiments.forms import DefinitionForm, ExperimentForm, counts_of
from webapp.experiments.models import Experiment
from webapp.forms_summary import Fault, faults
from webapp.runs.views import families_of
from webapp.teams.access import active_workspace, current_user, member_required
from webapp.teams.models import Workspace


@member_required
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """Show the form; make the experiment."""
    workspace = active_workspace(request).workspace
    if request.method == "POST":
        draft = drafts.posted(workspace, request.POST)
        if made := _made(request, draft):
            return redirect("experiments:detail", uuid=made.uuid)
        return _page(request, draft, summary=draft.summary, status=422)
    return _page(request, _beginning(request, workspace))


@member_required
@require_POST
def read_file(request: HttpRequest) -> HttpResponse:
    """Fill the form from an uploaded definition; nothing is made yet."""
    workspace = active_workspace(request).workspace
    form = DefinitionForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            definition = parse(form.cleaned_data["file"].read(MAX_BYTES + 1))
        except InvalidInput as error:
            form.add_error("file", drafts.words(error))
        else:
            return _page(request, drafts.of_definition(workspace, definition))
    summary = faults([form])
    return _page(request, drafts.empty(workspace), upload=form, summary=summary, status=422)


@member_required
@require_GET
def selection(request: HttpRequest) -> HttpResponse:
    """The part of the form that depends on the chosen task set."""
    initial = {"task_set": request.GET.get("task_set", "")[:80]}
    form = ExperimentForm(initial=initial, workspace=active_workspace(request).workspace)
    context = {"form": form, "counts": json.dumps(counts_of(form))}
    return render(request, "experiments/_selection.html", context)


@member_required
@require_POST
def arms(request: HttpRequest) -> HttpResponse:
    """Answer with new arms for the page: one of a strategy, copies, a sweep. Nothing is stored."""
    workspace, data = active_workspace(request).workspace, request.POST
    what = request.GET.get("do", "")
    if what == "add":
        made = [_added(workspace, request)]
    else:
        arm = drafts.posted_arm(workspace, data, _index(request))
        if arm is None:
            raise Http404
        if what == "copy":
            taken = [one.label for one in drafts.posted_arms(workspace, data)]
            label = drafts.free_label(arm.label, taken)
            made = drafts.copies(workspace, data, arm.index, [{"label": label}])
        elif what == "sweep":
            made = _swept(workspace, request, arm)
        else:
            raise Http404
    return render(request, "experiments/_arms.html", {"arms": made})


def _index(request: HttpRequest) -> int:
    raw = request.GET.get("arm", "")
    if not raw.isdigit() or len(raw) > 6:
        raise Http404
    return int(raw)


def _added(workspace: Workspace, request: HttpRequest) -> DraftArm:
    name = request.GET.get("strategy", "")
    if name not in STRATEGIES:
        raise Http404
    existing = drafts.posted_arms(workspace, request.POST)
    ladder = str(existing[-1].form["ladder"].value() or "") if existing else ""
    following = max([*drafts.indexes(request.POST), -1]) + 1
    taken = [one.label for one in existing]
    return drafts.new_arm(workspace, name, following, ladder=ladder, taken=taken)


def _swept(workspace: Workspace, request: HttpRequest, arm: DraftArm) -> list[DraftArm]:
    try:
        return drafts.swept(workspace, request.POST, arm)
    except InvalidInput as error:
        arm.sweep_error = drafts.words(error)
        return [arm]


def _made(request: HttpRequest, draft: Draft) -> Experiment | None:
    """Make the experiment; None with the errors in the forms."""
    if not draft.is_valid():
        return None
    data = draft.form.cleaned_data
    try:
        return creation.create(
            draft.workspace,
            current_user(request),
            build(draft.values()),
            max_parallel=data["max_parallel"],
            idempotency_key=data["key"] or None,
            parent=_parent(draft.workspace, data["parent"]) if data["parent"] else None,
        )
    except InvalidInput as error:
        draft.place(error)
        return None


def _experiment(request: HttpRequest, uuid: UUID) -> Experiment | None:
    return Experiment.objects.for_user(current_user(request)).filter(uuid=uuid).first()


def _parent(workspace: Workspace, uuid: UUID) -> Experiment | None:
    """Return what it was made from; never one of another workspace, whose people would see its name."""
    return Experiment.objects.filter(workspace=workspace, uuid=uuid).first()


def _beginning(request: HttpRequest, workspace: Workspace) -> Draft:
    """Return the form to begin with: empty, of a shipped definition, or of an earlier experiment."""
    if name := request.GET.get("definition"):
        if name not in shipped.names():
            raise Http404("There is no such definition.")
        return drafts.of_definition(workspace, shipped.load(name))
    if raw := request.GET.get("from"):
        try:
            earlier = _experiment(request, UUID(raw))
        except ValueError:
            earlier = None
        if earlier is None:
            raise Http404("There is no such experiment.")
        initial: dict[str, Any] = {"max_parallel": earlier.max_parallel}
        if earlier.workspace_id == workspace.pk:
            initial["parent"] = earlier.uuid
        return drafts.of_definition(workspace, earlier.defined, **initial)
    return drafts.empty(workspace)


def _page(
    request: HttpRequest,
    draft: Draft,
    *,
    upload: DefinitionForm | None = None,
    summary: list[Fault] | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "draft": draft,
        "form": draft.form,
        "arms": draft.arms,
        "counts": json.dumps(counts_of(draft.form)),
        "families": families_of(),
        "summary": summary or [],
        "upload": upload or DefinitionForm(),
        "definitions": _definitions(),
        "earlier": _earlier(draft.workspace),
        "most": MAX_ARMS,
    }
    return render(request, "experiments/new.html", context, status=status)


def _definitions() -> list[tuple[str, Definition]]:
    return [(name, shipped.load(name)) for name in shipped.names()]


def _earlier(workspace: Workspace) -> list[Experiment]:
    mine = Experiment.objects.filter(workspace=workspace).order_by("-id")
    return list(mine.only("uuid", "number", "name")[:10])
