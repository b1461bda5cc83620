from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from collab_core import events as ev
from collab_core.domain import Totals
from tests.webapp.personas import Room, make_room
from tests.webapp.runs.sockets import Socket
from tests.webapp.runs.test_fold import finished
from webapp.asgi import application
from webapp.runs import reads, watchdog
from webapp.runs.consumers import cursor_of
from webapp.runs.hub import HUB
from webapp.runs.models import Run
from webapp.runs.services import _insert
from webapp.teams.access import membership_changed
from webapp.teams.models import Membership, User

pytestmark = pytest.mark.django_db(transaction=True)
END = ev.RunCancelled(by="bob", totals=Totals())
ORIGIN = (b"origin", b"http://testserver")
HOST = (b"host", b"testserver")


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


@pytest.fixture(autouse=True)
async def _quiet_afterwards() -> AsyncIterator[None]:
    yield
    assert not watchdog._process.guarded, "a socket was left open"


def cookies(client: Client) -> list[tuple[bytes, bytes]]:
    name = django_settings.SESSION_COOKIE_NAME
    return [(b"cookie", f"{name}={client.cookies[name].value}".encode())]


def socket(
    run: Run, client: Client | None, *, since: str = "", headers: Any = (HOST, ORIGIN)
) -> Socket:
    signed_in = cookies(client) if client else []
    path = f"/ws/runs/{run.uuid}/" + (f"?since={since}" if since else "")
    return Socket(application, path, headers=[*headers, *signed_in])


async def received(ws: Socket, until: int) -> list[int]:
    """Return the seqs that arrive until ``until`` does."""
    seqs: list[int] = []
    while not seqs or seqs[-1] < until:
        message = json.loads(await ws.receive_from(timeout=5))
        if message["type"] == "hello":
            continue
        seqs.append(message["seq"])
    return seqs


async def opened(ws: Socket) -> dict[str, Any]:
    connected, _ = await ws.connect(timeout=5)
    assert connected
    hello: dict[str, Any] = json.loads(await ws.receive_from(timeout=5))
    assert hello["type"] == "hello"
    return hello


def store(run: Run, *events: ev.AnyEvent, ring: bool = True) -> None:
    """Append like a worker does; without ``ring`` the doorbell is lost."""
    first = Run.objects.get(pk=run.pk).next_seq
    _insert(run.pk, first, 1.0, events)
    Run.objects.filter(pk=run.pk).update(next_seq=first + len(events))
    if ring:
        frames = [
            (first + i, ev.frame(first + i, 1.0, ev.encode_body(e))) for i, e in enumerate(events)
        ]
        HUB.ring(run.pk, frames)


astore = sync_to_async(store)


@sync_to_async
def a_run(room: Room, steps: int = 0) -> Run:
    run = room.submit()
    if steps:
        store(run, *(finished(i + 1) for i in range(steps)), ring=False)
    return run


async def client_of(room: Room, name: str) -> Client:
    return await sync_to_async(room.client)(name)


async def test_a_member_gets_the_log_and_then_what_happens(room: Room) -> None:
    run = await a_run(room, steps=3)
    ws = socket(run, await client_of(room, "vera"))
    assert (await opened(ws))["head"] == 3
    assert await received(ws, 3) == [0, 1, 2, 3]
    await astore(run, finished(4), END)
    assert await received(ws, 5) == [4, 5]
    await ws.disconnect()


@pytest.mark.parametrize(
    ("since", "expected"),
    [("", 0), ("0", 1), ("2", 3), ("-5", 0), ("x", 0), ("9" * 40, 0), ("%00", 0), ("٣", 0)],
)
async def test_it_goes_on_after_the_cursor(room: Room, since: str, expected: int) -> None:
    run = await a_run(room, steps=4)
    ws = socket(run, await client_of(room, "alice"), since=since)
    await opened(ws)
    assert await received(ws, 4) == list(range(expected, 5))
    await ws.disconnect()


async def test_a_cursor_beyond_the_head_gets_only_what_is_new(room: Room) -> None:
    run = await a_run(room, steps=2)
    ws = socket(run, await client_of(room, "alice"), since="700")
    assert (await opened(ws))["head"] == 2
    await astore(run, finished(3))
    assert await received(ws, 3) == [3]
    await ws.disconnect()


async def test_a_lost_doorbell_is_made_good(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "HEAD_CHECK_S", 0.1)
    run = await a_run(room)
    ws = socket(run, await client_of(room, "alice"))
    await opened(ws)
    await received(ws, 0)
    await astore(run, finished(1), END, ring=False)
    assert await received(ws, 2) == [1, 2]
    await ws.disconnect()


@pytest.mark.parametrize("seed", range(5))
async def test_every_event_arrives_once_and_in_order_however_the_doorbell_behaves(
    room: Room, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Frames get lost, doubled, swapped; sockets drop and come back with their cursor."""
    monkeypatch.setattr(watchdog, "HEAD_CHECK_S", 0.1)
    chance = random.Random(seed)
    run, client = await a_run(room), await client_of(room, "bob")
    total, seen = 60, []

    async def write() -> None:
        for number in range(1, total + 1):
            await astore(run, finished(number), ring=False)
            tail = reads.Tail(*await sync_to_async(reads.events_since)(run.pk, number - 3))
            for frame in chance.sample(tail.frames, chance.randint(0, len(tail.frames))):
                HUB.ring(run.pk, [frame])

    writing = asyncio.create_task(write())
    while not seen or seen[-1] < total:
        ws = socket(run, client, since=str(seen[-1]) if seen else "")
        await opened(ws)
        stay = chance.randint(1, 25)
        while stay and (not seen or seen[-1] < total):
            seen.append(json.loads(await ws.receive_from(timeout=5))["seq"])
            stay -= 1
        await ws.disconnect()
    await writing
    assert seen == list(range(total + 1))


# --- who may not --------------------------------------------------------------------------------
async def refused(ws: Socket) -> int:
    """Return the close code; nothing else may have been sent."""
    connected, code = await ws.connect(timeout=5)
    if connected:
        message = await ws.receive_output(timeout=5)
        assert message["type"] == "websocket.close", message
        code = message["code"]
    await ws.disconnect()
    return int(code or 0)


async def test_anonymous_is_told_to_sign_in(room: Room) -> None:
    assert await refused(socket(await a_run(room), None)) == 4401


async def test_a_stranger_and_a_wrong_address_look_the_same(room: Room) -> None:
    run, charlie = await a_run(room), await client_of(room, "charlie")
    assert await refused(socket(run, charlie)) == 4404
    missing = Run(uuid="00000000-0000-0000-0000-000000000000")
    assert await refused(socket(missing, charlie)) == 4404


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"null",
        b"https://testserver",
        b"http://testserver:81",
        b"http://testserver.evil.com",
        b"http://eviltestserver",
        b"http://evil.com",
        b"file://",
    ],
)
async def test_other_pages_cannot_open_a_socket(room: Room, origin: bytes | None) -> None:
    headers = [HOST] + ([(b"origin", origin)] if origin is not None else [])
    ws = socket(await a_run(room), await client_of(room, "alice"), headers=headers)
    connected, _ = await ws.connect(timeout=5)
    assert not connected


async def test_a_host_that_is_not_ours_is_refused(room: Room) -> None:
    headers = [(b"host", b"evil.com"), (b"origin", b"http://evil.com")]
    ws = socket(await a_run(room), await client_of(room, "alice"), headers=headers)
    connected, _ = await ws.connect(timeout=5)
    assert not connected


async def ended(ws: Socket) -> int:
    while True:
        message = await ws.receive_output(timeout=5)
        if message["type"] == "websocket.close":
            await ws.disconnect()
            return int(message["code"])


@sync_to_async
def take_away(right: str, user: User, client: Client) -> None:
    if right == "membership":
        Membership.objects.filter(user=user).delete()
    elif right == "account":
        User.objects.filter(pk=user.pk).update(is_active=False)
    else:
        SessionStore(client.session.session_key).delete()


@pytest.mark.parametrize("right", ["membership", "account", "session"])
async def test_an_open_socket_ends_with_the_right_it_lives_on(
    room: Room, settings: Any, right: str
) -> None:
    settings.TANDEM = settings.TANDEM | {"recheck_s": 0.2}
    run, bob = await a_run(room), await client_of(room, "bob")
    ws = socket(run, bob)
    await opened(ws)
    await received(ws, 0)
    await take_away(right, room.users["bob"], bob)
    assert await ended(ws) == 4409


async def test_a_control_message_makes_it_end_at_once(room: Room, settings: Any) -> None:
    settings.TANDEM = settings.TANDEM | {"recheck_s": 60}
    run, bob = await a_run(room), await client_of(room, "bob")
    ws = socket(run, bob)
    await opened(ws)
    await received(ws, 0)
    await take_away("membership", room.users["bob"], bob)
    await sync_to_async(membership_changed)(room.users["bob"].pk)
    assert await ended(ws) == 4409


async def test_what_a_browser_sends_is_ignored(room: Room) -> None:
    run = await a_run(room)
    ws = socket(run, await client_of(room, "alice"))
    await opened(ws)
    await received(ws, 0)
    await ws.send_to(text='{"type":"run.cancel"}')
    await ws.send_to(bytes=b"\xff")
    await astore(run, finished(1))
    assert await received(ws, 1) == [1]
    await ws.disconnect()


def test_a_cursor_is_a_plain_number_or_nothing() -> None:
    assert cursor_of(b"since=12") == 12
    assert [cursor_of(q) for q in (b"", b"since=", b"since=-1", b"since=1e3", b"a=1")] == [-1] * 5
