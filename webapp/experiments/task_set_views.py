"""Pages of task sets: what there is, what can be added, what is in one."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from collab_core.errors import InvalidInput
from webapp.experiments import task_sets
from webapp.experiments.drafts import words
from webapp.experiments.forms import TaskSetForm
from webapp.experiments.models import TaskSet
from webapp.forms_summary import faults
from webapp.runs.models import Collection
from webapp.teams.access import active_workspace, current_user, member_required
from webapp.teams.models import Workspace

TASKS_A_PAGE = 50


@require_GET
def task_set_list(request: HttpRequest) -> HttpResponse:
    """List the workspace's task sets, and what can be added."""
    return _page(request, TaskSetForm(workspace=active_workspace(request).workspace))


def _page(request: HttpRequest, form: TaskSetForm, *, status: int = 200) -> HttpResponse:
    workspace = active_workspace(request).workspace
    found = TaskSet.objects.live().filter(workspace=workspace).select_related("collection")
    known = set(found.values_list("name", flat=True))
    context = {
        "task_sets": found.order_by("title", "name"),
        "offers": [(one, one.folder in known) for one in task_sets.offers()],
        "form": form,
        "summary": faults([form]) if form.is_bound else [],
    }
    return render(request, "experiments/task_sets.html", context, status=status)


def _task_set(request: HttpRequest, uuid: UUID) -> TaskSet:
    found = TaskSet.objects.for_user(current_user(request)).select_related("collection")
    return get_object_or_404(found, uuid=uuid)


@require_GET
def task_set(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show the tasks of a set, a page at a time."""
    found = _task_set(request, uuid)
    items = found.items.order_by("position").defer("answers", "reference")
    page = Paginator(items, TASKS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "experiments/task_set.html", {"task_set": found, "page": page})


@member_required
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Read a benchmark of the operator's folder into the workspace."""
    workspace = active_workspace(request).workspace
    try:
        made = task_sets.read_offered(
            workspace, current_user(request), folder=request.POST.get("folder", "")
        )
    except InvalidInput as error:
        messages.error(request, words(error))
    else:
        messages.success(request, _told(made))
    return redirect("experiments:task_sets")


@member_required
@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Read questions and answers of one's own."""
    workspace = active_workspace(request).workspace
    form = TaskSetForm(request.POST, request.FILES, workspace=workspace)
    if form.is_valid():
        data = form.cleaned_data
        try:
            made = task_sets.read_upload(
                workspace,
                current_user(request),
                data["file"].chunks(),
                file_name=data["file"].name,
                name=data["name"],
                collection=_collection(workspace, data["collection"]),
            )
        except InvalidInput as error:
            form.add_error(error.field if error.field in form.fields else "file", words(error))
        else:
            messages.success(request, _told(made))
            return redirect("experiments:task_sets")
    return _page(request, form, status=422)


def _collection(workspace: Workspace, name: str) -> Collection | None:
    return Collection.objects.filter(workspace=workspace, name=name).first() if name else None


def _told(made: TaskSet) -> str:
    return f"{made.title} is there as {made.name}, with {made.tasks_total:,} tasks."


@require_POST
def archive(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Take a set off the lists."""
    found = _task_set(request, uuid)
    task_sets.archive(found, current_user(request))
    messages.success(request, f"{found.name} is archived.")
    return redirect("experiments:task_sets")
