"""Invitations: one person, one workspace, one role, once; and no way to learn who has an account."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.webapp.personas import Room
from tests.webapp.teams.test_audit import told
from tests.webapp.teams.test_views import pk
from webapp.teams import invitations
from webapp.teams.invitations import MAX_ATTEMPTS, AlreadyIn, NotForYou
from webapp.teams.models import Invitation, Membership, User

DORA = {"username": "dora", "email": "", "password1": "a long pass 1", "password2": "a long pass 1"}


def link(room: Room, *, role: str = "reviewer", only_for: str = "") -> str:
    secret = invitations.invite(
        room.workspace, room.users["alice"], role=role, days=7, only_for=only_for
    )
    return f"/invitations/{secret}/"


def role_of(room: Room, name: str) -> str | None:
    found = Membership.objects.filter(workspace=room.workspace, user__username=name)
    return found.values_list("role", flat=True).first()


def test_a_new_person_makes_an_account_and_lands_in_the_workspace(room: Room) -> None:
    path, dora = link(room), Client()
    assert "Join <bdi>Room</bdi>" in dora.get(path).content.decode()
    answer = dora.post(path, DORA, follow=True)
    assert answer.redirect_chain == [("/", 302)]
    assert answer.context["membership"].workspace == room.workspace
    assert role_of(room, "dora") == "reviewer"
    assert Client().login(username="dora", password="a long pass 1", request=answer.wsgi_request)


def test_somebody_with_an_account_joins_with_one_press(charlie: Client, room: Room) -> None:
    answer = charlie.post(link(room), follow=True)
    assert answer.context["membership"].workspace == room.workspace
    assert role_of(room, "charlie") == "reviewer"
    assert told(room)[-1] == ("charlie", "invitation.accepted", "whoever has the link")


def test_opening_a_link_uses_nothing_up(room: Room) -> None:
    path = link(room)
    for _ in range(3):
        assert Client().get(path).status_code == 200
    assert Client().post(path, DORA).status_code == 302


def test_a_link_works_once(charlie: Client, room: Room) -> None:
    path = link(room)
    charlie.post(path)
    assert Client().get(path).status_code == 404
    assert Client().post(path, DORA).status_code == 404
    assert not User.objects.filter(username="dora")


def test_two_who_opened_it_at_the_same_moment_do_not_both_get_in(room: Room) -> None:
    secret = link(room).split("/")[2]
    first, second = Invitation.objects.find(secret), Invitation.objects.find(secret)
    assert first is not None
    assert second is not None
    invitations.accept(first, room.users["charlie"])
    with pytest.raises(NotForYou):
        invitations.accept_as_new(second, User(username="dora"))
    assert not User.objects.filter(username="dora")


def test_every_dead_link_looks_the_same(alice: Client, room: Room) -> None:
    expired, revoked = link(room), link(room, only_for="expired-is-older")
    old, other = Invitation.objects.order_by("id")
    Invitation.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    alice.post(f"/teams/invitations/{other.uuid}/revoke/")
    pages = {Client().get(path).content for path in (expired, revoked, "/invitations/nonsense/")}
    assert len(pages) == 1
    assert Client().post(expired, DORA).status_code == 404
    assert not User.objects.filter(username="dora")


@pytest.mark.parametrize("how", ["remove", "role"])
def test_the_links_of_a_former_owner_die_with_the_ownership(room: Room, how: str) -> None:
    Membership.objects.filter(pk=pk(room, "bob")).update(role="owner")
    path = link(room)
    room.client("bob").post(f"/teams/members/{pk(room, 'alice')}/{how}/", {"role": "member"})
    assert Client().get(path).status_code == 404
    assert ("bob", "invitation.revoked", "whoever has the link") in told(room)


def test_a_link_leads_into_its_own_workspace_only(room: Room) -> None:
    """The signed-in person's other workspace, and whatever the form says, play no part."""
    path = link(room, role="viewer")
    room.client("charlie").post(path, {"workspace": str(room.other.uuid), "role": "owner"})
    assert role_of(room, "charlie") == "viewer"
    assert Membership.objects.get(workspace=room.other).user == room.users["charlie"]


def test_owners_see_and_revoke_their_own_workspaces_links_only(room: Room) -> None:
    path = link(room, only_for="somebody")
    one = Invitation.objects.get()
    charlie = room.client("charlie")
    assert "somebody" not in charlie.get("/teams/").content.decode()
    assert charlie.post(f"/teams/invitations/{one.uuid}/revoke/").status_code == 404
    assert Client().get(path).status_code == 200


def test_the_secret_is_shown_once_and_not_stored(alice: Client, room: Room) -> None:
    answer = alice.post("/teams/invitations/add/", {"role": "member", "days": "7"})
    shown = answer.content.decode().split("data-link>")[1].split("<")[0]
    secret = shown.rstrip("/").split("/")[-1]
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert shown.startswith("http://testserver/invitations/")
    assert secret not in alice.get("/teams/").content.decode()
    assert secret not in str(list(Invitation.objects.values()))
    assert Client().get(f"/invitations/{secret}/").status_code == 200


def test_a_link_for_one_name_or_address_refuses_others(charlie: Client, room: Room) -> None:
    named, addressed = link(room, only_for="Bo.b"), link(room, only_for="dora@example.org")
    assert charlie.post(named).status_code == 403
    assert Client().post(addressed, DORA).status_code == 403
    assert not User.objects.filter(username="dora")
    assert Client().post(addressed, DORA | {"email": "Dora@example.org"}).status_code == 302
    assert "Bo.b" not in Client().get(named).content.decode()


def test_a_member_keeps_the_role_and_the_link_stays(bob: Client, room: Room) -> None:
    path = link(room, role="owner")
    assert bob.post(path).status_code == 409
    assert role_of(room, "bob") == "member"
    with pytest.raises(AlreadyIn):
        invitations.accept(Invitation.objects.get(), room.users["rita"])
    assert Client().get(path).status_code == 200


def test_it_is_no_way_to_guess_names(room: Room) -> None:
    path = link(room)
    for _ in range(MAX_ATTEMPTS):
        answer = Client().post(path, DORA | {"username": "ALICE"})
        assert answer.status_code == 422
    answer = Client().post(path, DORA)
    assert (answer.status_code, "too often" in answer.content.decode()) == (403, True)
    assert not User.objects.filter(username="dora")


@pytest.mark.parametrize("password", ["short1", "password123", "dora-the-dora"])
def test_weak_passwords_are_refused_in_words(room: Room, password: str) -> None:
    form = DORA | {
        "username": "dora-the-dora",
        "password1": password,
        "password2": password,
    }
    answer = Client().post(link(room), form)
    assert answer.status_code == 422
    assert 'class="error"' in answer.content.decode()
    assert not User.objects.filter(username="dora-the-dora")


def test_accepting_needs_the_forms_token(room: Room) -> None:
    assert Client(enforce_csrf_checks=True).post(link(room), DORA).status_code == 403


@pytest.mark.parametrize(
    "form",
    [{"role": "king", "days": "7"}, {"role": "member", "days": "365"}, {"role": "member"}],
)
def test_what_cannot_be_offered_is_refused(alice: Client, room: Room, form: dict[str, str]) -> None:
    assert alice.post("/teams/invitations/add/", form).status_code == 422
    assert not Invitation.objects.exists()


def test_nothing_of_it_needs_redis(
    room: Room, settings: Any, django_capture_on_commit_callbacks: Any
) -> None:
    """The cache and the channel layer point at a port where nobody listens."""
    dead = "redis://127.0.0.1:1/0"
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": dead}
    }
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [dead]},
        }
    }
    dora = Client()
    assert dora.post(link(room), DORA).status_code == 302
    assert role_of(room, "dora") == "reviewer"
    member = Membership.objects.get(user__username="dora").pk
    with django_capture_on_commit_callbacks(execute=True) as called:
        room.client("alice").post(f"/teams/members/{member}/remove/")
    assert len(called) == 1, "the sockets are told, or it is tried"
    assert role_of(room, "dora") is None
    assert dora.get("/").status_code == 404
