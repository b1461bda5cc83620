from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.http import Http404
from django.test import Client
from django.utils import timezone

from collab_core.errors import InvalidInput
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_run, make_set
from webapp.review import labelling, reads, services
from webapp.review.models import (
    Item,
    LabelRevision,
    Opening,
    Queue,
    Reservation,
    StepLabel,
)
from webapp.teams.models import AuditEntry


def positions(queue: Queue, room: Room, who: str, want: int = 2) -> list[int]:
    return [one.position for one in labelling.reserve(queue, room.users[who], want=want)]


def expire(queue: Queue) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Reservation.objects.filter(item__queue=queue).update(until=past)


# --- getting items ------------------------------------------------------------------------------
def test_two_people_get_different_items(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1] * 4)])
    assert positions(queue, room, "bob") == [1, 2]
    assert positions(queue, room, "rita") == [3, 4]
    assert positions(queue, room, "alice") == []


def test_who_asks_again_gets_the_same_items(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1] * 4)])
    assert positions(queue, room, "bob") == positions(queue, room, "bob") == [1, 2]


def test_an_expired_reservation_frees_the_item(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1] * 3)])
    positions(queue, room, "bob", want=3)
    assert positions(queue, room, "rita") == []
    expire(queue)
    assert positions(queue, room, "rita") == [1, 2]


def test_an_item_is_for_as_many_as_the_set_says(room: Room) -> None:
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1])])
    assert positions(queue, room, "bob") == positions(queue, room, "rita") == [1]
    assert positions(queue, room, "alice") == []


def test_the_walk_goes_on_and_comes_round(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1] * 5)])
    labelling.reserve(queue, room.users["rita"], want=1)
    assert positions(queue, room, "bob") == [2, 3]
    for position in (2, 3):
        labelling.save(item(queue, position), room.users["bob"], given())
    assert positions(queue, room, "bob") == [4, 5]
    for position in (4, 5):
        labelling.save(item(queue, position), room.users["bob"], given())
    assert positions(queue, room, "bob") == []
    expire(queue)
    assert positions(queue, room, "bob") == [1]


def test_a_dealt_item_is_served_to_its_people_only(room: Room) -> None:
    people = [room.users["bob"], room.users["rita"]]
    queue = make_queue(room, runs=[make_run(room, [1] * 4)], people=people, dealt=True)
    assert positions(queue, room, "bob") == [1, 3]
    assert positions(queue, room, "rita") == [2, 4]
    with pytest.raises(PermissionDenied, match="somebody else"):
        labelling.save(item(queue, 2), room.users["bob"], given())


def test_a_queue_for_some_is_not_for_others(room: Room) -> None:
    queue = make_queue(room, people=[room.users["rita"]])
    with pytest.raises(PermissionDenied, match="other people"):
        positions(queue, room, "bob")


@pytest.mark.parametrize(("who", "error"), [("vera", PermissionDenied), ("charlie", Http404)])
def test_who_may_not_review_gets_nothing(room: Room, who: str, error: type[Exception]) -> None:
    queue = make_queue(room)
    for act in (
        lambda: labelling.reserve(queue, room.users[who]),
        lambda: labelling.save(item(queue), room.users[who], given()),
        lambda: labelling.undo(item(queue), room.users[who]),
        lambda: labelling.skip(item(queue), room.users[who]),
    ):
        with pytest.raises(error):
            act()


def test_items_of_a_deleted_run_are_not_served_and_keep_their_labels(room: Room) -> None:
    gone, stays = make_run(room, [1]), make_run(room, [0])
    queue = make_queue(room, runs=[gone, stays])
    first = queue.items.get(run=gone).position
    labelling.save(item(queue, first), room.users["bob"], given("no"))
    gone.delete()
    assert positions(queue, room, "bob") == [queue.items.get(run=stays).position]
    label = StepLabel.objects.get()
    assert (label.answer, label.item.verdict, label.item.run_id) == ("no", 1, None)


# --- saving -------------------------------------------------------------------------------------
def test_two_peoples_labels_never_overwrite_each_other(room: Room) -> None:
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1])])
    labelling.save(item(queue), room.users["bob"], given("yes"))
    labelling.save(item(queue), room.users["rita"], given("no", comment="stuck"))
    assert dict(StepLabel.objects.values_list("reviewer", "answer")) == {"bob": "yes", "rita": "no"}
    assert (item(queue).labels, item(queue).closed) == (2, True)


def test_a_full_item_takes_no_more(room: Room) -> None:
    queue = make_queue(room)
    labelling.save(item(queue), room.users["bob"], given())
    with pytest.raises(labelling.Refused, match="Others have taken"):
        labelling.save(item(queue), room.users["rita"], given())
    assert StepLabel.objects.count() == 1


def test_a_late_label_is_taken_while_there_is_room(room: Room) -> None:
    queue = make_queue(room)
    labelling.reserve(queue, room.users["bob"])
    expire(queue)
    labelling.save(item(queue), room.users["bob"], given())
    assert StepLabel.objects.get().reviewer == "bob"


def test_a_late_label_does_not_take_anothers_place(room: Room) -> None:
    queue = make_queue(room)
    labelling.reserve(queue, room.users["bob"], want=1)
    expire(queue)
    labelling.reserve(queue, room.users["rita"], want=1)
    with pytest.raises(labelling.Refused):
        labelling.save(item(queue), room.users["bob"], given())
    labelling.save(item(queue), room.users["rita"], given())


def test_the_same_key_is_stored_once(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    first = labelling.save(item(queue), bob, given("no", key="k"))
    again = labelling.save(item(queue), bob, given("yes", key="k"))
    assert (first.repeated, again.repeated, again.label.answer) == (False, True, "no")
    assert LabelRevision.objects.count() == 1


def test_a_changed_label_keeps_its_history(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    labelling.save(item(queue), bob, given("yes", comment="first"))
    labelling.save(item(queue), bob, given("no", comment="second"))
    label = StepLabel.objects.get()
    assert (label.answer, label.comment, label.revision) == ("no", "second", 2)
    history = label.revisions.order_by("number").values_list("number", "answer", "comment")
    assert list(history) == [(1, "yes", "first"), (2, "no", "second")]


def test_a_step_in_two_queues_of_a_set_is_labelled_once(room: Room) -> None:
    label_set, run = make_set(room), make_run(room, [1])
    queues = [make_queue(room, label_set, [run]) for _ in range(2)]
    labelling.save(item(queues[0]), room.users["bob"], given())
    assert item(queues[1]).closed is True
    assert positions(queues[1], room, "bob") == positions(queues[1], room, "rita") == []


def test_a_new_queue_knows_what_is_labelled(room: Room) -> None:
    label_set, run = make_set(room), make_run(room, [1])
    labelling.save(item(make_queue(room, label_set, [run])), room.users["bob"], given())
    assert item(make_queue(room, label_set, [run])).closed is True


def test_a_closed_queue_takes_no_label(room: Room) -> None:
    queue = make_queue(room)
    services.close_queue(queue, room.users["alice"])
    with pytest.raises(labelling.Refused, match="closed"):
        labelling.save(item(queue), room.users["bob"], given())
    queue.refresh_from_db()
    assert positions(queue, room, "bob") == []


def test_a_run_has_one_first_wrong_step_a_reviewer(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    for position in (1, 2):
        labelling.save(item(queue, position), bob, given("no", first_error=True))
    marked = StepLabel.objects.get(first_error=True)
    assert marked.item.position == 2
    assert [r.first_error for r in LabelRevision.objects.order_by("pk")] == [True, False, True]


def test_only_a_wrong_step_is_the_first_wrong_one(room: Room) -> None:
    labelling.save(item(make_queue(room)), room.users["bob"], given("yes", first_error=True))
    assert StepLabel.objects.get().first_error is False


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"answer": "maybe"}, "answer"),
        ({"answer": ""}, "answer"),
        ({"comment": "x" * 10_001}, "comment"),
        ({"key": ""}, "key"),
        ({"key": "a\nb"}, "key"),
    ],
)
def test_a_bad_label_names_its_field(room: Room, changes: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        labelling.save(item(make_queue(room)), room.users["bob"], given(**changes))
    assert caught.value.field == field


def test_a_comment_full_of_script_is_kept_as_it_is(room: Room) -> None:
    hostile = "<script>alert(1)</script>\x00=cmd()"
    labelling.save(item(make_queue(room)), room.users["bob"], given(comment=hostile))
    assert StepLabel.objects.get().comment == "<script>alert(1)</script>\ufffd=cmd()"


# --- taking back, skipping, revealing -----------------------------------------------------------
def test_an_undone_label_opens_the_item_again(room: Room) -> None:
    queue, bob = make_queue(room, runs=[make_run(room, [1])]), room.users["bob"]
    labelling.save(item(queue), bob, given())
    labelling.undo(item(queue), bob)
    assert (item(queue).labels, item(queue).closed) == (0, False)
    assert positions(queue, room, "bob") == [1]
    assert list(LabelRevision.objects.order_by("number").values_list("answer", flat=True)) == [
        "yes",
        "",
    ]


def test_an_undo_that_is_sent_twice_is_done_once(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    labelling.save(item(queue), bob, given())
    labelling.undo(item(queue), bob, key="u")
    labelling.save(item(queue), bob, given("no"))
    assert labelling.undo(item(queue), bob, key="u").repeated is True
    assert StepLabel.objects.get().answer == "no"


def test_nothing_to_undo_is_said(room: Room) -> None:
    with pytest.raises(InvalidInput, match="no label of yours"):
        labelling.undo(item(make_queue(room)), room.users["bob"])


def test_a_skipped_item_goes_to_others(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1])])
    positions(queue, room, "bob")
    labelling.skip(item(queue), room.users["bob"])
    assert positions(queue, room, "bob") == []
    assert positions(queue, room, "rita") == [1]


def test_a_skip_is_undone(room: Room) -> None:
    queue, bob = make_queue(room, runs=[make_run(room, [1])]), room.users["bob"]
    labelling.skip(item(queue), bob)
    labelling.undo(item(queue), bob)
    assert positions(queue, room, "bob") == [1]


def test_a_labelled_item_is_not_skipped(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    labelling.save(item(queue), bob, given())
    with pytest.raises(InvalidInput, match="undo"):
        labelling.skip(item(queue), bob)


def test_a_label_is_blind_until_the_verdict_was_shown(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    assert labelling.reveal(item(queue), bob) is False
    labelling.save(item(queue), bob, given("yes"))
    labelling.save(item(queue), bob, given("unsure"))
    assert StepLabel.objects.get().blind is True
    assert labelling.reveal(item(queue), bob) is True
    labelling.save(item(queue), bob, given("no"))
    assert [r.blind for r in LabelRevision.objects.order_by("number")] == [True, True, False]


def test_undoing_after_the_reveal_does_not_make_it_blind_again(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    labelling.save(item(queue), bob, given())
    labelling.reveal(item(queue), bob)
    labelling.undo(item(queue), bob)
    labelling.save(item(queue), bob, given("no"))
    assert StepLabel.objects.get().blind is False


def test_a_label_says_that_the_run_was_opened_before(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    Opening.objects.create(run_uuid=item(queue).run_uuid, user=bob, at=timezone.now())
    labelling.save(item(queue), bob, given())
    assert StepLabel.objects.get().opened is True


def test_what_a_reviewer_does_is_in_the_audit_log_without_the_answer(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    before = AuditEntry.objects.count()
    labelling.save(item(queue), bob, given("unsure", comment="CANARY"))
    labelling.save(item(queue), bob, given("no"))
    labelling.undo(item(queue), bob)
    labelling.skip(item(queue), bob)
    entries = list(AuditEntry.objects.order_by("id")[before:])
    assert [entry.action for entry in entries] == [
        "label.saved",
        "label.changed",
        "label.undone",
        "label.skipped",
    ]
    told = "".join(f"{entry.words}{entry.detail}" for entry in entries)
    assert "CANARY" not in told
    assert "unsure" not in told


# --- the database keeps it ----------------------------------------------------------------------
@pytest.mark.parametrize("sql", ["UPDATE {} SET number = 9", "DELETE FROM {}"])
def test_revisions_are_append_only(room: Room, sql: str) -> None:
    labelling.save(item(make_queue(room)), room.users["bob"], given())
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(sql.format("review_labelrevision"))


def test_a_label_set_is_deleted_with_all_its_labels(room: Room) -> None:
    queue = make_queue(room)
    labelling.save(item(queue), room.users["bob"], given())
    queue.label_set.delete()
    assert StepLabel.objects.count() == LabelRevision.objects.count() == Item.objects.count() == 0


# --- what waits for whom ------------------------------------------------------------------------
def test_who_has_labelled_everything_has_nothing_waiting(room: Room) -> None:
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1, 0])])
    bob, rita = room.users["bob"], room.users["rita"]
    labelling.save(item(queue, 1), bob, given())
    assert reads.waiting_for(bob, room.workspace.pk, 100) == 1
    labelling.save(item(queue, 2), bob, given(seconds=60.0))
    assert reads.waiting_for(bob, room.workspace.pk, 100) == 0
    assert reads.waiting_for(rita, room.workspace.pk, 100) == 2
    told = reads.progress(queue, bob)
    assert (told.total, told.done, told.mine, told.open, told.left_s) == (2, 0, 2, 0, 0.0)
    assert reads.progress(queue, rita).open == 2
    [his], [hers] = (
        reads.queue_rows([queue.label_set], one)[queue.label_set_id] for one in (bob, rita)
    )
    assert (his.given, his.left, hers.given, hers.left) == (2, False, 0, True)


def test_neither_what_was_skipped_nor_what_is_dealt_to_others_waits(room: Room) -> None:
    bob, rita = room.users["bob"], room.users["rita"]
    queue = make_queue(room, runs=[make_run(room, [1] * 4)], people=[bob, rita], dealt=True)
    assert reads.waiting_for(bob, room.workspace.pk, 100) == 2
    labelling.skip(item(queue, 1), bob)
    assert reads.waiting_for(bob, room.workspace.pk, 100) == 1


def test_the_page_offers_labelling_only_where_something_is_open(room: Room, alice: Client) -> None:
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1])])
    address = f"/review/queues/{queue.uuid}/"
    assert address in alice.get("/review/").content.decode()
    labelling.save(item(queue, 1), room.users["alice"], given())
    page = alice.get("/review/").content.decode()
    assert f'href="{address}"' not in page
    assert "You have labelled all" in page
