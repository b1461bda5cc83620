from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.webapp.personas import Room, make_collection, make_ladder
from webapp.runs.models import Run
from webapp.runs.queries import ORDERS, PAGE_SIZE, RunFilters, list_runs

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def runs(room: Room) -> list[Run]:
    """180 runs with many equal values and unknown costs."""
    chance = random.Random(3)
    ladders = [room.ladder, make_ladder(room.workspace)]
    docs = make_collection(room)
    Run.objects.bulk_create(
        Run(
            workspace=room.workspace,
            number=number,
            submitted_by=room.users[chance.choice(["alice", "bob"])],
            question=f"Which {chance.choice(['bridge', 'ship', 'novel'])} is number {number:04d}?",
            strategy=chance.choice(["small", "large"]),
            ladder=chance.choice(ladders),
            collection=chance.choice([docs, None]),
            seed=1,
            status=chance.choice(["finished", "failed"]),
            outcome=chance.choice(["correct", "incorrect", ""]),
            latency_s=chance.choice([1.5, 2.5, 0.1 + 0.2]),
            cost_usd=chance.choice([None, 0.25, 0.1 + 0.7]),
            steps=chance.randint(1, 5),
        )
        for number in range(1, 181)
    )
    for run in Run.objects.all():
        Run.objects.filter(pk=run.pk).update(created_at=START + timedelta(hours=6 * run.number))
    return list(Run.objects.all())


def walk(room: Room, order: str = "", **filters: str) -> list[Run]:
    """Follow the cursors to the end."""
    rows: list[Run] = []
    cursor: str | None = None
    while True:
        page = list_runs(room.workspace, RunFilters.from_query(filters), order, cursor)
        assert len(page.rows) <= PAGE_SIZE
        rows += page.rows
        cursor = page.next_cursor
        if cursor is None:
            return rows


@pytest.mark.parametrize("order", [sign + name for name in ORDERS for sign in ("", "-")])
def test_pages_join_up_to_every_run_once_in_order(room: Room, runs: list[Run], order: str) -> None:
    rows = walk(room, order)
    assert sorted(run.pk for run in rows) == sorted(run.pk for run in runs)
    values = [getattr(run, ORDERS[order.lstrip("-")]) for run in rows]
    known = [value for value in values if value is not None]
    assert values == known + [None] * (len(values) - len(known)), "unknown comes last"
    assert known == sorted(known, reverse=order.startswith("-"))


@pytest.mark.parametrize("order", ["-created", "cost", "-steps"])
@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({"status": "failed"}, lambda r: r.status == "failed"),
        ({"outcome": "correct"}, lambda r: r.outcome == "correct"),
        ({"strategy": "large"}, lambda r: r.strategy == "large"),
        ({"collection": "docs"}, lambda r: r.collection_id is not None),
        ({"who": "bob"}, lambda r: r.submitted_by.username == "bob"),
        ({"who": "nobody"}, lambda r: False),
        ({"q": "ship"}, lambda r: "ship" in r.question),
        ({"q": "SHIP 0042"}, lambda r: "ship" in r.question and "0042" in r.question),
        ({"q": '"ship" OR *'}, lambda r: False),
        ({"q": "run-7"}, lambda r: r.number == 7),
        ({"from": "2026-01-10"}, lambda r: r.created_at.date().isoformat() >= "2026-01-10"),
        ({"to": "2026-01-10"}, lambda r: r.created_at.date().isoformat() <= "2026-01-10"),
        (
            {"q": "novel", "status": "finished", "who": "alice"},
            lambda r: (
                "novel" in r.question
                and r.status == "finished"
                and r.submitted_by.username == "alice"
            ),
        ),
    ],
)
def test_a_filter_gives_exactly_what_matches(
    room: Room, runs: list[Run], filters: dict[str, str], matches: Any, order: str
) -> None:
    expected = {run.pk for run in Run.objects.select_related("submitted_by") if matches(run)}
    assert {run.pk for run in walk(room, order, **filters)} == expected


def test_a_ladder_is_filtered_by_its_name(room: Room, runs: list[Run]) -> None:
    expected = {run.pk for run in runs if run.ladder_id == room.ladder.pk}
    assert {run.pk for run in walk(room, ladder=room.ladder.name)} == expected


def test_text_in_other_scripts_is_found(room: Room) -> None:
    chinese = room.submit(question="北京大桥是谁建造的?")
    arabic = room.submit(question="من بنى الجسر الكبير؟")
    assert walk(room, q="大桥是谁") == [chinese]
    assert walk(room, q="大桥") == [chinese]
    assert walk(room, q="الجسر") == [arabic]


@pytest.mark.parametrize("text", ['"', "'", "%", "_", "\\", "a\x00b", "* NEAR(", "x" * 5_000, "😀"])
def test_no_text_breaks_the_search(room: Room, text: str) -> None:
    room.submit()
    assert walk(room, q=text) in ([], list(Run.objects.all()))


@pytest.mark.parametrize(
    "query",
    [
        {"order": "; DROP TABLE"},
        {"order": "workspace__name"},
        {"cursor": "%%%"},
        {"cursor": "bnVsbA"},
        {"cursor": "WyItY3JlYXRlZCIsdHJ1ZSwibm8gZGF0ZSIsMV0"},
        {"status": "nonsense"},
        {"outcome": "nonsense"},
        {"from": "yesterday"},
        {"to": "0001-01-01"},
    ],
)
def test_an_unknown_value_is_ignored_and_said(room: Room, query: dict[str, str]) -> None:
    run = room.submit()
    page = list_runs(
        room.workspace,
        RunFilters.from_query(query),
        query.get("order", ""),
        query.get("cursor"),
    )
    assert page.rows == [run]
    assert len(page.notices) == 1


def test_another_workspace_is_never_seen(room: Room, runs: list[Run]) -> None:
    assert list_runs(room.other, RunFilters()).rows == []
    assert list_runs(room.other, RunFilters(q="run-7")).rows == []
    assert list_runs(room.other, RunFilters(q="0042")).rows == []


def test_a_page_costs_a_fixed_number_of_queries(room: Room, runs: list[Run]) -> None:
    with CaptureQueriesContext(
        connection,
    ) as few:
        list_runs(room.workspace, RunFilters(), "-cost")
    assert len(few) == 1
    with CaptureQueriesContext(connection) as all_filters:
        list_runs(
            room.workspace,
            RunFilters(q="ship", ladder=room.ladder.name, collection="docs", who="bob"),
            "cost",
        )
    # PostgreSQL first asks for a few matches of the text; SQLite needs one query less
    assert len(all_filters) <= 7
