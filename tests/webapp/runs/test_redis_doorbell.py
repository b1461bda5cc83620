"""The doorbell on a real Redis: two processes' worth of code, one stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from collab_core.events import ModelDelta, encode_body
from tests.services import RedisServer, wait_for
from tests.webapp.personas import Room, make_room
from tests.webapp.runs.test_consumers import (
    a_run,
    client_of,
    ended,
    finished,
    opened,
    received,
    socket,
    store,
    take_away,
)
from webapp.runs import reads, watchdog
from webapp.runs.publisher import STREAM, RedisPublisher
from webapp.teams.access import membership_changed

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


@pytest.fixture
def bell(redis_server: RedisServer, settings: Any) -> Iterator[RedisPublisher]:
    settings.REDIS_URL = redis_server.url
    redis_server.flush()
    bell = RedisPublisher(redis_server.url)
    yield bell
    bell.close()


def stored_and_rung(run: Any, bell: RedisPublisher, number: int) -> None:
    store(run, finished(number), ring=False)
    bell.ring(run.pk, reads.events_since(run.pk, number - 1).frames)


async def test_frames_travel_through_the_stream(room: Room, bell: RedisPublisher) -> None:
    run = await a_run(room)
    ws = socket(run, await client_of(room, "bob"))
    await opened(ws)
    await received(ws, 0)
    for number in range(1, 21):
        await sync_to_async(stored_and_rung)(run, bell, number)
    assert await received(ws, 20) == list(range(1, 21))
    await ws.disconnect()


async def test_workers_learn_what_is_watched_and_send_its_text(
    room: Room, bell: RedisPublisher
) -> None:
    run = await a_run(room)
    assert await asyncio.to_thread(bell.watched, [run.pk]) == set()
    ws = socket(run, await client_of(room, "bob"))
    await opened(ws)
    await received(ws, 0)
    for _ in range(50):
        if await asyncio.to_thread(bell.watched, [run.pk, 999_999]) == {run.pk}:
            break
        await asyncio.sleep(0.1)
    bell.ring_delta(run.pk, encode_body(ModelDelta(step=1, offset=0, text="Hi")))
    assert json.loads(await ws.receive_from())["text"] == "Hi"
    await ws.disconnect()


async def test_a_redis_that_dies_and_comes_back_costs_no_event(
    room: Room, bell: RedisPublisher, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "HEAD_CHECK_S", 0.2)
    run = await a_run(room)
    ws = socket(run, await client_of(room, "bob"))
    await opened(ws)
    await received(ws, 0)
    await asyncio.to_thread(redis_server.kill)
    for number in range(1, 4):
        await sync_to_async(stored_and_rung)(run, bell, number)
    assert await received(ws, 3) == [1, 2, 3]
    await asyncio.to_thread(redis_server.start)
    await sync_to_async(stored_and_rung)(run, bell, 4)
    assert await received(ws, 4) == [4]
    await ws.disconnect()


def test_the_stream_and_the_backlog_are_bounded(
    bell: RedisPublisher, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webapp.runs.publisher.STREAM_LENGTH", 100)
    for number in range(3_000):
        bell.ring(1, [(number, b"{}")])
    with redis.Redis.from_url(redis_server.url) as client:
        wait_for(lambda: not bell._queue, "an empty backlog")
        wait_for(lambda: 0 < client.xlen(STREAM) < 400, "a short stream", 5)


async def test_a_control_message_travels_through_redis(
    room: Room, bell: RedisPublisher, redis_server: RedisServer, settings: Any
) -> None:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [redis_server.url], "prefix": "tandem-control"},
        }
    }
    settings.TANDEM = settings.TANDEM | {"recheck_s": 60}
    run, bob = await a_run(room), await client_of(room, "bob")
    ws = socket(run, bob)
    await opened(ws)
    await received(ws, 0)
    await asyncio.sleep(0.3)  # the process listens by now
    await take_away("membership", room.users["bob"], bob)
    await sync_to_async(membership_changed)(room.users["bob"].pk)
    assert await ended(ws) == 4409
    await get_channel_layer().flush()
