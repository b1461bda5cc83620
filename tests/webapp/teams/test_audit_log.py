"""The audit page: who reads it, what the filters find, and that every page and export is whole."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.webapp.personas import Room
from webapp.teams import audit_log
from webapp.teams.audit import Action, Entry, record, record_all
from webapp.teams.audit_log import Filters

DAY = dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC)


@pytest.fixture
def filled(room: Room) -> Room:
    """250 labels by Rita, one a minute; two settings by Alice; one entry elsewhere."""
    labels = [
        Entry(action=Action.LABEL_SAVED, target=f"step {n}", at=DAY + dt.timedelta(minutes=n))
        for n in range(250)
    ]
    record_all(room.workspace, room.users["rita"], labels)
    for name in ("velvet", "=lapwing"):
        record(room.workspace, room.users["alice"], Action.SETTING_CHANGED, target=name)
    record(room.other, room.users["charlie"], Action.SETTING_CHANGED, target="velvet elsewhere")
    return room


def found(room: Room, **filters: str) -> list[str]:
    return [row.target for row in audit_log.page(room.workspace, Filters(**filters)).rows]


def test_pages_follow_each_other_without_a_gap(filled: Room) -> None:
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = audit_log.page(filled.workspace, Filters(), cursor)
        seen += [row.target for row in page.rows]
        cursor = page.next_cursor
    assert seen == ["=lapwing", "velvet", *(f"step {n}" for n in range(249, -1, -1))]
    assert cursor == ""


def test_the_filters_narrow(filled: Room) -> None:
    assert found(filled, who="alice") == ["=lapwing", "velvet"]
    assert found(filled, action="setting.changed", who="rita") == []
    assert found(filled, action="setting.changed", q="VELVET") == ["velvet"]
    assert found(filled, q="rita 249") == ["step 249"]
    assert len(found(filled, first="2026-03-05", last="2026-03-05")) == 100
    assert found(filled, last="2026-03-04") == []
    assert found(filled, q='"step" OR') == []


def test_rare_words_are_found_by_the_index(filled: Room) -> None:
    assert found(filled, q="170") == ["step 170"]
    assert found(filled, q="step 17", who="rita")[-1] == "step 17"
    assert found(filled, q="elsewhere") == []


def test_what_cannot_be_used_is_said(filled: Room) -> None:
    page = audit_log.page(filled.workspace, Filters("ab", "", "x.y", "tomorrow"), "not a place")
    assert len(page.rows) == 100
    assert len(page.notices) == 4


def test_people_who_left_can_still_be_chosen(filled: Room) -> None:
    filled.users["rita"].delete()
    assert audit_log.people(filled.workspace) == ["alice", "rita"]


def test_an_owner_reads_it_and_nobody_else(filled: Room) -> None:
    assert "step 249" in filled.client("alice").get("/teams/audit/").content.decode()
    for name in ("bob", "rita", "vera"):
        assert filled.client(name).get("/teams/audit/").status_code == 403
    assert "step 249" not in filled.client("charlie").get("/teams/audit/").content.decode()


def test_hostile_words_stay_words(alice: Client, room: Room) -> None:
    record(room.workspace, None, Action.SETTING_CHANGED, target="<script>x</script>")
    text = alice.get("/teams/audit/").content.decode()
    assert "&lt;script&gt;x" in text
    assert "<script>x" not in text


def body(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_the_exports_hold_every_entry_oldest_first(alice: Client, filled: Room) -> None:
    lines = [json.loads(line) for line in body(alice, "/teams/audit/export.jsonl").splitlines()]
    rows = list(csv.DictReader(io.StringIO(body(alice, "/teams/audit/export.csv?who=alice"))))
    assert [line["target"] for line in lines[:250]] == [f"step {n}" for n in range(250)]
    assert lines[-1]["action"] == "audit.exported"
    assert [row["target"] for row in rows][:2] == ["velvet", "'=lapwing"]
    assert rows[-1]["action"] == "audit.exported"
    assert "elsewhere" not in str(lines)


def test_no_page_counts_or_sorts(filled: Room) -> None:
    """Every filter is one walk along an index: at a million rows as at ten."""
    if connection.vendor != "sqlite":
        pytest.skip("the plan is read from SQLite")
    for filters in (Filters(), Filters(who="rita"), Filters(action="label.saved", who="rita")):
        rows = audit_log._matching(filled.workspace, filters, []).order_by("-at", "-id")[:101]
        plan = rows.explain()
        assert "USING INDEX audit_" in plan
        assert "TEMP B-TREE" not in plan
        assert "SCAN" not in plan


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(st.text(max_size=40))
def test_no_words_break_the_search(room: Room, text: str) -> None:
    record(room.workspace, None, Action.SETTING_CHANGED, target=f"x {text}")
    filters = Filters.from_query({"q": text, "who": text, "from": text})
    assert audit_log.page(room.workspace, filters, text).rows == [] or not text.strip("\x00 ")
    terms = text.split()
    if all(term.isascii() and term.isprintable() for term in terms):
        assert found(room, q=text)
