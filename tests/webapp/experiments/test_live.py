from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import Client

from tests.webapp.experiments.material import make_experiment
from tests.webapp.personas import Room, make_room
from tests.webapp.runs.sockets import Socket
from tests.webapp.runs.test_consumers import HOST, ORIGIN, client_of, cookies, ended
from webapp.asgi import application
from webapp.experiments import feeding
from webapp.experiments.models import Experiment
from webapp.runs import watchdog
from webapp.teams.models import Membership
from webapp.teams.services import remove_member

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


@pytest.fixture(autouse=True)
async def _quiet_afterwards() -> AsyncIterator[None]:
    yield
    assert not watchdog._process.guarded, "a socket was left open"


def socket(made: Experiment, client: Client | None, headers: Any = (HOST, ORIGIN)) -> Socket:
    signed_in = cookies(client) if client else []
    return Socket(application, f"/ws/experiments/{made.uuid}/", [*headers, *signed_in])


async def news(ws: Socket) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await ws.receive_from())
    return message


async def test_a_viewer_sees_how_far_it_is_and_then_what_changes(room: Room) -> None:
    made = await sync_to_async(make_experiment)(room, tasks=2)
    ws = socket(made, await client_of(room, "vera"))
    await ws.connect()
    first = await news(ws)
    assert (first["pending"], first["running"], first["status"]) == (4, 0, "running")
    await sync_to_async(feeding.feed)()
    second = await news(ws)
    assert (second["pending"], second["running"]) == (0, 4)
    assert second["revision"] > first["revision"]
    await ws.disconnect()


@pytest.mark.parametrize(("name", "code"), [("charlie", 4404), (None, 4401)])
async def test_strangers_and_nobody_are_refused(room: Room, name: str | None, code: int) -> None:
    made = await sync_to_async(make_experiment)(room)
    client = await client_of(room, name) if name else None
    ws = socket(made, client)
    await ws.connect()
    assert await ended(ws) == code


@pytest.mark.parametrize("origin", [b"http://evil.example", b"null", None])
async def test_another_origin_is_refused(room: Room, origin: bytes | None) -> None:
    made = await sync_to_async(make_experiment)(room)
    headers = [HOST, *([(b"origin", origin)] if origin else [])]
    ws = socket(made, await client_of(room, "alice"), headers)
    connected, _ = await ws.connect()
    assert not connected


async def test_it_closes_when_the_membership_ends(room: Room) -> None:
    made = await sync_to_async(make_experiment)(room)
    ws = socket(made, await client_of(room, "bob"))
    await ws.connect()
    await news(ws)
    bob = await sync_to_async(Membership.objects.get)(user=room.users["bob"])
    await sync_to_async(remove_member)(bob, by=room.users["alice"])
    assert await ended(ws) == 4409
