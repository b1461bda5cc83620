from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from tests.webapp.personas import Room
from webapp.runs.tasks import CANARY, canary
from webapp.teams.models import Token


def sign_in(client: Client, password: str, user: str = "alice", **headers: str) -> int:
    form = {"username": user, "password": password}
    return client.post("/login/", form, **headers).status_code


def test_too_many_wrong_passwords_lock_the_right_one_out_too(room: Room, settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    for name in ("alice", "bob"):
        room.users[name].set_password("correct horse")
        room.users[name].save()
    client = Client()
    for number in range(3):
        sign_in(client, "wrong", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}")
    assert sign_in(client, "correct horse") == 429
    assert sign_in(client, "correct horse", HTTP_X_FORWARDED_FOR="10.9.9.9") == 429
    assert sign_in(Client(), "correct horse", user="bob") == 302


def test_an_unknown_user_gets_the_same_answer_as_a_wrong_password(room: Room) -> None:
    unknown = Client().post("/login/", {"username": "nobody", "password": "x"})
    wrong = Client().post("/login/", {"username": "alice", "password": "x"})
    assert unknown.status_code == wrong.status_code == 200
    message = b"Please enter a correct username and password"
    assert (message in unknown.content) == (message in wrong.content)


def test_one_cannot_be_sent_elsewhere_after_signing_in(room: Room) -> None:
    room.users["alice"].set_password("pw")
    room.users["alice"].save()
    form = {"username": "alice", "password": "pw", "next": "https://evil.example"}
    assert Client().post("/login/", form).headers["Location"] == "/"


def test_a_token_is_issued_on_the_command_line(room: Room) -> None:
    out = StringIO()
    call_command("issue_token", "alice", stdout=out)
    token = Token.objects.find(out.getvalue().strip())
    assert token is not None
    assert token.user == room.users["alice"]


def test_no_token_for_nobody(db: None) -> None:
    with pytest.raises(CommandError, match="no active user"):
        call_command("issue_token", "nobody")


def test_ready_means_that_a_worker_consumes(client: Client, db: None) -> None:
    cache.clear()
    waiting = client.get("/readyz")
    assert (waiting.status_code, list(waiting.json()["problems"])) == (503, ["worker"])
    canary()
    assert client.get("/readyz").status_code == 200
    cache.set(CANARY, 0.0)
    assert client.get("/readyz").status_code == 503


def test_alive_needs_no_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_workspace_of_others_cannot_become_the_active_one(room: Room, bob: Client) -> None:
    from webapp.teams.access import SESSION_KEY

    session = bob.session
    session[SESSION_KEY] = str(room.other.uuid)
    session.save()
    run = room.submit()
    assert bob.get("/").context["membership"].workspace == room.workspace
    assert bob.get(f"/runs/{run.uuid}/").status_code == 200
