"""Comments: kept once, with their history, and told to whom they call."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db import Error as DatabaseError
from django.db import transaction
from django.http import Http404
from hypothesis import given
from hypothesis import strategies as st

from collab_core.errors import InvalidInput
from tests.webapp.personas import Room
from tests.webapp.runs.test_fold import finished
from webapp.discussion import reads, services
from webapp.discussion.mentions import MAX_TEXT, cleaned, mentioned
from webapp.discussion.models import Comment, Notification, Revision
from webapp.runs.models import Run, RunEvent
from webapp.runs.services import QuotaReached, _insert
from webapp.teams.models import AuditEntry, Membership


@pytest.fixture
def run(room: Room) -> Run:
    run = room.submit()
    _insert(run.pk, 1, 1.0, [finished(1), finished(2)])
    return run


def say(room: Room, run: Run, name: str, text: str, **more: object) -> Comment:
    return services.add(run, room.users[name], text, **({"uuid": uuid4()} | more))  # type: ignore[arg-type]


def told(room: Room) -> list[tuple[str, str]]:
    rows = Notification.objects.order_by("id").values_list("user__username", "reason")
    return [(name, reason) for name, reason in rows]


def test_the_same_comment_sent_twice_is_one(room: Room, run: Run) -> None:
    uuid = uuid4()
    first = say(room, run, "bob", "Look, @rita.", uuid=uuid)
    assert say(room, run, "bob", "Look, @rita.", uuid=uuid) == first
    assert Comment.objects.count() == Revision.objects.count() == 1
    with pytest.raises(InvalidInput, match="another comment"):
        say(room, run, "rita", "Mine.", uuid=uuid)


def test_who_is_called_and_whose_run_it_is_are_told_once(room: Room, run: Run) -> None:
    comment = say(room, run, "bob", "@Rita, @vera: see @rita, @nobody and bob@vera.org. @bob")
    assert sorted(told(room)) == [("alice", "own_run"), ("rita", "mention"), ("vera", "mention")]
    services.edit(comment, room.users["bob"], "@rita @alice")
    assert len(told(room)) == 3
    services.delete(comment, room.users["bob"])
    assert told(room) == []


def test_strangers_and_former_members_are_not_called(room: Room, run: Run) -> None:
    Membership.objects.filter(user=room.users["rita"]).delete()
    say(room, run, "alice", "@charlie @rita @everyone @all")
    assert told(room) == []


def test_a_comment_keeps_every_text_it_had(room: Room, run: Run) -> None:
    comment = say(room, run, "bob", "one", step=2)
    services.edit(comment, room.users["bob"], "two")
    services.edit(comment, room.users["bob"], "two")
    services.delete(comment, room.users["alice"])
    services.delete(comment, room.users["alice"])
    history = Revision.objects.order_by("number").values_list("text", "deleted", "by_name")
    assert list(history) == [("one", False, "bob"), ("two", False, "bob"), ("", True, "alice")]
    comment.refresh_from_db()
    assert (comment.text, comment.changes, comment.step) == ("", 2, 2)
    actions = AuditEntry.objects.filter(action__startswith="comment.").order_by("id")
    assert list(actions.values_list("action", "target")) == [
        (action, f"{run.ref}, step 2")
        for action in ("comment.added", "comment.changed", "comment.deleted")
    ]
    with pytest.raises(InvalidInput, match="deleted"):
        services.edit(comment, room.users["bob"], "three")


CHANGES: list[Callable[[], object]] = [
    lambda: Revision.objects.update(text="other"),
    lambda: Revision.objects.all().delete(),
]


@pytest.mark.parametrize("change", CHANGES, ids=["update", "delete"])
def test_the_history_cannot_be_changed(room: Room, run: Run, change: Callable[[], object]) -> None:
    say(room, run, "bob", "one")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change()


def test_comments_go_with_their_run_and_are_no_part_of_its_log(room: Room, run: Run) -> None:
    events = RunEvent.objects.count()
    say(room, run, "bob", "one")
    assert RunEvent.objects.count() == events
    run.delete()
    assert Revision.objects.count() == Comment.objects.count() == 0


def test_who_may_not_write_does_not(room: Room, run: Run) -> None:
    comment = say(room, run, "bob", "one")
    for name, error in (("vera", PermissionDenied), ("charlie", Http404)):
        with pytest.raises(error):
            say(room, run, name, "x")
        with pytest.raises(error):
            services.delete(comment, room.users[name])
    for change in (services.delete, lambda c, u: services.edit(c, u, "x")):
        with pytest.raises(PermissionDenied):
            change(comment, room.users["rita"])
    with pytest.raises(PermissionDenied):
        services.edit(comment, room.users["alice"], "an owner puts no words into mouths")


@pytest.mark.parametrize("step", [0, 3, 10**30])
def test_a_step_has_to_be_there(room: Room, run: Run, step: int) -> None:
    with pytest.raises(InvalidInput, match="has no step"):
        say(room, run, "bob", "x", step=step)


def test_a_flood_is_stopped(room: Room, run: Run) -> None:
    for number in range(services.A_MINUTE):
        say(room, run, "bob", str(number))
    with pytest.raises(QuotaReached, match="within the last minute"):
        say(room, run, "bob", "x")
    say(room, run, "rita", "others may")


def test_nobody_calls_everybody(room: Room, run: Run) -> None:
    from webapp.teams.models import User

    crowd = [User.objects.create_user(f"crowd{n}") for n in range(21)]
    Membership.objects.bulk_create(Membership(workspace=room.workspace, user=u) for u in crowd)
    with pytest.raises(InvalidInput, match="mentions 21"):
        say(room, run, "bob", " ".join(f"@{user.username}" for user in crowd))
    assert Comment.objects.count() == 0, "neither the comment nor a part of the calls is kept"
    assert told(room) == []


# --- blind review -------------------------------------------------------------------------------
def test_what_a_blind_reviewer_must_not_read_is_left_out(room: Room, run: Run) -> None:
    say(room, run, "bob", "the whole run is wrong")
    say(room, run, "bob", "one is fine", step=1)
    say(room, run, "bob", "two is false progress", step=2)
    say(room, run, "rita", "mine about two", step=2)
    seen = reads.visible_comments(room.users["rita"], run, blind_steps=[2])
    assert [one.text for one in seen] == ["one is fine", "mine about two"]
    assert reads.visible_comments(room.users["rita"], run).count() == 4
    assert reads.visible_comments(room.users["charlie"], run).count() == 0


def test_every_change_gives_another_version(room: Room, run: Run) -> None:
    seen = {reads.version(run)}
    first, second = say(room, run, "bob", "a"), say(room, run, "rita", "b")
    seen.add(reads.version(run))
    services.edit(first, room.users["bob"], "c")
    seen.add(reads.version(run))
    services.edit(second, room.users["rita"], "d")
    seen.add(reads.version(run))
    services.delete(first, room.users["bob"])
    seen.add(reads.version(run))
    assert len(seen) == 5


# --- hostile text -------------------------------------------------------------------------------
def test_marks_that_turn_or_hide_text_are_taken_out() -> None:
    assert cleaned("a\u202eb\u2066c\x00d\x1be\r\nf") == "abcde\nf"
    assert cleaned("שלום @bob") == "שלום @bob"
    assert cleaned("a" + "\u0301" * 50 + "b") == "a\u0301\u0301b"
    assert cleaned("\n\n\nx\n\n\n\n\ny\n") == "x\n\ny"
    assert cleaned("👩‍🔬") == "👩‍🔬"


@pytest.mark.parametrize("text", ["", "  \n ", "\u202e", "x" * (MAX_TEXT + 1)])
def test_nothing_and_too_much_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        cleaned(text)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@bob", ["bob"]),
        ("(@bob), @rita.", ["bob", "rita.", "rita"]),
        ("mail bob@rita.org", []),
        ("@@bob @", ["@bob"]),
        ("@bob @bob", ["bob"]),
    ],
)
def test_names_are_found(text: str, names: list[str]) -> None:
    assert mentioned(text) == names


@given(st.text(max_size=300))
def test_no_text_breaks_the_cleaning(text: str) -> None:
    try:
        kept = cleaned(text)
    except InvalidInput:
        return
    assert cleaned(kept) == kept
    assert not set(kept) & {"\u202e", "\x00", "\r"}
    assert all(mentioned(kept))


def test_a_uuid_of_the_writer_is_kept(room: Room, run: Run) -> None:
    wanted = UUID(int=7)
    assert say(room, run, "bob", "x", uuid=wanted).uuid == wanted
