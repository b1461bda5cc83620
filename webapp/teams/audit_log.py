"""Reading the audit log: filters, keyset pages and exports, at the same cost for any number of rows.

Every filter has an index that ends in (at, id), so a page is one walk along it from the cursor on.
Words are matched on the walk where many of the newest rows have them, and by trigrams otherwise.
"""

from __future__ import annotations

import base64
import binascii
import csv
import datetime as dt
import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from django.db import connection
from django.db.models import Q, QuerySet

from collab_core.csv_cells import cell
from webapp.teams.audit import Action
from webapp.teams.models import AuditEntry, Workspace

PAGE_SIZE = 100
SAMPLE, FREQUENT = 500, 20
"""Words that more than one in 20 of the newest 500 rows has are matched on the walk."""
FETCHED = 5_000
"""Otherwise so many matches are fetched first; still more are matched on the walk."""
NEWEST = 20_000
"""Entries in which words too short for the text index are looked for."""
MAX_TERMS = 8
BATCH = 2_000
MOST_PEOPLE = 300
COLUMNS = ("at", "actor", "action", "target", "url", "detail")


class Filters(NamedTuple):
    """What the log is narrowed to; the keys are those of the address."""

    q: str = ""
    who: str = ""
    action: str = ""
    first: str = ""
    """First day, YYYY-MM-DD, UTC."""
    last: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> Filters:
        keys = ("q", "who", "action", "from", "to")
        values = (str(query.get(key, "")).replace("\x00", "") for key in keys)
        return cls(*(value[:200].strip() for value in values))


class Page(NamedTuple):
    rows: list[AuditEntry]
    next_cursor: str
    """"" on the last page."""
    notices: list[str]
    """What was ignored and why."""


class _Place(msgspec.Struct, array_like=True):
    """The last row of a page."""

    at: dt.datetime
    pk: int


def page(workspace: Workspace, filters: Filters, cursor: str = "") -> Page:
    """Return a page, newest first; what cannot be used of the address is ignored and said so."""
    notices: list[str] = []
    rows = _matching(workspace, filters, notices)
    if cursor:
        rows = _behind(rows, cursor, notices)
    found = list(rows.order_by("-at", "-id")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    return Page(shown, _cursor(shown[-1]) if len(found) > PAGE_SIZE else "", notices)


def people(workspace: Workspace) -> list[str]:
    """Return everybody the log names, also who has left, in a few jumps along the index."""
    names: list[str] = []
    named = AuditEntry.objects.filter(workspace=workspace).order_by("actor_name")
    name = ""
    while len(names) < MOST_PEOPLE:
        following = named.filter(actor_name__gt=name).values_list("actor_name", flat=True).first()
        if following is None:
            break
        name = following
        names.append(name)
    return names


# --- the walk -----------------------------------------------------------------------------------
def _cursor(row: AuditEntry) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(_Place(row.at, row.pk))).decode()


def _behind(rows: QuerySet[AuditEntry], cursor: str, notices: list[str]) -> QuerySet[AuditEntry]:
    try:
        raw = base64.urlsafe_b64decode(cursor[:200])
        place = msgspec.json.decode(raw, type=_Place)
        if place.at.tzinfo is None or not 0 <= place.pk < 2**63:
            raise ValueError("no place")
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        notices.append("The page's mark in the address was ignored.")
        return rows
    # the first condition is the index's range, the second cuts inside one moment
    return rows.filter(at__lte=place.at).filter(Q(at__lt=place.at) | Q(pk__lt=place.pk))


def _matching(workspace: Workspace, filters: Filters, notices: list[str]) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.filter(workspace=workspace)
    prefix = f"w{workspace.pk} "
    if filters.action in Action.values:
        rows = rows.filter(action=filters.action)
        prefix += f"{filters.action} " + (f"{filters.who} " if filters.who else "")
    elif filters.action:
        notices.append(f"The unknown action {filters.action[:40]!r} was ignored.")
    if filters.who:
        rows = rows.filter(actor_name=filters.who)
    for raw, later in ((filters.first, 0), (filters.last, 1)):
        day = _day(raw, notices)
        if day is not None:
            moment = day + dt.timedelta(days=later)
            rows = rows.filter(at__lt=moment) if later else rows.filter(at__gte=moment)
    return _with_words(rows, prefix, filters.q, notices)


def _day(raw: str, notices: list[str]) -> dt.datetime | None:
    if not raw:
        return None
    try:
        day = dt.datetime.strptime(raw, "%Y-%m-%d").replace(tzinfo=dt.UTC)
    except ValueError:
        notices.append(f"{raw[:40]!r} is no day of the form 2026-11-21; it was ignored.")
        return None
    return day if 1970 <= day.year < 9999 else None


# --- words --------------------------------------------------------------------------------------
def _with_words(
    rows: QuerySet[AuditEntry], prefix: str, text: str, notices: list[str]
) -> QuerySet[AuditEntry]:
    terms = text.split()[:MAX_TERMS]
    if not terms:
        return rows
    said = Q()
    for term in terms:
        said &= Q(words__icontains=term)
    indexed = [term for term in terms if len(term) >= 3]
    if not indexed:
        last = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        notices.append(f"Such short words were looked for in the newest {NEWEST:,} entries.")
        return rows.filter(said, pk__gt=last - NEWEST)
    newest = list(rows.order_by("-at", "-id").values_list("pk", flat=True)[:SAMPLE])
    if AuditEntry.objects.filter(said, pk__in=newest).count() * FREQUENT > len(newest):
        return rows.filter(said)
    found = _fetched(rows.filter(said), [prefix, *indexed])
    return rows.filter(said) if len(found) > FETCHED else rows.filter(said, pk__in=found)


_MATCHES = (
    "SELECT rowid FROM teams_audit_text WHERE teams_audit_text MATCH %s"
    " ORDER BY rowid DESC LIMIT %s"
)


def _fetched(rows: QuerySet[AuditEntry], terms: list[str]) -> list[int]:
    """Return up to ``FETCHED`` + 1 ids by the text index, maybe some that the filters refuse."""
    if connection.vendor != "sqlite":
        return list(rows.values_list("pk", flat=True)[: FETCHED + 1])
    phrase = " AND ".join('"' + term.replace('"', '""') + '"' for term in terms)
    with connection.cursor() as cursor:
        cursor.execute(_MATCHES, [phrase, FETCHED + 1])
        return [row[0] for row in cursor.fetchall()]


# --- exports ------------------------------------------------------------------------------------
def exported(workspace: Workspace, filters: Filters) -> Iterator[list[dict[str, Any]]]:
    """Yield what matches, oldest first, in batches."""
    rows = _matching(workspace, filters, [])
    place: tuple[dt.datetime, int] | None = None
    while True:
        batch = rows
        if place is not None:
            batch = batch.filter(at__gte=place[0]).filter(Q(at__gt=place[0]) | Q(pk__gt=place[1]))
        found = list(batch.order_by("at", "id")[:BATCH])
        if not found:
            return
        place = found[-1].at, found[-1].pk
        yield [_dict(row) for row in found]


def _dict(row: AuditEntry) -> dict[str, Any]:
    values = (row.at.isoformat(), row.actor_name, row.action, row.target, row.url, row.detail)
    return dict(zip(COLUMNS, values, strict=True))


def jsonl(workspace: Workspace, filters: Filters) -> Iterator[bytes]:
    """Yield the log as lines of JSON."""
    for batch in exported(workspace, filters):
        yield b"".join(msgspec.json.encode(row) + b"\n" for row in batch)


def csv_lines(workspace: Workspace, filters: Filters) -> Iterator[bytes]:
    """Yield the log as CSV; text that a spreadsheet would run gets a leading quote."""
    yield _csv_rows([COLUMNS])
    for batch in exported(workspace, filters):
        yield _csv_rows([[cell(_text(row[name])) for name in COLUMNS] for row in batch])


def _text(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, dict) else value


def _csv_rows(rows: list[Any]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    return out.getvalue().encode()
