"""The review page of a run: every verdict with what people said of it, kept up while it is open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Max, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from webapp.review import blind
from webapp.review.labels import blind_places, labels_of, note_revealed
from webapp.review.models import Decision, LabelRevision, StepLabel
from webapp.runs.models import Run
from webapp.runs.views import visible_run
from webapp.teams.access import current_user, role_in
from webapp.teams.models import User

MAX_STEPS = 500
MAX_MARKED = 20


@require_GET
def run(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show all labels of a run, verdict by verdict, for a team to walk through."""
    found = visible_run(request, uuid)
    may_review = role_in(current_user(request), found.workspace_id).may_review
    return render(request, "review/run.html", {"run": found, "may_review": may_review})


@require_GET
def labels(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The page's content; 204 while nothing is newer than ``?since=``."""
    found = visible_run(request, uuid)
    mark = revision(found)
    if request.GET.get("since") == mark:
        return HttpResponse(status=204)
    user = current_user(request)
    note_revealed(user, [found.uuid])
    return JsonResponse({"revision": mark, "steps": steps(found, user)})


@require_GET
def marks(request: HttpRequest) -> HttpResponse:
    """Labels of the runs that ``?runs=`` names, for pages that show runs; unknown ones are missing."""
    raw = request.GET.get("runs", "")[:2_000].split(",")
    wanted = {part.strip() for part in raw if part.strip()}
    uuids = [found for part in wanted if (found := _uuid(part)) is not None]
    user = current_user(request)
    runs = list(Run.objects.for_user(user).filter(uuid__in=uuids)[:MAX_MARKED])
    note_revealed(user, [run.uuid for run in runs])
    return JsonResponse({"runs": {str(uuid): told for uuid, told in labels_of(runs, user).items()}})


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def revision(run: Run) -> str:
    """Return what changes with every label, decision and step of the run."""
    last = LabelRevision.objects.filter(label__run_uuid=run.uuid).aggregate(last=Max("pk"))["last"]
    decided = Decision.objects.filter(run_uuid=run.uuid).aggregate(last=Max("pk"))["last"]
    return f"{run.next_seq}.{last or 0}.{decided or 0}"


def steps(run: Run, user: User) -> list[dict[str, Any]]:
    """Return every step with its verdict and labels; of one that is blind for the user, nothing.

    Nor of the others then, but for those that the user has labelled: the tier of a step tells the
    verdict of the one before.
    """
    numbers = blind.finished_steps(run)[:MAX_STEPS]
    hidden = {step for _, step in blind_places(user, [run.uuid])}
    if hidden:
        mine = StepLabel.objects.current().filter(run_uuid=run.uuid, reviewer=user.username)
        hidden |= set(numbers) - set(mine.values_list("step", flat=True))
    told = labels_of([run], user).get(run.uuid, {})
    for (step, label_set), address in _changeable(run, user).items():
        for label in told.get(step, []):
            own = label["reviewer"] == user.username and not label["decision"]
            if own and label["label_set"] == label_set:
                label["change"] = address
    shown = blind.steps(run, [one for one in numbers if one not in hidden], hide=False)
    by_number = {one["step"]: one for one in shown}
    return [
        {"step": number, "hidden": True}
        if number in hidden
        else {**by_number[number], "hidden": False, "labels": told.get(number, [])}
        for number in numbers
        if number in hidden or number in by_number
    ]


def _changeable(run: Run, user: User) -> dict[tuple[int, str], str]:
    """Return by step and label set where the user's own labels of a run can be changed."""
    if not role_in(user, run.workspace_id).may_review:
        return {}
    own = StepLabel.objects.current().filter(run_uuid=run.uuid, user=user)
    mine = own.filter(Q(item__queue__people=None) | Q(item__queue__people=user))
    return {
        (label.step, label.label_set.name): (
            f"{reverse('review:queue', args=[label.item.queue.uuid])}?item={label.item.position}"
        )
        for label in mine.select_related("label_set", "item__queue")
    }
