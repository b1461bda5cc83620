"""Pages of one label set: figures, disagreements, files in and out, who decides."""

from __future__ import annotations

from uuid import UUID

import msgspec
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from collab_core.errors import InvalidInput
from collab_core.review.files import MAX_BYTES, form_of
from webapp.review import exchange, services
from webapp.review.disputes import decide as decide_dispute
from webapp.review.disputes import disputes, may_decide
from webapp.review.models import Answer, LabelSet
from webapp.review.numbers import numbers as figures
from webapp.review.views import visible_set
from webapp.teams.access import active_workspace, current_user, owner_required
from webapp.teams.models import User

TYPES = {
    "labels.jsonl": "application/x-ndjson",
    "labels.csv": "text/csv; charset=utf-8",
    "manifest.json": "application/json",
}
RATES = (
    ("false_of_progress", "False progress, of the steps it called progress"),
    ("missed_of_stalls", "Missed progress, of the steps it called none"),
    ("false_of_checks", "False progress, of all verdicts"),
    ("missed_of_checks", "Missed progress, of all verdicts"),
    ("false_of_stagnant", "Called progress, of the steps that made none"),
    ("missed_of_advancing", "Called none, of the steps that made progress"),
    ("correct_of_checks", "Correct verdicts"),
)


@require_GET
def numbers(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show the rates, what wrong verdicts cost, and how far the reviewers agree."""
    found = visible_set(request, uuid)
    told = figures(found)
    main = [(words, getattr(told.rates, name)) for name, words in RATES]
    rows = disputes(found, current_user(request))
    undecided = sum(row.decision is None for row in rows)
    context = {"set": found, "numbers": told, "main": main, "undecided": undecided}
    return render(request, "review/numbers.html", context)


@require_GET
def disagreements(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """List the steps on which reviewers differ, undecided ones first."""
    found, user = visible_set(request, uuid), current_user(request)
    rows = disputes(found, user)
    context = {
        "set": found,
        "rows": rows,
        "open": sum(row.decision is None for row in rows),
        "may_decide": may_decide(found, user),
        "answers": Answer.choices,
    }
    return render(request, "review/disagreements.html", context)


@require_POST
def decide(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Decide a disagreement, with a reason."""
    found, user = visible_set(request, uuid), current_user(request)
    if not may_decide(found, user):
        raise PermissionDenied("Disagreements are decided by an owner or the named adjudicator.")
    try:
        decision = decide_dispute(
            found,
            user,
            run_uuid=_uuid(request.POST.get("run", "")),
            step=_number(request.POST.get("step", "")),
            answer=request.POST.get("answer", ""),
            reason=request.POST.get("reason", ""),
        )
    except InvalidInput as error:
        messages.error(request, f"{error.message} {error.hint}".strip())
    else:
        messages.success(
            request, f"Step {decision.step} is decided: {decision.get_answer_display()}."
        )
    return redirect("review:disagreements", uuid=uuid)


def _uuid(raw: str) -> UUID:
    try:
        return UUID(raw)
    except ValueError as error:
        raise InvalidInput("Name the run.", field="run") from error


def _number(raw: str) -> int:
    if not (raw.isascii() and raw.isdigit() and len(raw) < 10):
        raise InvalidInput("Name the step.", field="step")
    return int(raw)


@require_GET
def export(request: HttpRequest, uuid: UUID, name: str) -> HttpResponse:
    """One file of the label set: labels.jsonl, labels.csv or manifest.json."""
    return export_answer(visible_set(request, uuid), current_user(request), name)


def export_answer(label_set: LabelSet, user: User, name: str) -> HttpResponse:
    """Return a file of the set as an answer; ``X-Withheld`` counts steps that are left out.

    Raises:
        Http404: there is no such file.
    """
    if name not in TYPES:
        raise Http404
    made = exchange.export(label_set, user)
    manifest = msgspec.json.format(msgspec.json.encode(made.manifest), indent=2)
    body = manifest if name == "manifest.json" else made.files[name]
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Withheld": str(made.withheld),
    }
    return HttpResponse(body, content_type=TYPES[name], headers=headers)


@owner_required
@require_POST
def import_file(request: HttpRequest) -> HttpResponse:
    """Store the labels of an uploaded file."""
    workspace, user = active_workspace(request).workspace, current_user(request)
    given = request.FILES.get("file")
    try:
        if given is None or (given.size or 0) > MAX_BYTES:
            raise InvalidInput("Choose a .jsonl or .csv file of labels.", field="file")
        result = exchange.import_labels(
            workspace,
            user,
            given.read(),
            form=form_of(given.name or ""),
            into=request.POST.get("into", ""),
        )
    except InvalidInput as error:
        messages.error(request, f"{error.message} {error.hint}".strip())
        return redirect("review:index")
    return render(request, "review/imported.html", {"result": result, "set": result.label_set})


@owner_required
@require_POST
def adjudicator(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Name who decides disagreements besides the owners; an empty name is nobody."""
    found = visible_set(request, uuid)
    name = request.POST.get("adjudicator", "")
    person = services.reviewers(found.workspace).filter(username=name).first() if name else None
    if name and person is None:
        messages.error(request, f"{name[:60]} may not review in this workspace.")
    else:
        services.set_adjudicator(found, current_user(request), person)
    return redirect("review:set", uuid=uuid)
