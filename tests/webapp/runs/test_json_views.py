from __future__ import annotations

import csv
import io
import json

from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from collab_core import events as ev
from collab_core.csv_cells import cell
from collab_core.domain import Timing, Totals, Usage
from collab_core.runtime.journal import read_log
from tests.webapp.personas import Room
from tests.webapp.runs.test_fold import finished
from webapp.runs.json_views import CSV_COLUMNS
from webapp.runs.models import Run
from webapp.runs.services import _insert
from webapp.teams.models import AuditEntry

END = ev.RunCancelled(by="bob", totals=Totals(usage=Usage(input_tokens=3)))
SWITCH = ev.TierSwitched(
    step=2, from_tier=0, to_tier=1, from_name="a", to_name="b", reason="escalated"
)


def a_run(room: Room, *events: ev.AnyEvent) -> Run:
    run = room.submit()
    _insert(run.pk, 1, 5.5, events)
    Run.objects.filter(pk=run.pk).update(next_seq=1 + len(events))
    return run


def test_the_snapshot_holds_steps_switches_and_what_came_after(room: Room, vera: Client) -> None:
    started = ev.StepStarted(step=3, tier=1, tier_name="b", reason="default")
    run = a_run(room, ev.RunStarted(), finished(1), SWITCH, finished(2), started)
    body = vera.get(f"/runs/{run.uuid}/snapshot.json").json()
    assert body["run"]["ref"] == run.ref
    assert [s["seq"] for s in body["steps"]] == [2, 4]
    assert [s["seq"] for s in body["switches"]] == [3]
    assert [s["type"] for s in body["tail"]] == ["step.started"]
    assert body["head"] == 5


def test_the_snapshot_holds_every_step_under_way(room: Room, vera: Client) -> None:
    """Agents side by side: one began before another's step ended, and has not ended itself."""
    waits = ev.StepStarted(step=1, tier=1, tier_name="b", reason="default", role="planner")
    slow = ev.StepStarted(step=2, scope="seeker-1.1", tier=1, tier_name="b", reason="default")
    judged = ev.ProgressJudged(
        step=2, scope="seeker-1.1", indicator=1, made_progress=True, status="parsed"
    )
    run = a_run(room, ev.RunStarted(), waits, slow, judged, finished(3, scope="seeker-1.2"))
    body = vera.get(f"/runs/{run.uuid}/snapshot.json").json()
    assert [(s["seq"], s["step"]) for s in body["tail"]] == [(2, 1), (3, 2), (4, 2)]
    assert [s["seq"] for s in body["steps"]] == [5]


def test_bodies_hold_scores_and_discarded_drafts(room: Room, vera: Client) -> None:
    scored = ev.ScorerReturned(
        key="main:1", step=1, scorer="s", digest="d", request_digest="r", values=(0.2,),
        duration_s=0.1,
    )  # fmt: skip
    discarded = ev.DraftDiscarded(
        step=1, tier=0, tier_name="a", to_tier=1, to_name="b", reason="rejected"
    )
    run = a_run(room, scored, discarded, finished(1))
    events = vera.get(f"/runs/{run.uuid}/steps.json").json()["events"]
    assert [event["type"] for event in events] == ["scorer.returned", "draft.discarded"]


def test_the_snapshot_says_what_discarded_drafts_took(room: Room, vera: Client) -> None:
    """Of finished steps only: those under way come with all their events."""
    run = a_run(room, *drafted(1), finished(1), ev.StepStarted(
        step=2, tier=0, tier_name="a", reason="draft"
    ), *drafted(2))  # fmt: skip
    body = vera.get(f"/runs/{run.uuid}/snapshot.json").json()
    assert body["drafts"] == [{"step": 1, "output_tokens": 7, "total_s": 1.5}]


def drafted(step: int) -> list[ev.AnyEvent]:
    """A draft of tier 0 that was thrown away, and what tier 1 wrote instead."""
    discarded = ev.DraftDiscarded(
        step=step, tier=0, tier_name="a", to_tier=1, to_name="b", reason="rejected"
    )
    return [replied(step, 0, 7, 1.5), discarded, replied(step, 1, 9, 2.5)]


def replied(step: int, tier: int, output_tokens: int, seconds: float) -> ev.ModelReplied:
    return ev.ModelReplied(
        key=f"main:{step}:{tier}", step=step, purpose="think", tier=tier, tier_name="ab"[tier],
        request_digest="r", text="", finish_reason="stop",
        usage=Usage(output_tokens=output_tokens), timing=Timing(total_s=seconds),
    )  # fmt: skip


def test_the_snapshot_of_an_ended_run_holds_its_end(room: Room, vera: Client) -> None:
    body = vera.get(f"/runs/{a_run(room, finished(1), END).uuid}/snapshot.json").json()
    assert [s["type"] for s in body["tail"]] == ["run.cancelled"]


def test_bodies_come_by_ranges_of_steps(room: Room, vera: Client) -> None:
    judged = [
        ev.ProgressJudged(step=step, indicator=1, made_progress=True, status="parsed")
        for step in range(1, 301)
    ]
    run = a_run(room, *judged)
    url = f"/runs/{run.uuid}/steps.json"

    def steps(**query: str) -> list[int]:
        return [event["step"] for event in vera.get(url, query).json()["events"]]

    assert steps(**{"from": "10", "to": "12"}) == [10, 11, 12]
    assert steps(**{"from": "1", "to": "900"}) == list(range(1, 101))
    assert steps(**{"from": "x", "to": "-3"}) == list(range(1, 101))
    assert steps(**{"from": "5", "to": "2"}) == []


def test_the_exported_log_is_the_log(room: Room, vera: Client) -> None:
    run = a_run(room, finished(1), END)
    answer = vera.get(f"/runs/{run.uuid}/export.jsonl")
    lines = b"".join(answer.streaming_content)  # type: ignore[attr-defined]
    assert [type(r.event).__name__ for r in read_log(lines, name="x")] == [
        "RunQueued",
        "StepFinished",
        "RunCancelled",
    ]
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{run.ref}.jsonl"'


def test_taking_a_run_out_is_in_the_audit_log(room: Room, vera: Client) -> None:
    run = a_run(room, finished(1), END)
    for name in ("snapshot.json", "export.jsonl", "steps.csv"):
        vera.get(f"/runs/{run.uuid}/{name}")
    kept = AuditEntry.objects.filter(action="run.exported").order_by("id")
    assert [(one.actor_name, one.target, one.detail) for one in kept] == [
        ("vera", run.ref, {"format": "log"}),
        ("vera", run.ref, {"format": "csv"}),
    ]


def test_the_csv_says_which_agent_made_a_step(room: Room, vera: Client) -> None:
    run = a_run(room, finished(1, scope="seeker-1.2", role="seeker", discarded=2))
    [header, row] = csv.reader(
        io.StringIO(vera.get(f"/runs/{run.uuid}/steps.csv").content.decode())
    )
    values = dict(zip(header, row, strict=True))
    assert [values[name] for name in ("scope", "role", "discarded", "route_s")] == [
        "seeker-1.2",
        "seeker",
        "2",
        "0.0",
    ]


def test_the_steps_are_exported_as_csv(room: Room, vera: Client) -> None:
    run = a_run(room, finished(1, thought='=HYPERLINK("http://evil")', action="-1"))
    [header, row] = csv.reader(
        io.StringIO(vera.get(f"/runs/{run.uuid}/steps.csv").content.decode())
    )
    values = dict(zip(header, row, strict=True))
    assert tuple(header) == CSV_COLUMNS
    assert (values["thought"][:2], values["action"], values["latency_s"]) == ("'=", "'-1", "1.0")


@given(st.text())
def test_no_text_cell_is_a_formula(text: str) -> None:
    shown = str(cell(text))
    assert shown.lstrip()[:1] not in set("=+-@＝＋－＠")
    assert shown[:1] not in set("\t\r\n")
    assert shown.removeprefix("'") == text.replace("\x00", "\ufffd").removeprefix("'")


def test_hostile_text_stays_data(room: Room, vera: Client) -> None:
    run = a_run(room, finished(1, thought="</script><img src=x onerror=alert(1)>\u2028"))
    answer = vera.get(f"/runs/{run.uuid}/snapshot.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert "onerror" in json.loads(answer.content)["steps"][0]["thought"]
