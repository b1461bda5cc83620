"""The socket of an experiment: how far it is, whenever that has changed.

One look at the database a second and process, for all experiments that somebody watches. The figures
themselves are fetched by the page when the revision has grown. Read-only.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from django.db import Error as DatabaseError

from webapp.experiments.models import Experiment
from webapp.experiments.reads import Progress, progress
from webapp.runs.guarded import GuardedConsumer, in_thread
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


class ExperimentConsumer(GuardedConsumer):
    """Pushes the progress of one experiment to one browser."""

    @staticmethod
    def visible(user: User, uuid: Any) -> Experiment | None:
        return (
            Experiment.objects.for_user(user)
            .filter(uuid=uuid, workspace__memberships__user__is_active=True)
            .first()
        )

    def opened(self, found: Experiment) -> Watch:
        watch = Watch(found.pk)
        _LOOK.add(watch)
        return watch

    def closed(self, guarded: Watch) -> None:
        _LOOK.drop(guarded)

    async def follow(self, guarded: Watch) -> None:
        last: Progress | None = None
        while True:
            news = await guarded.take()
            if guarded.ended:
                return
            if news is not None and _differs(news, last):
                last = news
                await self.send(text_data=msgspec.json.encode(news._asdict()).decode())


def _differs(news: Progress, last: Progress | None) -> bool:
    """The time left runs on by itself: it alone is no news."""
    return last is None or news._replace(time_left_s=None) != last._replace(time_left_s=None)
