"""The socket of a run: from any cursor, through any disturbance, every event once and in order.

Subscribe first, then read the log after the cursor, then live frames; a frame that is not the next
one, an overflow or a head check that finds the socket behind sends it back to the log. Read-only:
whatever the browser sends is ignored.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any
from urllib.parse import parse_qs

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from webapp.review.labels import note_opened
from webapp.runs import reads, watchdog
from webapp.runs.hub import HUB, Subscription
from webapp.runs.models import Run
from webapp.runs.threads import query
from webapp.teams.models import User

logger = logging.getLogger(__name__)
NOT_SIGNED_IN = 4401
NOT_FOUND = 4404
MEMBERSHIP_ENDED = 4409
OVERLOAD = 1013
MAX_SEQ = 2**31 - 1


def cursor_of(query: bytes) -> int:
    """Return ``since`` of a query string; -1 (from the beginning) for anything but a number."""
    raw = parse_qs(query.decode("latin-1")).get("since", [""])[-1]
    return int(raw) if raw.isascii() and raw.isdigit() and int(raw[:11]) <= MAX_SEQ else -1


class RunConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Pushes one run's events to one browser."""

    channel_layer_alias = "none"
    """A socket of its own in the layer would tie it to Redis: the process listens for all."""
    subscription: Subscription | None = None
    pump: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        user = self.scope.get("user")
        if not isinstance(user, User):
            await self.close(NOT_SIGNED_IN)
            return
        uuid = self.scope["url_route"]["kwargs"]["uuid"]
        try:
            run = await in_thread(_authorised, user, uuid)
        except DatabaseError as error:
            logger.warning("socket refused, the database does not answer: %s", str(error).strip())
            await self.close(OVERLOAD)
            return
        if run is None:
            await self.close(NOT_FOUND)
            return
        self.subscription = HUB.subscribe(run.pk)
        session = self.scope.get("session")
        watchdog.guard(
            self.subscription,
            user_id=user.pk,
            workspace_id=run.workspace_id,
            session_key=getattr(session, "session_key", "") or "",
        )
        since = cursor_of(self.scope["query_string"])
        self.pump = asyncio.create_task(self._pump(self.subscription, since))

    async def disconnect(self, code: int) -> None:
        if self.subscription is not None:
            HUB.unsubscribe(self.subscription)
            watchdog.release(self.subscription)
        if self.pump is not None:
            self.pump.cancel()

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Ignore it: starting, stopping and forking are POSTs with a CSRF token."""

    async def _pump(self, subscription: Subscription, since: int) -> None:
        try:
            await self._follow(subscription, since)
        except asyncio.CancelledError:
            raise
        except OSError:
            # the browser went away while something was being sent: disconnect() follows
            logger.debug("socket of run %s: the browser is gone", subscription.run_id)
        except Exception:
            logger.exception("socket of run %s", subscription.run_id)
            await self.close(OVERLOAD)

    async def _follow(self, subscription: Subscription, since: int) -> None:
        head = await self._read(reads.head, subscription.run_id)
        subscription.sent = min(since, head)  # a cursor beyond the head has seen it all
        await self.send(text_data=f'{{"type":"hello","head":{head}}}')
        await self._catch_up(subscription)
        if (live := HUB.live_text(subscription.run_id)) is not None:
            await self.send(text_data=live.decode())
        while True:
            frames = await subscription.take()
            if subscription.ended:
                await self.close(MEMBERSHIP_ENDED)
                return
            for seq, text in frames:
                if seq == subscription.sent + 1:
                    subscription.sent = seq
                    await self.send(text_data=text.decode())
                elif seq < 0:
                    await self.send(text_data=text.decode())
                elif seq > subscription.sent:
                    subscription.behind = True
                    break
            if subscription.behind:
                await self._catch_up(subscription)

    async def _catch_up(self, subscription: Subscription) -> None:
        more = True
        while more and not subscription.ended:
            subscription.behind = False
            frames, more = await self._read(
                reads.events_since, subscription.run_id, subscription.sent
            )
            for seq, text in frames:
                subscription.sent = seq
                await self.send(text_data=text.decode())

    async def _read(self, function: Any, *args: Any) -> Any:
        """Read from the database; while it is away, try again: the browser only sees a pause."""
        while True:
            try:
                return await in_thread(function, *args)
            except DatabaseError as error:
                logger.warning("socket waits for the database: %s", str(error).strip())
                await asyncio.sleep(random.uniform(0.5, 1.5))


def in_thread(function: Any, *args: Any) -> Any:
    """Run a query in the server's reader threads."""
    return sync_to_async(query, thread_sensitive=False, executor=watchdog.READERS)(function, *args)


def _authorised(user: User, uuid: Any) -> Run | None:
    run = (
        Run.objects.for_user(user)
        .filter(uuid=uuid, workspace__memberships__user__is_active=True)
        .first()
    )
    if run is not None:
        note_opened(user, [run.uuid])
    return run
