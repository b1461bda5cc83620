"""JSON, JSONL and CSV beside the page of a run; each authorised by the run's workspace."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from uuid import UUID

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET

from collab_core.csv_cells import cell
from collab_core.events import StepFinished, decode_body
from webapp.review.labels import note_opened
from webapp.runs import reads
from webapp.runs.models import Run, RunEvent
from webapp.streams import streamed
from webapp.teams import audit
from webapp.teams.access import current_user

CSV_COLUMNS = (
    "step",
    "tier",
    "tier_name",
    "reason",
    "level",
    "budget",
    "budget_left",
    "indicator",
    "check",
    "latency_s",
    "queue_s",
    "prefill_s",
    "decode_s",
    "tool_s",
    "overhead_s",
    "cumulative_s",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "cost_usd",
    "tokens_per_s",
    "tool",
    "error",
    "action",
    "thought",
    "simulated",
    "stand_in",
    "scope",
    "role",
    "route_s",
    "discarded",
)


def _run(request: HttpRequest, uuid: UUID) -> Run:
    """Return the run; all of these answers tell its verdicts, which a blind review keeps in mind."""
    user = current_user(request)
    run = get_object_or_404(Run.objects.for_user(user), uuid=uuid)
    note_opened(user, [run.uuid])
    return run


def _note_export(request: HttpRequest, run: Run, form: str) -> None:
    """Keep in the audit log that somebody has taken the run out."""
    audit.record(
        run.workspace_id,
        current_user(request),
        audit.Action.RUN_EXPORTED,
        target=run.ref,
        url=reverse("runs:detail", args=[run.uuid]),
        detail={"format": form},
    )


def _json(body: bytes) -> HttpResponse:
    return HttpResponse(body, content_type="application/json")


def _number(raw: str | None, default: int) -> int:
    """Read a positive number from a URL; anything else is the default."""
    return int(raw) if raw and raw.isascii() and raw.isdigit() and len(raw) < 10 else default


@require_GET
def snapshot(request: HttpRequest, uuid: UUID) -> HttpResponse:
    return _json(reads.snapshot(_run(request, uuid)))


@require_GET
def steps(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Bodies of the steps ``from``..``to``, at most 100 a call."""
    first = max(1, _number(request.GET.get("from"), 1))
    last = _number(request.GET.get("to"), first + reads.MAX_STEPS_A_CALL - 1)
    return _json(reads.step_bodies(_run(request, uuid), first, last))


@require_GET
def export_log(request: HttpRequest, uuid: UUID) -> HttpResponseBase:
    """The whole log, streamed."""
    run = _run(request, uuid)
    _note_export(request, run, "log")
    return streamed(
        request,
        reads.log_lines(run),
        content_type="application/x-ndjson",
        filename=f"{run.ref}.jsonl",
    )


@require_GET
def steps_csv(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One line a finished step; text cells that a spreadsheet would run get a leading quote."""
    run = _run(request, uuid)
    _note_export(request, run, "csv")
    headers = {"Content-Disposition": f'attachment; filename="{run.ref}.csv"'}
    return HttpResponse(_csv(run), content_type="text/csv; charset=utf-8", headers=headers)


def _csv(run: Run) -> str:
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(CSV_COLUMNS)
    for event in _finished_steps(run):
        values = _row(event) | {"simulated": run.simulated, "stand_in": bool(run.stand_in)}
        writer.writerow([cell(values[name]) for name in CSV_COLUMNS])
    return out.getvalue()


def _finished_steps(run: Run) -> Iterator[StepFinished]:
    bodies = RunEvent.objects.filter(run=run, type="step.finished").order_by("step")
    for body in bodies.values_list("body", flat=True).iterator(chunk_size=500):
        event = decode_body(body)
        assert isinstance(event, StepFinished)
        yield event


def _row(event: StepFinished) -> dict[str, object]:
    values: dict[str, object] = msgspec.to_builtins(event)
    latency: dict[str, object] = msgspec.to_builtins(event.latency)
    usage: dict[str, object] = msgspec.to_builtins(event.usage)
    return values | latency | usage | {"latency_s": event.latency.total_s}
