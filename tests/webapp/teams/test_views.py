"""Members, roles, tokens, and the way in and out."""

from __future__ import annotations

from django.test import Client

from tests.webapp.personas import Room
from webapp.teams.models import AuditEntry, Membership, Token, User


def pk(room: Room, name: str) -> int:
    return Membership.objects.get(user=room.users[name], workspace=room.workspace).pk


def test_an_owner_adds_promotes_and_removes(alice: Client, room: Room) -> None:
    alice.post("/teams/members/add/", {"username": "charlie", "role": "viewer"})
    alice.post(f"/teams/members/{pk(room, 'charlie')}/role/", {"role": "member"})
    assert Membership.objects.get(pk=pk(room, "charlie")).role == "member"
    alice.post(f"/teams/members/{pk(room, 'charlie')}/remove/")
    assert not Membership.objects.filter(user=room.users["charlie"], workspace=room.workspace)


def test_unknown_people_and_members_are_refused_with_words(alice: Client, room: Room) -> None:
    unknown = alice.post("/teams/members/add/", {"username": "nobody", "role": "viewer"})
    again = alice.post("/teams/members/add/", {"username": "bob", "role": "viewer"})
    assert "There is no account named nobody" in unknown.content.decode()
    assert "bob is a member already" in again.content.decode()


def test_the_last_owner_stays(alice: Client, room: Room) -> None:
    for path, data in (("role", {"role": "viewer"}), ("remove", {})):
        answer = alice.post(f"/teams/members/{pk(room, 'alice')}/{path}/", data, follow=True)
        assert "needs an owner" in answer.content.decode()
    assert Membership.objects.get(pk=pk(room, "alice")).role == "owner"


def test_another_rooms_member_cannot_be_touched(room: Room) -> None:
    answer = room.client("charlie").post(f"/teams/members/{pk(room, 'bob')}/remove/")
    assert answer.status_code == 404


def test_a_tokens_secret_is_shown_once_and_works_until_revoked(bob: Client, room: Room) -> None:
    answer = bob.post("/teams/tokens/add/", {"name": "notebook"})
    secret = answer.content.decode().split("data-secret>")[1].split("<")[0]
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert secret not in bob.get("/teams/").content.decode()
    assert Client().get("/api/v1/runs", HTTP_AUTHORIZATION=f"Bearer {secret}").status_code == 200
    bob.post(f"/teams/tokens/{Token.objects.get().pk}/revoke/")
    assert Client().get("/api/v1/runs", HTTP_AUTHORIZATION=f"Bearer {secret}").status_code == 401


def test_nobody_revokes_anothers_token(alice: Client, room: Room) -> None:
    token, _ = Token.objects.issue(room.users["bob"], "his")
    assert alice.post(f"/teams/tokens/{token.pk}/revoke/").status_code == 404


def test_switching_rooms_changes_what_the_list_shows(room: Room) -> None:
    Membership.objects.create(user=room.users["charlie"], workspace=room.workspace, role="member")
    room.submit(question="Only in the first room?")
    charlie = room.client("charlie")
    assert "Only in the first room?" not in charlie.get("/").content.decode()
    charlie.post("/teams/switch/", {"workspace": str(room.workspace.uuid)})
    assert "Only in the first room?" in charlie.get("/").content.decode()


def test_signing_in_and_out(room: Room) -> None:
    User.objects.create_user("dora", password="a long password 1")
    client = Client()
    wrong = client.post("/login/", {"username": "dora", "password": "wrong"})
    assert "correct username and password" in wrong.content.decode()
    assert (
        client.post("/login/", {"username": "dora", "password": "a long password 1"}).status_code
        == 302
    )
    assert client.get("/").status_code == 404  # no workspace yet, and the page says so
    client.post("/logout/")
    assert client.get("/").headers["Location"].startswith("/login/")


def test_every_form_needs_its_token(room: Room) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(room.users["alice"], backend="django.contrib.auth.backends.ModelBackend")
    run = room.submit()
    for url in (
        "/runs/new/",
        f"/runs/{run.uuid}/cancel/",
        "/teams/tokens/add/",
        "/tiers/ladders/new/",
        "/logout/",
    ):
        answer = strict.post(url)
        assert answer.status_code == 403, url
    assert "form was refused" in answer.content.decode()


def test_settings_are_stored_and_each_change_is_recorded(alice: Client, room: Room) -> None:
    alice.post("/teams/settings/", {"name": "Annex"})
    alice.post("/teams/settings/", {"name": "Annex"})
    room.workspace.refresh_from_db()
    assert (room.workspace.name, room.workspace.blind_review) == ("Annex", False)
    changes = AuditEntry.objects.filter(action="setting.changed").order_by("id")
    assert [(one.target, one.detail) for one in changes] == [
        ("name", {"from": "Room", "to": "Annex"}),
        ("blind_review", {"from": True, "to": False}),
    ]


def test_a_workspace_keeps_a_name(alice: Client, room: Room) -> None:
    for name in ("  ", "a\u202eb", "x" * 81):
        assert alice.post("/teams/settings/", {"name": name}).status_code == 422
    room.workspace.refresh_from_db()
    assert (room.workspace.name, room.workspace.blind_review) == ("Room", True)


def test_a_removed_members_token_opens_nothing_any_more(alice: Client, room: Room) -> None:
    run, bearer = room.submit(), room.bearer("bob")
    assert Client().get(f"/api/v1/runs/{run.uuid}", **bearer).status_code == 200
    alice.post(f"/teams/members/{pk(room, 'bob')}/remove/")
    assert Client().get(f"/api/v1/runs/{run.uuid}", **bearer).status_code == 404
    assert Client().post(f"/api/v1/runs/{run.uuid}/cancel", **bearer).status_code == 404
    assert Client().get("/api/v1/runs", **bearer).status_code == 404
