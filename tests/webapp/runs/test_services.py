from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404

from collab_core.errors import InvalidInput
from collab_core.events import RunQueued
from tests.webapp.personas import Room, make_collection, make_ladder
from webapp.runs import fold, leases, services
from webapp.runs.models import Run, SampleTask


def test_a_submitted_run_is_queued_with_its_first_event(room: Room) -> None:
    run = room.submit()
    [first] = leases.read_history(run.pk)
    assert isinstance(first.event, RunQueued)
    assert (run.status, run.next_seq, run.ref) == ("queued", 1, "run-1")
    assert first.event.parameters == run.parameters


def test_a_race_is_several_runs_over_the_same_task_and_seed(room: Room) -> None:
    strategies = [("small", {}), ("large", {}), ("agentcollab", {})]
    runs = services.submit(
        room.workspace, room.users["bob"], room.submission(strategies=strategies, seed=None)
    )
    assert [run.number for run in runs] == [1, 2, 3]
    assert len({run.race for run in runs}) == 1 == len({run.seed for run in runs})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"question": "  \n "}, "question"),
        ({"question": "x" * 100_001}, "question"),
        ({"question": "a\x00b"}, "question"),
        ({"question": "\x7fELF"}, "question"),
        ({"question": "\ud800"}, "question"),
        ({"strategies": [("nonsense", {})]}, "strategy"),
        ({"strategies": []}, "strategy"),
        ({"strategies": [("small", {})] * 7}, "strategy"),
        ({"strategies": [("agentcollab", {"growth": 1e9})]}, "growth"),
        ({"strategies": [("agentcollab", {"x": "y" * 30_000})]}, "parameters"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"limits": {"max_steps": 0}}, "max_steps"),
        ({"limits": {"max_cost_usd": float("inf")}}, "max_cost_usd"),
        ({"limits": {"nonsense": 1}}, "nonsense"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 91}, "idempotency_key"),
        ({"task_id": "unknown"}, "task_id"),
    ],
)
def test_bad_input_names_its_field_and_stores_nothing(
    room: Room, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        room.submit(**changes)
    assert caught.value.field == field
    assert not Run.objects.exists()


def test_right_to_left_and_markup_are_kept_as_they_are(room: Room) -> None:
    question = "\u202eابن <script>alert(1)</script>\n\tمن؟"
    assert room.submit(question=question).question == question


def test_a_ladder_of_another_workspace_is_unknown(room: Room) -> None:
    with pytest.raises(InvalidInput, match="no such ladder"):
        room.submit(ladder=make_ladder(room.other))


def test_a_ladder_without_tiers_is_refused(room: Room) -> None:
    with pytest.raises(InvalidInput, match="no tiers"):
        room.submit(ladder=make_ladder(room.workspace, tiers=0))


def test_a_collection_of_another_workspace_is_unknown(room: Room) -> None:
    collection = make_collection(room)
    collection.workspace = room.other
    with pytest.raises(InvalidInput, match="no such collection"):
        room.submit(collection=collection)


def test_a_sample_task_brings_its_answers_unless_the_question_was_edited(room: Room) -> None:
    docs = make_collection(room)
    SampleTask.objects.create(collection=docs, task_id="t1", question="Who?", answers=["Ada"])
    assert room.submit(collection=docs, task_id="t1", question="Who?").gold == ["Ada"]
    edited = room.submit(collection=docs, task_id="t1", question="Who else?")
    assert (edited.task_id, edited.gold) == ("", [])
    assert room.submit(collection=docs, question="Who?").task_id == "t1"


def test_the_same_key_gives_the_same_run(room: Room) -> None:
    assert room.submit(idempotency_key="k") == room.submit(idempotency_key="k")
    assert Run.objects.count() == 1


def test_the_same_key_for_another_task_is_refused(room: Room) -> None:
    room.submit(idempotency_key="k")
    with pytest.raises(InvalidInput, match="another submission"):
        room.submit(idempotency_key="k", question="Something else?")


def test_the_quota_counts_what_waits_and_runs(room: Room, settings: object) -> None:
    settings.TANDEM = settings.TANDEM | {"max_active_runs": 2}  # type: ignore[attr-defined]
    first = room.submit()
    room.submit()
    with pytest.raises(services.QuotaReached):
        room.submit()
    services.cancel(first, room.users["alice"])
    room.submit()


def test_a_viewer_may_not_and_a_stranger_does_not_know(room: Room) -> None:
    run = room.submit()
    with pytest.raises(PermissionDenied):
        services.cancel(run, room.users["vera"])
    with pytest.raises(Http404):
        services.rerun(run, room.users["charlie"])
    with pytest.raises(PermissionDenied):
        services.submit(room.workspace, room.users["vera"], room.submission())


def test_a_queued_run_is_cancelled_at_once_and_once(room: Room) -> None:
    run = room.submit()
    services.cancel(run, room.users["bob"])
    services.cancel(run, room.users["bob"])
    run.refresh_from_db()
    assert (run.status, run.next_seq) == ("cancelled", 2)
    assert fold.fold(leases.read_history(run.pk)).status == "cancelled"
    assert leases.claim(run.pk, "late") is None


def test_a_running_run_is_only_asked_to_stop(room: Room) -> None:
    run = room.submit()
    leases.claim(run.pk, "w")
    services.cancel(run, room.users["bob"])
    run.refresh_from_db()
    assert (run.status, run.cancelled_by) == ("running", "bob")


def test_a_rerun_has_the_same_seed_and_parameters(room: Room) -> None:
    run = room.submit(limits={"max_steps": 5})
    again = services.rerun(run, room.users["bob"])
    assert (again.seed, again.parameters, again.limits) == (run.seed, run.parameters, run.limits)
    assert again.number == run.number + 1


def test_a_run_whose_ladder_is_gone_cannot_be_rerun(room: Room) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(ladder=None)
    run.refresh_from_db()
    with pytest.raises(InvalidInput, match="does not exist any more"):
        services.rerun(run, room.users["bob"])


def test_a_fork_into_a_whole_method_is_refused(room: Room) -> None:
    with pytest.raises(InvalidInput, match="a method of its own") as caught:
        services.fork(
            room.submit(),
            room.users["bob"],
            after_step=1,
            strategy="cope",
            parameters={},
            ladder=room.ladder,
        )
    assert caught.value.field == "strategy"


def test_a_fork_before_the_first_step_is_refused(room: Room) -> None:
    with pytest.raises(InvalidInput) as caught:
        services.fork(
            room.submit(),
            room.users["bob"],
            after_step=1,
            strategy="large",
            parameters={},
            ladder=room.ladder,
        )
    assert caught.value.field == "after_step"
