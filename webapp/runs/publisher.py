"""The doorbell: the only file that carries frames from writers to web processes.

Embedded: a thread-safe call into this process's hub. With Redis: one stream for all runs, written by
one thread a process. Losing a frame costs a socket at most one head check (two seconds), so nothing
here is retried for long and nothing blocks or fails a run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

import msgspec
import redis
from django.conf import settings

from collab_core.events import ModelDelta, encode_body
from webapp.runs.hub import HUB, call_of

logger = logging.getLogger(__name__)
STREAM = "tandem:ev"
STREAM_LENGTH = 10_000
WATCH_KEY = "tandem:watch:%d"
WATCH_TTL_S = 6
BACKLOG = 5_000
"""Frames waiting for Redis; beyond, the oldest are dropped (sockets read the database)."""
FLUSH_S = 0.05


class Publisher(Protocol):
    """Carries frames; never raises, never blocks."""

    def ring(self, run_id: int, frames: Sequence[tuple[int, bytes]]) -> None: ...

    def ring_delta(self, run_id: int, text: bytes) -> None: ...

    def watched(self, run_ids: Iterable[int]) -> set[int]:
        """Return which of these runs somebody looks at; may wait for Redis."""
        ...


class LocalPublisher:
    """Embedded: the hub lives in this very process."""

    def ring(self, run_id: int, frames: Sequence[tuple[int, bytes]]) -> None:
        HUB.ring(run_id, frames)

    def ring_delta(self, run_id: int, text: bytes) -> None:
        HUB.ring_delta(run_id, text)

    def watched(self, run_ids: Iterable[int]) -> set[int]:
        return {run_id for run_id in run_ids if HUB.is_watched(run_id)}


class RedisPublisher:
    """A bounded queue and one thread that empties it into the stream, many entries at a time."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=2, socket_connect_timeout=2, health_check_interval=30
        )
        self._queue: deque[dict[str, Any]] = deque(maxlen=BACKLOG)
        self._filled = threading.Event()
        self._failing = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def ring(self, run_id: int, frames: Sequence[tuple[int, bytes]]) -> None:
        self._put({"r": run_id, "e": msgspec.msgpack.encode(list(frames))})

    def ring_delta(self, run_id: int, text: bytes) -> None:
        self._put({"r": run_id, "d": text})

    def watched(self, run_ids: Iterable[int]) -> set[int]:
        ids = list(run_ids)
        if not ids:
            return set()
        try:
            values = self._redis.mget([WATCH_KEY % run_id for run_id in ids])
        except redis.RedisError as error:
            self._complain(error)
            return set()
        return {run_id for run_id, value in zip(ids, values, strict=True) if value}

    def close(self) -> None:
        """Close the connections; frames that still come open new ones."""
        self._redis.close()

    def _put(self, entry: dict[str, Any]) -> None:
        self._queue.append(entry)
        self._filled.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="doorbell", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            while entries := self._take(200):
                self._send(entries)

    def _take(self, most: int) -> list[dict[str, Any]]:
        taken: list[dict[str, Any]] = []
        while self._queue and len(taken) < most:
            taken.append(self._queue.popleft())
        return taken

    def _send(self, entries: list[dict[str, Any]]) -> None:
        try:
            pipe = self._redis.pipeline(transaction=False)
            for entry in entries:
                pipe.xadd(STREAM, entry, maxlen=STREAM_LENGTH, approximate=True)
            pipe.execute()
            self._failing = False
        except redis.RedisError as error:
            self._complain(error)
            time.sleep(0.2)

    def _complain(self, error: Exception) -> None:
        if not self._failing:
            logger.warning("the doorbell is out of order, pages fall back to reading: %s", error)
        self._failing = True


@cache
def publisher() -> Publisher:
    """Return this process's publisher."""
    return RedisPublisher(settings.REDIS_URL) if settings.REDIS_URL else LocalPublisher()


class Coalescer:
    """Collects the streaming text of one run into at most 20 frames a second.

    Text goes out only while ``watched()``; who begins to watch in mid-call gets the call's text from
    its beginning. Lives on the worker's loop.
    """

    def __init__(
        self, send: Callable[[bytes], None], watched: Callable[[], bool], later: Callable[..., Any]
    ) -> None:
        self._send = send
        self._watched = watched
        self._later = later
        self._last: ModelDelta | None = None
        self._parts: list[str] = []
        self._sent = 0
        """Parts already sent."""
        self._sent_chars = 0
        self._waiting = False

    def add(self, delta: ModelDelta) -> None:
        if self._last is None or call_of(delta) != call_of(self._last):
            self._flush()
            self._parts, self._sent, self._sent_chars = [], 0, 0
        self._last = delta
        self._parts.append(delta.text)
        if not self._waiting:
            self._waiting = True
            self._later(FLUSH_S, self._on_time)

    def _on_time(self) -> None:
        self._waiting = False
        self._flush()

    def _flush(self) -> None:
        if self._last is None or self._sent == len(self._parts):
            return
        if not self._watched():
            self._sent, self._sent_chars = 0, 0
            return
        text = "".join(self._parts[self._sent :])
        self._send(
            encode_body(msgspec.structs.replace(self._last, offset=self._sent_chars, text=text))
        )
        self._sent, self._sent_chars = len(self._parts), self._sent_chars + len(text)
