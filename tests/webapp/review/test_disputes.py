from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.http import Http404
from django.test import Client

from collab_core.errors import InvalidInput
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_run, make_set
from webapp.review import disputes, labelling, services
from webapp.review.models import Decision, Item, Queue
from webapp.teams.models import AuditEntry


@pytest.fixture
def queue(room: Room) -> Queue:
    """Two steps that Alice and Bob have labelled: on the first they differ."""
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1, 0])])
    for who, answers in (("alice", ("yes", "no")), ("bob", ("no", "no"))):
        for position, answer in zip((1, 2), answers, strict=True):
            labelling.save(item(queue, position), room.users[who], given(answer))
    return queue


def decide(room: Room, queue: Queue, who: str = "alice", **changes: object) -> Decision:
    one = item(queue)
    fields = {
        "run_uuid": one.run_uuid,
        "step": one.step,
        "answer": "no",
        "reason": "Nothing was new.",
    } | changes
    return disputes.decide(queue.label_set, room.users[who], **fields)  # type: ignore[arg-type]


def test_only_differing_answers_are_a_disagreement(room: Room, queue: Queue) -> None:
    [found] = disputes.disputes(queue.label_set, room.users["vera"])
    assert (found.item.step, found.answers) == (item(queue).step, [("alice", "Yes"), ("bob", "No")])
    assert found.decision is None


def test_the_numbers_page_counts_the_undecided_ones(
    room: Room, queue: Queue, alice: Client
) -> None:
    url = f"/review/sets/{queue.label_set.uuid}/numbers/"
    assert 'title="Undecided">1</span>' in alice.get(url).content.decode()
    decide(room, queue)
    assert 'title="Undecided"' not in alice.get(url).content.decode()


def test_a_decision_keeps_its_reason_and_those_before_it(room: Room, queue: Queue) -> None:
    decide(room, queue)
    decide(room, queue, answer="yes", reason="It was, after all.")
    [found] = disputes.disputes(queue.label_set, room.users["alice"])
    assert found.decision is not None
    assert (found.decision.answer, found.decision.number) == ("yes", 2)
    assert list(Decision.objects.values_list("reason", flat=True)) == [
        "Nothing was new.",
        "It was, after all.",
    ]
    assert AuditEntry.objects.filter(action="label.adjudicated").count() == 2


def test_the_named_adjudicator_decides(room: Room, queue: Queue) -> None:
    with pytest.raises(PermissionDenied):
        decide(room, queue, "rita")
    services.set_adjudicator(queue.label_set, room.users["alice"], room.users["rita"])
    queue.label_set.refresh_from_db()
    assert decide(room, queue, "rita").by == "rita"


@pytest.mark.parametrize(
    ("who", "error"),
    [("bob", PermissionDenied), ("vera", PermissionDenied), ("charlie", Http404)],
)
def test_others_do_not_decide(room: Room, queue: Queue, who: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        decide(room, queue, who)
    assert Decision.objects.count() == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"answer": "maybe"}, "answer"), ({"reason": " "}, "reason"), ({"step": 99}, "step")],
)
def test_a_bad_decision_names_its_field(
    room: Room, queue: Queue, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        decide(room, queue, **changes)
    assert caught.value.field == field


def test_agreed_steps_are_not_decided(room: Room, queue: Queue) -> None:
    second = item(queue, 2)
    with pytest.raises(InvalidInput, match="no disagreement"):
        decide(room, queue, run_uuid=second.run_uuid, step=second.step)


def test_decisions_are_append_only(room: Room, queue: Queue) -> None:
    decide(room, queue)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute("UPDATE review_decision SET answer = 'yes'")


def test_a_disagreement_is_hidden_from_who_labels_the_step_blindly(room: Room) -> None:
    queue = make_queue(room, make_set(room, overlap=3), [make_run(room, [1])])
    for who, answer in (("alice", "yes"), ("bob", "no")):
        labelling.save(item(queue), room.users[who], given(answer))
    assert disputes.disputes(queue.label_set, room.users["rita"]) == []
    assert len(disputes.disputes(queue.label_set, room.users["bob"])) == 1
    labelling.save(item(queue), room.users["rita"], given("yes"))
    assert len(disputes.disputes(queue.label_set, room.users["rita"])) == 1


def test_the_page_shows_and_decides(alice: Client, room: Room, queue: Queue) -> None:
    url = f"/review/sets/{queue.label_set.uuid}/"
    assert "<b>bob</b> no" in alice.get(f"{url}disagreements/").content.decode()
    one = Item.objects.get(pk=item(queue).pk)
    body = {"run": str(one.run_uuid), "step": str(one.step), "answer": "no", "reason": "<b>x</b>"}
    answer = alice.post(f"{url}decide/", body, follow=True).content.decode()
    assert "alice decided: no" in answer
    assert "&lt;b&gt;x&lt;/b&gt;" in answer
    assert (
        b"Name the step" in alice.post(f"{url}decide/", body | {"step": "x"}, follow=True).content
    )
