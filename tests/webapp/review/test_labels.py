from __future__ import annotations

import json

import pytest
from django.test import Client

from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_run, make_set
from webapp.review import disputes, labelling
from webapp.review.labels import blind_places, core_labels, labels_of
from webapp.review.models import Item, Opening, Queue, StepLabel
from webapp.runs.models import Run
from webapp.teams.models import Workspace


@pytest.fixture
def queue(room: Room) -> Queue:
    """One step, said to be progress, that two are to label; Alice has said no."""
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1])])
    labelling.save(item(queue), room.users["alice"], given("no", comment="ALICE"))
    return queue


def run_of(queue: Queue) -> Run:
    run = item(queue).run
    assert run is not None
    return run


def seen(queue: Queue, room: Room, who: str) -> list[str]:
    told = labels_of([run_of(queue)], room.users[who])
    labels = told.get(run_of(queue).uuid, {}).get(1, [])
    return [f"{label['reviewer']} {label['kind']}" for label in labels]


def test_labels_of_a_run_are_hidden_from_who_could_label_blindly(room: Room, queue: Queue) -> None:
    assert seen(queue, room, "alice") == seen(queue, room, "vera") == ["alice false_progress"]
    assert seen(queue, room, "bob") == seen(queue, room, "rita") == []
    labelling.save(item(queue), room.users["bob"], given("yes"))
    assert seen(queue, room, "rita") == ["alice false_progress", "bob correct"]


def test_a_decision_comes_last(room: Room, queue: Queue) -> None:
    labelling.save(item(queue), room.users["bob"], given("yes"))
    one = item(queue)
    for answer in ("no", "yes"):
        disputes.decide(
            queue.label_set, room.users["alice"], run_uuid=one.run_uuid, step=1, answer=answer,
            reason="Because.",
        )  # fmt: skip
    assert seen(queue, room, "vera")[2:] == ["alice correct"]
    assert [label.adjudicated for label in core_labels(queue.label_set)] == [
        False,
        False,
        True,
        True,
    ]


def test_nothing_is_blind_in_a_queue_for_others_or_a_closed_one(room: Room) -> None:
    run = make_run(room, [1])
    make_queue(room, make_set(room), [run], people=[room.users["rita"]])
    assert blind_places(room.users["bob"], [run.uuid]) == set()
    assert blind_places(room.users["rita"], [run.uuid]) == {(run.uuid, 1)}
    Queue.objects.update(closed_at="2026-01-01T00:00Z")
    assert blind_places(room.users["rita"], [run.uuid]) == set()


def test_nothing_is_blind_in_a_label_set_that_is_not(room: Room) -> None:
    Workspace.objects.filter(pk=room.workspace.pk).update(blind_review=False)
    queue = make_queue(room, make_set(room))
    assert blind_places(room.users["bob"], [item(queue).run_uuid]) == set()


@pytest.mark.parametrize("path", ["snapshot.json", "steps.json", "export.jsonl", "steps.csv"])
def test_a_label_after_opening_the_run_says_so(
    room: Room, bob: Client, queue: Queue, path: str
) -> None:
    bob.get(f"/runs/{run_of(queue).uuid}/{path}")
    labelling.save(item(queue), room.users["bob"], given())
    assert StepLabel.objects.get(reviewer="bob").opened is True
    told = {one.reviewer: one.blind for one in core_labels(queue.label_set)}
    assert told == {"alice": True, "bob": False}


@pytest.mark.parametrize("path", ["/runs", "/runs/{}", "/runs/{}/events"])
def test_rest_of_a_run_is_an_opening_too(room: Room, queue: Queue, path: str) -> None:
    uuid = run_of(queue).uuid
    Client().get("/api/v1" + path.format(uuid), **room.bearer("rita"))
    assert list(Opening.objects.values_list("user__username", "run_uuid")) == [("rita", uuid)]


def test_opening_is_kept_for_blind_reviewers_only(
    room: Room, alice: Client, vera: Client, queue: Queue
) -> None:
    for client in (alice, vera):
        client.get(f"/runs/{run_of(queue).uuid}/snapshot.json")
    assert Opening.objects.count() == 0


# --- the page of a run --------------------------------------------------------------------------
def test_the_page_of_a_run_hides_what_is_blind(
    bob: Client, vera: Client, room: Room, queue: Queue
) -> None:
    url = f"/review/runs/{run_of(queue).uuid}/labels.json"
    assert bob.get(url).json()["steps"] == [{"step": 1, "hidden": True}]
    assert "ALICE" not in bob.get(f"/review/runs/{run_of(queue).uuid}/").content.decode()
    [step] = vera.get(url).json()["steps"]
    assert (step["seen"]["indicator"], step["labels"][0]["comment"]) == (1, "ALICE")


def test_the_page_is_read_anew_only_when_something_changed(
    vera: Client, room: Room, queue: Queue
) -> None:
    url = f"/review/runs/{run_of(queue).uuid}/labels.json"
    mark = vera.get(url).json()["revision"]
    assert vera.get(url, {"since": mark}).status_code == 204
    labelling.save(item(queue), room.users["bob"], given("yes"))
    fresh = vera.get(url, {"since": mark}).json()
    assert [label["reviewer"] for label in fresh["steps"][0]["labels"]] == ["alice", "bob"]


def test_marks_tell_each_what_they_may_see(
    alice: Client, bob: Client, charlie: Client, queue: Queue
) -> None:
    url = f"/review/marks.json?runs={run_of(queue).uuid},nonsense"
    told = alice.get(url).json()["runs"]
    assert told[str(run_of(queue).uuid)]["1"][0]["kind"] == "false_progress"
    assert bob.get(url).json() == charlie.get(url).json() == {"runs": {}}


def test_hostile_comments_stay_data(vera: Client, room: Room, queue: Queue) -> None:
    labelling.save(item(queue), room.users["alice"], given("no", comment="</script><b>x"))
    answer = vera.get(f"/review/runs/{run_of(queue).uuid}/labels.json")
    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.content)["steps"][0]["labels"][0]["comment"] == "</script><b>x"


@pytest.mark.parametrize(
    "path", ["/runs/{}/snapshot.json", "/review/runs/{}/labels.json", "/review/marks.json?runs={}"]
)
def test_a_change_after_the_verdict_was_seen_elsewhere_is_blind_no_more(
    room: Room, alice: Client, queue: Queue, path: str
) -> None:
    alice.get(path.format(run_of(queue).uuid))
    assert StepLabel.objects.get().blind is True, "it was given before"
    labelling.save(item(queue), room.users["alice"], given("yes"))
    assert StepLabel.objects.get().blind is False


def test_the_neighbours_of_a_blind_step_do_not_tell_its_verdict(room: Room, bob: Client) -> None:
    run = make_run(room, [1, 0, 1])
    queue = make_queue(room, make_set(room), [run])
    Item.objects.filter(queue=queue, step=3).delete()  # as if it had not been drawn
    first, second = (Item.objects.get(queue=queue, step=step).position for step in (1, 2))
    url = f"/review/runs/{run.uuid}/labels.json"
    labelling.save(item(queue, first), room.users["bob"], given("yes"))
    assert [step["hidden"] for step in bob.get(url).json()["steps"]] == [False, True, True]
    labelling.save(item(queue, second), room.users["bob"], given("no"))
    assert [step["hidden"] for step in bob.get(url).json()["steps"]] == [False, False, False]
