"""The list of runs: filters, orders and keyset pages, at the same cost for any number of runs.

Every order has an index that also holds the filter columns (``Run.Meta.indexes``), so a page is one
walk along an index from the cursor on. Unknown cost sorts last in both directions: those runs come as
a second stretch. Text is matched by trigrams: few matches are sorted by themselves, more are looked
up on the walk, and for words that many runs have the walk itself finds a page at once.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import msgspec
from django.db import connection
from django.db.models import BooleanField, F, Q, QuerySet
from django.db.models.expressions import RawSQL
from pydantic import BaseModel, ConfigDict, Field

from collab_core.errors import InvalidInput
from webapp.runs.models import ALIVE, Collection, Run, Status
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder

PAGE_SIZE = 50
DEFAULT_ORDER = "-created"
ORDERS = {"created": "created_at", "latency": "latency_s", "cost": "cost_usd", "steps": "steps"}
OUTCOMES = ("correct", "incorrect", "unscored")
FEW = 1_000
"""Matches of a text up to which the text index decides alone."""
FREQUENT = 4
"""A text that more than one in so many runs has is matched on the walk."""
SAMPLE, FREQUENT_NOW, FETCHED = 500, 20, 5_000
"""PostgreSQL: a text that more than one in 20 of the newest 500 runs has is matched on the walk;
otherwise up to so many matches are fetched first."""
NEWEST = 20_000
"""Runs in which words too short for the text index are looked for."""
MAX_TERMS = 8
_NOT_OF_PARENT = [
    f"parent__{column.attname}"
    for column in Run._meta.concrete_fields  # noqa: SLF001 - Django's public model API
    if column.attname not in ("id", "uuid", "number")
]
_EXPERIMENT = re.compile(r"(?:experiment-)?(\d{1,9})\Z", re.IGNORECASE)
_REF = re.compile(r"(?:run-|#)(\d{1,9})\Z", re.IGNORECASE)


class RunFilters(BaseModel):
    """What the list is narrowed to; the keys are those of the URL."""

    model_config = ConfigDict(populate_by_name=True)

    q: str = Field("", description="Words of the task; or run-12.")
    status: str = ""
    outcome: str = ""
    strategy: str = ""
    ladder: str = Field("", description="Name of a ladder.")
    collection: str = Field("", description="Name of a collection.")
    experiment: str = Field("", description="As experiment-3: its runs.")
    who: str = Field("", description="User name of the submitter.")
    from_: str = Field("", alias="from", description="First day, YYYY-MM-DD.")
    to: str = Field("", description="Last day, YYYY-MM-DD.")

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> Self:
        """Read the filters of a URL (``request.GET``)."""
        keys = (
            *("q", "status", "outcome", "strategy", "ladder", "collection", "experiment", "who"),
            *("from", "to"),
        )
        return cls.model_validate({key: str(query.get(key, ""))[:200].strip() for key in keys})

    def any(self) -> bool:
        return any(self.model_dump().values())


class Page(NamedTuple):
    rows: list[Run]
    next_cursor: str | None
    notices: list[str]
    """What was ignored and why, for people."""
    mistakes: list[str]
    """Those of them that a program should correct."""


class _Place(msgspec.Struct, array_like=True):
    """Where the next page begins: behind this row of this order."""

    order: str
    known: bool
    """Whether the row is in the first stretch, the one with known values."""
    value: Any
    pk: int


@dataclass(slots=True)
class _Where:
    """The filters as conditions, with what was ignored of them."""

    workspace: Workspace
    condition: Q = field(default_factory=Q)
    notices: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def narrow(self, **conditions: Any) -> None:
        self.condition &= Q(**conditions)

    def ignored(self, what: str) -> None:
        self.mistakes.append(what)
        self.notices.append(f"{what} was ignored.")


def list_runs(
    workspace: Workspace, filters: RunFilters, order: str = "", cursor: str | None = None
) -> Page:
    """Return one page of a workspace's runs; unknown values are ignored and said so."""
    where = _conditions(workspace, filters)
    order = _known_order(order, where)
    place = _place(cursor, order, where)
    runs = (
        Run.objects.filter(workspace=workspace)
        .filter(where.condition)
        .select_related("submitted_by", "parent")
        .defer(*_NOT_OF_PARENT)
    )
    rows = _walk(runs, order, place, PAGE_SIZE + 1)
    shown = rows[:PAGE_SIZE]
    more = _cursor(order, shown[-1]) if len(rows) > PAGE_SIZE else None
    return Page(shown, more, where.notices, where.mistakes)


def matching_ids(workspace: Workspace, filters: RunFilters, most: int) -> list[int]:
    """Return the ids of at most ``most`` runs that the filters find, the newest first.

    Raises:
        InvalidInput: a filter names something unknown, which a list would have ignored.
    """
    where = _conditions(workspace, filters)
    if where.mistakes:
        raise InvalidInput(f"{where.mistakes[0]} cannot be used.", field="runs")
    runs = Run.objects.filter(workspace=workspace).filter(where.condition)
    return list(runs.order_by("-created_at", "-pk").values_list("pk", flat=True)[:most])


# --- the walk -----------------------------------------------------------------------------------
def _walk(runs: QuerySet[Run], order: str, place: _Place | None, most: int) -> list[Run]:
    column, down = ORDERS[order.lstrip("-")], order.startswith("-")
    rows: list[Run] = []
    if place is None or place.known:
        rows = list(_stretch(runs, column, place, down=down)[:most])
        place = None
    if column == "cost_usd" and len(rows) < most:
        unknown = runs.filter(cost_usd=None)
        if place is not None:
            unknown = unknown.filter(pk__lt=place.pk)
        rows += unknown.order_by("-pk")[: most - len(rows)]
    return rows


def _stretch(
    runs: QuerySet[Run], column: str, place: _Place | None, *, down: bool
) -> QuerySet[Run]:
    if column == "cost_usd":
        runs = runs.filter(cost_usd__isnull=False)
    if place is not None:
        beyond = "lt" if down else "gt"
        # the first condition is the index's range, the second cuts inside equal values
        runs = runs.filter(**{f"{column}__{beyond}e": place.value}).filter(
            Q(**{f"{column}__{beyond}": place.value}) | Q(**{f"pk__{beyond}": place.pk})
        )
    keys = [F(column), F("pk")]
    return runs.order_by(*(key.desc() if down else key.asc() for key in keys))


def _known_order(order: str, where: _Where) -> str:
    if order and order.removeprefix("-") not in ORDERS:
        where.ignored(f"The unknown order {order[:40]!r}")
        return DEFAULT_ORDER
    return order or DEFAULT_ORDER


def _cursor(order: str, row: Run) -> str:
    value = getattr(row, ORDERS[order.lstrip("-")])
    stored = value.isoformat() if isinstance(value, dt.datetime) else value
    place = _Place(order, value is not None, stored, row.pk)
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(cursor: str | None, order: str, where: _Where) -> _Place | None:
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor[:400] + "=" * (-len(cursor[:400]) % 4))
        place = msgspec.json.decode(raw, type=_Place)
        if place.order != order:
            raise ValueError("a cursor of another order")
        if order.lstrip("-") == "created":
            place.value = dt.datetime.fromisoformat(place.value)
        elif place.known:
            place.value = float(place.value)
    except (ValueError, TypeError, binascii.Error, msgspec.MsgspecError):
        where.ignored("The page's mark in the address")
        return None
    return place


# --- the filters --------------------------------------------------------------------------------
def _experiment(where: _Where, ref: str) -> None:
    found = _EXPERIMENT.match(ref)
    if found is None:
        where.ignored(f"The experiment {ref[:40]!r}")
        return
    # by the relation's name: runs know nothing else of experiments
    where.narrow(
        trial__experiment__workspace=where.workspace, trial__experiment__number=int(found[1])
    )


def _conditions(workspace: Workspace, filters: RunFilters) -> _Where:
    where = _Where(workspace)
    _choice(where, "status", filters.status, Status.values)
    if filters.status in (Status.QUEUED, Status.RUNNING):
        where.condition &= Q(ALIVE)
    _choice(where, "outcome", filters.outcome, OUTCOMES)
    if filters.strategy:
        where.narrow(strategy=filters.strategy)
    if filters.ladder:
        found = Ladder.objects.filter(workspace=workspace, name=filters.ladder)
        where.narrow(ladder_id__in=list(found.values_list("pk", flat=True)))
    if filters.collection:
        known = Collection.objects.filter(workspace=workspace, name=filters.collection)
        where.narrow(collection_id__in=list(known.values_list("pk", flat=True)))
    if filters.experiment:
        _experiment(where, filters.experiment)
    if filters.who:
        users = User.objects.filter(username=filters.who)
        where.narrow(submitted_by_id__in=list(users.values_list("pk", flat=True)))
    _days(where, filters)
    if filters.q:
        _text(where, filters.q)
    return where


def _choice(where: _Where, name: str, value: str, known: Any) -> None:
    if value and value not in known:
        where.ignored(f"The unknown {name} {value[:40]!r}")
    elif value:
        where.narrow(**{name: value})


def _days(where: _Where, filters: RunFilters) -> None:
    first, last = _day(where, filters.from_), _day(where, filters.to)
    if first is not None:
        where.narrow(created_at__gte=first)
    if last is not None:
        where.narrow(created_at__lt=last + dt.timedelta(days=1))


def _day(where: _Where, raw: str) -> dt.datetime | None:
    if not raw:
        return None
    try:
        day = dt.datetime.strptime(raw, "%Y-%m-%d").replace(tzinfo=dt.UTC)
    except ValueError:
        where.ignored(f"{raw[:40]!r} is no day of the form 2026-11-21; it")
        return None
    if not 1970 <= day.year < 9999:
        where.ignored(f"The day {raw[:40]!r}")
        return None
    return day


def _text(where: _Where, text: str) -> None:
    text = text.replace("\x00", "")
    if ref := _REF.match(text):
        where.narrow(number=int(ref[1]))
        return
    terms = text.split()[:MAX_TERMS]
    usable = [term for term in terms if len(term) >= 3 or not term.isascii()]
    if len(usable) < len(terms):
        where.notices.append("Words of one or two letters were ignored.")
    if usable and all(len(term) < 3 for term in usable):
        last = Run.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        where.narrow(pk__gt=last - NEWEST)
        where.notices.append(f"Such short words were looked for in the newest {NEWEST:,} runs.")
    by_index = _by_text_index if connection.vendor == "sqlite" else _by_trigrams
    usable = by_index(where, usable)
    for term in usable:
        where.narrow(question__icontains=term)


_MATCHES = "SELECT rowid FROM runs_run_text WHERE runs_run_text MATCH %s"
_FREQUENT = (
    f"SELECT count(*) >= max(1, (SELECT max(id) FROM runs_run) / {FREQUENT}) FROM ({_MATCHES}"  # noqa: S608 - constants
    f" LIMIT (SELECT max(id) FROM runs_run) / {FREQUENT})"
)


def _by_text_index(where: _Where, terms: list[str]) -> list[str]:
    """Narrow to the runs that the text index finds; return the terms that are left to match."""
    indexed = [term for term in terms if len(term) >= 3]
    if not indexed:
        return terms
    phrase = " AND ".join('"' + term.replace('"', '""') + '"' for term in indexed)
    with connection.cursor() as cursor:
        cursor.execute(f"{_MATCHES} LIMIT %s", [phrase, FEW + 1])
        found = [row[0] for row in cursor.fetchall()]
        frequent = False
        if len(found) > FEW:
            cursor.execute(_FREQUENT, [phrase])
            frequent = bool(cursor.fetchone()[0])
    if frequent:
        return terms
    if len(found) > FEW:
        # the sign makes SQLite walk along the order's index instead of sorting all matches
        condition = RawSQL(f'+"runs_run"."id" IN ({_MATCHES})', [phrase], BooleanField())  # noqa: S611
        where.condition &= Q(condition)
    else:
        where.narrow(pk__in=found)
    return [term for term in terms if len(term) < 3]


def _by_trigrams(where: _Where, terms: list[str]) -> list[str]:
    """The same on PostgreSQL. Its planner takes matches for evenly spread and walks along the order,
    past all runs if they are old or in another workspace; few ones are better fetched first."""
    if all(len(term) < 3 for term in terms):
        return terms
    matches = Run.objects.filter(workspace=where.workspace)
    newest = list(matches.order_by("-pk").values_list("pk", flat=True)[:SAMPLE])
    for term in terms:
        matches = matches.filter(question__icontains=term)
    if newest and matches.filter(pk__gte=newest[-1]).count() * FREQUENT_NOW > len(newest):
        return terms
    found = list(matches.values_list("pk", flat=True)[: FETCHED + 1])
    if len(found) > FETCHED:
        return terms
    where.narrow(pk__in=found)
    return []
