"""Pages of the reviews: queues, the labelling page, label sets. The writing is done by services."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from collab_core.errors import InvalidInput
from webapp.forms_summary import faults
from webapp.review import labelling, reads, services
from webapp.review.exchange import hidden_places
from webapp.review.forms import QueueForm
from webapp.review.frame import MAX_RUNS
from webapp.review.json_views import visible_queue
from webapp.review.models import Answer, LabelSet, Queue
from webapp.runs.queries import RunFilters, matching_ids
from webapp.teams.access import active_workspace, current_user, member_required

SETS_SHOWN = 100
ANSWERS = (
    ("1", Answer.YES, "Yes", "It moved the task forward"),
    ("2", Answer.NO, "No", "It did not"),
    ("3", Answer.UNSURE, "Cannot tell", "Not enough context to say"),
)
"""Key, value, words and what it means, as the labelling page shows them."""
FILTER_WORDS = {
    "q": "words",
    "status": "status",
    "outcome": "outcome",
    "strategy": "strategy",
    "ladder": "ladder",
    "collection": "collection",
    "experiment": "experiment",
    "who": "by",
    "from_": "from",
    "to": "to",
}


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """List the label sets of the workspace with their queues."""
    membership = active_workspace(request)
    sets = LabelSet.objects.filter(workspace=membership.workspace).select_related("adjudicator")
    shown = list(sets.order_by("-pk")[:SETS_SHOWN])
    rows = reads.queue_rows(shown, current_user(request))
    context = {
        "sets": [(one, rows.get(one.pk, [])) for one in shown],
        "may_review": membership.may_review,
        "may_run": membership.may_run,
        "is_owner": membership.may_edit_endpoints,
    }
    return render(request, "review/index.html", context)


def visible_set(request: HttpRequest, uuid: UUID) -> LabelSet:
    """Return a label set of one of the user's workspaces; 404 for a stranger."""
    sets = LabelSet.objects.for_user(current_user(request))
    return get_object_or_404(sets.select_related("workspace", "adjudicator"), uuid=uuid)


@member_required
@require_http_methods(["GET", "POST"])
def new_queue(request: HttpRequest) -> HttpResponse:
    """Show the form of a queue, filled from a run list's filters; draw and store it."""
    workspace = active_workspace(request).workspace
    if request.method == "POST":
        form = QueueForm(request.POST, workspace=workspace)
        if form.is_valid() and (queue := _created(request, form)):
            messages.success(
                request, f"{queue.drawn:,} of {queue.population:,} steps are in {queue.name}."
            )
            return redirect("review:set", uuid=queue.label_set.uuid)
    else:
        form = QueueForm(workspace=workspace, initial=_initial(request))
    context = {"form": form, "summary": faults([form]) if form.is_bound else []}
    return render(request, "review/new_queue.html", context, status=422 if form.is_bound else 200)


def _initial(request: HttpRequest) -> dict[str, Any]:
    given = RunFilters.from_query(request.GET).model_dump()
    initial = {key: value for key, value in given.items() if value}
    sets = LabelSet.objects.filter(workspace=active_workspace(request).workspace)
    wanted = next((one for one in sets if str(one.uuid) == request.GET.get("set")), None)
    return initial | ({"label_set": wanted.pk} if wanted else {})


def _created(request: HttpRequest, form: QueueForm) -> Queue | None:
    """Make what the form says; None with the errors in the form."""
    data, user = form.cleaned_data, current_user(request)
    try:
        filters = form.filters()
        wanted = services.Wanted(
            name=data["name"],
            runs=matching_ids(form.workspace, filters, MAX_RUNS + 1),
            words=filter_words(filters),
            source={"filters": filters.model_dump(by_alias=True)},
            method=data["method"],
            size=data["size"] or 0,
            strata=data["strata"],
            seed=data["seed"] or 0,
            people=list(data["people"]),
            dealt=data["dealt"],
        )
        with transaction.atomic():
            return services.create_queue(_label_set(form, user), user, wanted)
    except InvalidInput as error:
        text = f"{error.message} {error.hint}".strip()
        form.add_error(error.field if error.field in form.fields else None, text)
        return None


def _label_set(form: QueueForm, user: Any) -> LabelSet:
    data = form.cleaned_data
    if data["label_set"]:
        chosen: LabelSet = data["label_set"]
        return chosen
    try:
        return services.create_label_set(
            form.workspace,
            user,
            name=data["set_name"],
            question=data["question"],
            overlap=data["overlap"] or 1,
            adjudicator=data["adjudicator"],
        )
    except InvalidInput as error:
        raise InvalidInput(
            error.message, field="set_name" if error.field == "name" else error.field
        ) from error


def filter_words(filters: RunFilters) -> str:
    """Return the filters for people: "runs with strategy agentcollab, outcome incorrect"."""
    given = [(FILTER_WORDS[key], value) for key, value in filters.model_dump().items() if value]
    if not given:
        return "all runs"
    return "runs with " + ", ".join(f"{name} {value}" for name, value in given)


@require_GET
def label_set(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show a label set: its queues, how far they are, what can be done with it."""
    found, user = visible_set(request, uuid), current_user(request)
    membership = active_workspace(request)
    context = {
        "set": found,
        "rows": reads.queue_rows([found], user).get(found.pk, []),
        "may_review": membership.may_review,
        "may_run": membership.may_run,
        "is_owner": membership.may_edit_endpoints,
        "people": services.reviewers(found.workspace),
        "labels": found.labels.current().count(),
        "decisions": found.decisions.values("run_uuid", "step").distinct().count(),
        "withheld": len(hidden_places(found, user)),
    }
    return render(request, "review/set.html", context)


@require_GET
def queue(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show the labelling page; the items come by ``next``, but for ``?item=`` that is looked at again."""
    found, user = visible_queue(request, uuid), current_user(request)
    labelling.require_place(found, user)
    again = request.GET.get("item", "")
    context = {
        "queue": found,
        "set": found.label_set,
        "progress": reads.progress(found, user),
        "answers": ANSWERS,
        "again": again if again.isascii() and again.isdigit() and len(again) < 10 else "",
    }
    return render(request, "review/queue.html", context)


@require_POST
def close_queue(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Take no more labels in a queue."""
    found = visible_queue(request, uuid)
    services.close_queue(found, current_user(request))
    messages.success(request, f"{found.name} is closed; its labels stay.")
    return redirect("review:set", uuid=found.label_set.uuid)
