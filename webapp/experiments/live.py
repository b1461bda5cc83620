"""The socket of an experiment: how far it is, whenever that has changed.

One look at the database a second and process, for all experiments that somebody watches. The figures
themselves are fetched by the page when the revision has grown. Read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import msgspec
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import Error as DatabaseError

from webapp.experiments.models import Experiment
from webapp.experiments.reads import Progress, progress
from webapp.runs import watchdog
from webapp.runs.consumers import MEMBERSHIP_ENDED, NOT_FOUND, NOT_SIGNED_IN, OVERLOAD, in_thread
from webapp.teams.models import User

logger = logging.getLogger(__name__)
LOOK_S = 1.0


class Watch:
    """One socket's latest news. ``end`` closes it: its rights are over."""

    def __init__(self, experiment_id: int) -> None:
        self.experiment_id = experiment_id
        self.ended = False
        self._news: Progress | None = None
        self._ready = asyncio.Event()

    def put(self, news: Progress) -> None:
        self._news = news
        self._ready.set()

    def end(self) -> None:
        self.ended = True
        self._ready.set()

    async def take(self) -> Progress | None:
        """Wait for news; only the latest counts."""
        await self._ready.wait()
        self._ready.clear()
        news, self._news = self._news, None
        return news


class _Look:
    """The process's task that looks; it lives while there are watches."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._task: asyncio.Task[None] | None = None

    def add(self, watch: Watch) -> None:
        self._watches.add(watch)
        if self._task is None:
            self._task = asyncio.create_task(self._look())

    def drop(self, watch: Watch) -> None:
        self._watches.discard(watch)
        if not self._watches and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _look(self) -> None:
        while True:
            try:
                found = await in_thread(progress, {w.experiment_id for w in self._watches})
            except DatabaseError as error:
                logger.warning("experiments: the database does not answer: %s", str(error).strip())
                found = {}
            for watch in self._watches:
                if watch.experiment_id in found:
                    watch.put(found[watch.experiment_id])
            await asyncio.sleep(LOOK_S)


_LOOK = _Look()


class ExperimentConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """Pushes the progress of one experiment to one browser."""

    channel_layer_alias = "none"
    watch: Watch | None = None
    pump: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await self.accept()
        user = self.scope.get("user")
        if not isinstance(user, User):
            await self.close(NOT_SIGNED_IN)
            return
        try:
            found = await in_thread(_authorised, user, self.scope["url_route"]["kwargs"]["uuid"])
        except DatabaseError as error:
            logger.warning("socket refused, the database does not answer: %s", str(error).strip())
            await self.close(OVERLOAD)
            return
        if found is None:
            await self.close(NOT_FOUND)
            return
        self.watch = Watch(found.pk)
        session = self.scope.get("session")
        watchdog.guard(
            self.watch,
            user_id=user.pk,
            workspace_id=found.workspace_id,
            session_key=getattr(session, "session_key", "") or "",
        )
        _LOOK.add(self.watch)
        self.pump = asyncio.create_task(self._pump(self.watch))

    async def disconnect(self, code: int) -> None:
        if self.watch is not None:
            _LOOK.drop(self.watch)
            watchdog.release(self.watch)
        if self.pump is not None:
            self.pump.cancel()

    async def websocket_receive(self, message: dict[str, Any]) -> None:
        """Ignore it: changes are POSTs with a CSRF token."""

    async def _pump(self, watch: Watch) -> None:
        last: Progress | None = None
        with contextlib.suppress(OSError):  # the browser is gone: disconnect() follows
            while True:
                news = await watch.take()
                if watch.ended:
                    await self.close(MEMBERSHIP_ENDED)
                    return
                if news is not None and _differs(news, last):
                    last = news
                    await self.send(text_data=msgspec.json.encode(news._asdict()).decode())


def _differs(news: Progress, last: Progress | None) -> bool:
    """The time left runs on by itself: it alone is no news."""
    return last is None or news._replace(time_left_s=None) != last._replace(time_left_s=None)


def _authorised(user: User, uuid: Any) -> Experiment | None:
    return (
        Experiment.objects.for_user(user)
        .filter(uuid=uuid, workspace__memberships__user__is_active=True)
        .first()
    )
