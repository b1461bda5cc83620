"""Downloads of an experiment: its table in four formats, its trials, its definition, its logs."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
)
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET

from collab_core.errors import InvalidInput
from collab_core.experiments.export import Format
from collab_core.experiments.export import export as table_export
from webapp.experiments import exports, reads, results
from webapp.experiments.models import Experiment
from webapp.teams.access import current_user

Make = Callable[[Experiment, str], bytes]


def _definition(experiment: Experiment, _: str) -> bytes:
    return experiment.defined.model_dump_json(indent=1).encode() + b"\n"


def _trials(experiment: Experiment, _: str) -> bytes:
    return b"".join(msgspec.json.encode(one) + b"\n" for one in reads.trials(experiment))


def _table(form: Format) -> Make:
    def make(experiment: Experiment, baseline: str) -> bytes:
        made = results.own_table(experiment, baseline, beside=True)
        return table_export(made, form).encode()

    return make


FILES: dict[str, tuple[str, str, str, Make]] = {
    "table-csv": ("Table (CSV)", "csv", "text/csv; charset=utf-8", _table("csv")),
    "table-jsonl": ("Table (JSON lines)", "jsonl", "application/x-ndjson", _table("jsonl")),
    "table-markdown": ("Table (Markdown)", "md", "text/markdown; charset=utf-8", _table("md")),
    "table-latex": ("Table (LaTeX)", "tex", "application/x-tex; charset=utf-8", _table("tex")),
    "definition": ("Definition (JSON)", "json", "application/json", _definition),
    "trials": ("Trials (JSON lines)", "jsonl", "application/x-ndjson", _trials),
}
ARCHIVE = ("archive", "Everything with the runs' logs (.tar)")


def offered() -> list[tuple[str, str]]:
    """Return what can be taken out, as names and words."""
    return [*((name, words) for name, (words, *_) in FILES.items()), ARCHIVE]


def visible(request: HttpRequest, uuid: UUID) -> Experiment:
    """Return an experiment of one of the user's workspaces; 404 for a stranger."""
    found = Experiment.objects.for_user(current_user(request)).select_related(
        "workspace", "created_by", "task_set", "collection", "judge", "parent"
    )
    return get_object_or_404(found, uuid=uuid)


@require_GET
def export(request: HttpRequest, uuid: UUID, what: str) -> HttpResponseBase:
    """Answer with a file; tables are against the baseline that is asked for."""
    experiment = visible(request, uuid)
    if what == ARCHIVE[0]:
        return exports.archive(request, experiment)
    if what not in FILES:
        raise Http404("There is no such export.")
    _, suffix, kind, make = FILES[what]
    try:
        body = make(experiment, request.GET.get("baseline", "")[:80])
    except InvalidInput as error:
        return HttpResponseBadRequest(error.message, content_type="text/plain; charset=utf-8")
    exports.note(request, experiment, what)
    name = f"{experiment.ref}-{what.split('-', maxsplit=1)[0]}.{suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(body, content_type=kind, headers=headers)
