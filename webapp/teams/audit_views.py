"""The audit page and its exports: for owners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from webapp.streams import streamed
from webapp.teams import audit_log
from webapp.teams.access import active_workspace, current_user, owner_required
from webapp.teams.audit import Action, record
from webapp.teams.models import AuditEntry


@owner_required
@require_GET
def log(request: HttpRequest) -> HttpResponse:
    """Show what was done in the workspace; filters and place are in the address."""
    workspace = active_workspace(request).workspace
    filters = audit_log.Filters.from_query(request.GET)
    page = audit_log.page(workspace, filters, request.GET.get("cursor", ""))
    query = _query(request)
    context = {
        "page": page,
        "rows": [(row, _label(row), _facts(row)) for row in page.rows],
        "filters": filters,
        "filtered": any(filters),
        "people": audit_log.people(workspace),
        "kinds": _kinds(),
        "next_query": urlencode({**query, "cursor": page.next_cursor}) if page.next_cursor else "",
        "later": bool(request.GET.get("cursor")),
        "query": urlencode(query),
    }
    return render(request, "teams/audit.html", context)


def _query(request: HttpRequest) -> dict[str, str]:
    """Return the filters of the address, without the place."""
    keys = ("q", "who", "action", "from", "to")
    return {key: value for key in keys if (value := str(request.GET.get(key, "")).strip())}


def _label(row: AuditEntry) -> str:
    """Return the action in words; one of a later version is shown as it is stored."""
    return str(Action(row.action).label) if row.action in Action.values else row.action


def _facts(row: AuditEntry) -> list[tuple[str, str]]:
    """Return the detail in words."""
    return [(key.replace("_", " "), _words(value)) for key, value in row.detail.items()]


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(part)}" for key, part in value.items())
    return "none" if value is None else str(value)


def _kinds() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the actions by the part before the dot, for the menu."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for action in Action:
        kinds.setdefault(action.value.split(".")[0], []).append((action.value, str(action.label)))
    return [(kind.capitalize(), actions) for kind, actions in kinds.items()]


@owner_required
@require_GET
def export_csv(request: HttpRequest) -> HttpResponseBase:
    """What matches the filters, oldest first, for a spreadsheet."""
    return _export(request, "csv")


@owner_required
@require_GET
def export_jsonl(request: HttpRequest) -> HttpResponseBase:
    """What matches the filters, oldest first, one JSON object a line."""
    return _export(request, "jsonl")


def _export(request: HttpRequest, form: str) -> HttpResponseBase:
    workspace = active_workspace(request).workspace
    filters = audit_log.Filters.from_query(request.GET)
    record(
        workspace,
        current_user(request),
        Action.AUDIT_EXPORTED,
        target=form,
        detail=_query(request),
    )
    pieces: Iterator[bytes]
    if form == "csv":
        pieces, kind = audit_log.csv_lines(workspace, filters), "text/csv; charset=utf-8"
    else:
        pieces, kind = audit_log.jsonl(workspace, filters), "application/x-ndjson"
    return streamed(request, pieces, content_type=kind, filename=f"audit.{form}")
