"""What a web process looks after for all its sockets together, in one query each:

lost frames (the head check), ended rights (membership, session, account), and with Redis the
doorbell's reader and the marks that tell workers which runs are watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
import redis
import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import Error as DatabaseError
from django.utils import timezone

from webapp.runs import reads
from webapp.runs.hub import HUB
from webapp.runs.publisher import STREAM, WATCH_KEY, WATCH_TTL_S
from webapp.runs.threads import query
from webapp.teams.access import CONTROL_GROUP
from webapp.teams.models import Membership

logger = logging.getLogger(__name__)
T = TypeVar("T")
HEAD_CHECK_S = 2.0
READERS = ThreadPoolExecutor(4, thread_name_prefix="socket-db")
_decode_frames = msgspec.msgpack.Decoder(list[tuple[int, bytes]]).decode


class Holder(NamedTuple):
    """Whose rights a socket lives on."""

    user_id: int
    workspace_id: int
    session_key: str


class Guarded(Protocol):
    """A socket's side of it: what is told that its rights are over."""

    def end(self) -> None:
        """Close the socket."""


class _Process:
    """The tasks of this process; they live while there are sockets."""

    def __init__(self) -> None:
        self.guarded: dict[Guarded, Holder] = {}
        self.tasks: list[asyncio.Task[None]] = []
        self.check_now: asyncio.Event = asyncio.Event()


_process = _Process()


def guard(subscription: Guarded, *, user_id: int, workspace_id: int, session_key: str) -> None:
    """Look after a new socket; the first one starts the tasks."""
    _process.guarded[subscription] = Holder(user_id, workspace_id, session_key)
    if not _process.tasks:
        _process.check_now = asyncio.Event()
        jobs = [_heads, _rights, _control] + ([_doorbell, _marks] if settings.REDIS_URL else [])
        _process.tasks = [asyncio.create_task(_forever(job)) for job in jobs]


def release(subscription: Guarded) -> None:
    """Forget a closed socket; the last one ends the tasks."""
    _process.guarded.pop(subscription, None)
    if not _process.guarded:
        for task in _process.tasks:
            task.cancel()
        _process.tasks = []


async def _forever(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await job()
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("a task of the sockets broke; it starts again")
            await asyncio.sleep(1)


async def _in_reader(function: Callable[..., T], *args: Any) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(READERS, query, function, *args)


async def _tolerant(action: Callable[[], Awaitable[None]]) -> None:
    try:
        await action()
    except (DatabaseError, redis.RedisError, OSError) as error:
        logger.warning("sockets: %s", str(error).strip())


async def _heads() -> None:
    async def check() -> None:
        HUB.heads(await _in_reader(reads.heads, HUB.watched()))

    while True:
        await asyncio.sleep(HEAD_CHECK_S)
        await _tolerant(check)


async def _rights() -> None:
    async def check() -> None:
        holders = dict(_process.guarded)
        alive = await _in_reader(_still_allowed, set(holders.values()))
        for subscription, holder in holders.items():
            if holder not in alive:
                subscription.end()

    while True:
        with contextlib.suppress(TimeoutError):  # the ordinary turn
            await asyncio.wait_for(_process.check_now.wait(), settings.TANDEM["recheck_s"])
        _process.check_now.clear()
        await _tolerant(check)


def _still_allowed(holders: set[Holder]) -> set[Holder]:
    users = {holder.user_id for holder in holders}
    rights = set(
        Membership.objects.filter(user__in=users, user__is_active=True).values_list(
            "user_id", "workspace_id"
        )
    )
    keys = {holder.session_key for holder in holders if holder.session_key}
    sessions = set(
        Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now()).values_list(
            "session_key", flat=True
        )
    )
    return {
        holder
        for holder in holders
        if (holder.user_id, holder.workspace_id) in rights
        and (not holder.session_key or holder.session_key in sessions)
    }


async def _control() -> None:
    """Listen for control messages: somebody's rights have changed somewhere."""
    layer: Any = get_channel_layer()
    while True:
        try:
            channel = await layer.new_channel()
            await layer.group_add(CONTROL_GROUP, channel)
            while True:
                await layer.receive(channel)
                _process.check_now.set()
        except (redis.RedisError, OSError) as error:
            logger.warning("no control messages for a while: %s", error)
            await asyncio.sleep(1)


async def _marks() -> None:
    """Tell the workers, through keys that expire, which runs somebody looks at."""
    client: Any = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2
    )

    async def mark() -> None:
        pipe = client.pipeline(transaction=False)
        for run_id in HUB.watched():
            pipe.set(WATCH_KEY % run_id, 1, ex=WATCH_TTL_S)
        await pipe.execute()

    try:
        while True:
            await _tolerant(mark)
            await asyncio.sleep(0.5)
    finally:
        await client.aclose()


async def _doorbell() -> None:
    """Read the one stream and fan it out; after any disturbance everybody reads the database."""
    client: Any = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=10, socket_connect_timeout=2
    )
    last: bytes | str = "$"
    try:
        while True:
            try:
                answer = await client.xread({STREAM: last}, count=500, block=2_000)
            except (redis.RedisError, OSError) as error:
                logger.warning("the doorbell is out of order: %s", error)
                await asyncio.sleep(0.5)
                HUB.all_behind()
                continue
            for _, entries in answer or ():
                for entry_id, fields in entries:
                    last = entry_id
                    _dispatch(fields)
    finally:
        await client.aclose()


def _dispatch(fields: dict[bytes, bytes]) -> None:
    run_id = int(fields[b"r"])
    if b"e" in fields:
        HUB.dispatch(run_id, _decode_frames(fields[b"e"]))
    else:
        HUB.dispatch_delta(run_id, fields[b"d"])
