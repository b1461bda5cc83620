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

from django.db import Error as DatabaseError

from webapp.review.labels import note_opened
from webapp.runs import reads
from webapp.runs.guarded import GuardedConsumer, in_thread
from webapp.runs.hub import HUB, Subscription
from webapp.runs.models import Run
from webapp.teams.models import User

logger = logging.getLogger(__name__)
MAX_SEQ = 2**31 - 1


def cursor_of(query: bytes) -> int:
    """Return ``since`` of a query string; -1 (from the beginning) for anything but a number."""
    raw = parse_qs(query.decode("latin-1")).get("since", [""])[-1]
    return int(raw) if raw.isascii() and raw.isdigit() and int(raw[:11]) <= MAX_SEQ else -1


class RunConsumer(GuardedConsumer):
    """Pushes one run's events to one browser."""

    @staticmethod
    def visible(user: User, uuid: Any) -> Run | None:
        run = (
            Run.objects.for_user(user)
            .filter(uuid=uuid, workspace__memberships__user__is_active=True)
            .first()
        )
        if run is not None:
            note_opened(user, [run.uuid])
        return run

    def opened(self, found: Run) -> Subscription:
        return HUB.subscribe(found.pk)

    def closed(self, guarded: Subscription) -> None:
        HUB.unsubscribe(guarded)

    async def follow(self, guarded: Subscription) -> None:
        await self._follow(guarded, cursor_of(self.scope["query_string"]))

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
