"""The audit log: written with the change, never changed, gone only with its workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import Error as DatabaseError
from django.db import transaction
from django.test import Client

from tests.webapp.personas import Room
from tests.webapp.teams.test_views import pk
from webapp.runs import services as runs
from webapp.teams import services
from webapp.teams.audit import MAX_TEXT, Action, Entry, record, record_all
from webapp.teams.models import AuditEntry, Membership, Token
from webapp.tiers.models import Rung


def told(room: Room) -> list[tuple[str, str, str]]:
    """Return (actor, action, target) of the room's log, oldest first."""
    found = AuditEntry.objects.filter(workspace=room.workspace).order_by("id")
    return list(found.values_list("actor_name", "action", "target"))


def test_what_happens_to_members_is_recorded(alice: Client, room: Room) -> None:
    alice.post("/teams/members/add/", {"username": "charlie", "role": "viewer"})
    alice.post(f"/teams/members/{pk(room, 'charlie')}/role/", {"role": "reviewer"})
    alice.post(f"/teams/members/{pk(room, 'charlie')}/role/", {"role": "reviewer"})
    alice.post(f"/teams/members/{pk(room, 'charlie')}/remove/")
    assert told(room) == [
        ("alice", "member.added", "charlie"),
        ("alice", "role.changed", "charlie"),
        ("alice", "member.removed", "charlie"),
    ]
    assert AuditEntry.objects.get(action="role.changed").detail == {
        "from": "viewer",
        "to": "reviewer",
    }


def test_a_refused_change_leaves_no_entry(alice: Client, bob: Client, room: Room) -> None:
    alice.post(f"/teams/members/{pk(room, 'alice')}/remove/")
    alice.post("/teams/members/add/", {"username": "nobody", "role": "viewer"})
    bob.post("/teams/members/add/", {"username": "charlie", "role": "viewer"})
    assert told(room) == []


def test_a_token_is_recorded_in_every_workspace_of_its_user(room: Room) -> None:
    Membership.objects.create(user=room.users["charlie"], workspace=room.workspace)
    secret = services.issue_token(room.users["charlie"], "notebook", by=None)
    services.revoke_token(Token.objects.get(), by=room.users["charlie"])
    services.revoke_token(Token.objects.get(), by=room.users["charlie"])
    assert told(room) == [
        ("", "token.issued", "notebook"),
        ("charlie", "token.revoked", "notebook"),
    ]
    assert AuditEntry.objects.filter(workspace=room.other).count() == 2
    assert not any(secret in str(row) for row in AuditEntry.objects.values())


def test_runs_are_recorded_once_each(room: Room) -> None:
    first, second = runs.submit(
        room.workspace,
        room.users["bob"],
        room.submission(strategies=[("small", {}), ("large", {})], idempotency_key="k"),
    )
    runs.submit(
        room.workspace,
        room.users["bob"],
        room.submission(strategies=[("small", {}), ("large", {})], idempotency_key="k"),
    )
    runs.cancel(first, room.users["alice"])
    runs.cancel(first, room.users["alice"])
    assert told(room) == [
        ("bob", "run.submitted", first.ref),
        ("bob", "run.submitted", second.ref),
        ("alice", "run.cancelled", first.ref),
    ]
    assert AuditEntry.objects.latest("id").url == f"/runs/{first.uuid}/"


ENDPOINT = {
    "name": "gpu",
    "base_url": "http://gpu1:8000/v1",
    "model": "m",
    "api_key_env": "GPU_API_KEY",
    "context_tokens": "1000",
    "max_concurrency": "4",
    "connect_timeout_s": "5",
    "first_byte_timeout_s": "60",
    "between_chunks_timeout_s": "60",
    "total_timeout_s": "600",
}


def test_endpoints_and_ladders_are_recorded_with_what_changed(alice: Client, room: Room) -> None:
    alice.post("/tiers/endpoints/new/", ENDPOINT)
    alice.post("/tiers/ladders/new/", {"name": "tall"})
    rung = Rung.objects.filter(ladder=room.ladder).latest("position")
    alice.post(f"/tiers/ladders/{room.ladder.uuid}/rungs/{rung.position}/remove/")
    alice.post(f"/tiers/ladders/{room.ladder.uuid}/rungs/99/remove/")
    assert told(room) == [
        ("alice", "endpoint.added", "gpu"),
        ("alice", "ladder.added", "tall"),
        ("alice", "ladder.changed", room.ladder.name),
    ]
    added = AuditEntry.objects.get(action="endpoint.added").detail
    assert (added["api_key_env"], added["max_concurrency"]) == ("GPU_API_KEY", 4)
    assert AuditEntry.objects.latest("id").detail == {"tier_removed": rung.tier_name}


# --- the log itself -----------------------------------------------------------------------------
def entry(room: Room, **fields: Any) -> AuditEntry:
    record(room.workspace, room.users["bob"], Action.LABEL_SAVED, **fields)
    return AuditEntry.objects.latest("id")


CHANGES: list[Callable[[AuditEntry], object]] = [
    lambda one: AuditEntry.objects.filter(pk=one.pk).update(target="other"),
    lambda one: AuditEntry.objects.filter(pk=one.pk).delete(),
]


@pytest.mark.parametrize("change", CHANGES, ids=["update", "delete"])
def test_the_database_refuses_to_change_an_entry(
    room: Room, change: Callable[[AuditEntry], object]
) -> None:
    one = entry(room, target="run-1, step 3")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change(one)
    assert AuditEntry.objects.get().target == "run-1, step 3"


def test_a_deleted_account_stays_in_the_log(room: Room) -> None:
    entry(room, target="run-1")
    room.users["bob"].delete()
    assert told(room) == [("bob", "label.saved", "run-1")]


def test_the_log_goes_with_its_workspace_only(room: Room) -> None:
    entry(room)
    record(room.other, None, Action.SETTING_CHANGED)
    Rung.objects.all().delete()
    room.workspace.delete()
    assert [one.workspace_id for one in AuditEntry.objects.all()] == [room.other.pk]


@pytest.mark.parametrize("key", ["secret", "password", "token", "api_key", "digest"])
def test_what_looks_like_a_secret_is_refused(room: Room, key: str) -> None:
    with pytest.raises(ValueError, match="looks like a secret"):
        entry(room, detail={"outer": {key: "x"}})
    assert told(room) == []


def test_hostile_words_are_kept_short_and_on_one_line(room: Room) -> None:
    one = entry(room, target="a\x00b\n\u202ec" + "d" * 999, detail={"why": "x" * 9_999})
    assert one.target.startswith("a b  cd")
    assert (len(one.target), len(one.detail["why"])) == (200, MAX_TEXT)


def test_many_entries_keep_their_order_in_few_queries(
    room: Room, django_assert_max_num_queries: Any
) -> None:
    entries = [Entry(action=Action.LABEL_SAVED, target=f"step {n}") for n in range(400)]
    with django_assert_max_num_queries(8):
        record_all(room.workspace, room.users["rita"], entries)
    assert [target for _, _, target in told(room)] == [f"step {n}" for n in range(400)]
