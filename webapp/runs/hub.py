"""The hub of a web process: one reader of the doorbell, a fan-out in memory to every open socket.

Frames are hints that carry their own content: a socket that overflows, sees a gap or is told by the
head check that it is behind reads the database instead. Everything here runs on the server's loop,
except ``ring`` and ``ring_delta``, which any thread may call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from collab_core.events import ModelDelta, encode_body

logger = logging.getLogger(__name__)
QUEUE = 256
"""Frames a slow socket may have waiting; beyond, it reads the database."""
MAX_LIVE_CHARS = 200_000

_decode_delta = msgspec.json.Decoder(ModelDelta).decode


class Frame(NamedTuple):
    seq: int
    """-1 for streaming text, which is not numbered."""
    text: bytes


class LiveText:
    """The text of the model call under way, for sockets that come late."""

    def __init__(self) -> None:
        self._last: ModelDelta | None = None
        self._text = ""

    def add(self, delta: ModelDelta) -> None:
        if self._last is None or call_of(delta) != call_of(self._last) or delta.offset == 0:
            self._text = ""
        if delta.offset == len(self._text) and delta.offset < MAX_LIVE_CHARS:
            self._text += delta.text
        self._last = delta

    def clear(self) -> None:
        self._last, self._text = None, ""

    def whole(self) -> bytes | None:
        if self._last is None or not self._text:
            return None
        return encode_body(msgspec.structs.replace(self._last, offset=0, text=self._text))


def call_of(delta: ModelDelta) -> tuple[int, str, str, int, str]:
    """Return what tells one stretch of streaming text from another."""
    return delta.step, delta.scope, delta.purpose, delta.attempt, delta.kind


class Subscription:
    """One socket's queue. ``behind`` says: frames were dropped, read the database."""

    def __init__(self, run_id: int) -> None:
        self.run_id = run_id
        self.behind = False
        self.sent = -1
        """Last seq the socket has sent; kept up by the socket, read by the head check."""
        self.ended = False
        """The socket's rights have ended."""
        self._frames: deque[Frame] = deque()
        self._ready = asyncio.Event()

    def put(self, frame: Frame) -> None:
        if len(self._frames) >= QUEUE:
            self._frames.clear()
            self.behind = True
        self._frames.append(frame)
        self._ready.set()

    def end(self) -> None:
        self.ended = True
        self._ready.set()

    def fall_behind(self) -> None:
        self.behind = True
        self._ready.set()

    async def take(self) -> list[Frame]:
        """Wait until there is something to do; return the waiting frames (maybe none)."""
        await self._ready.wait()
        self._ready.clear()
        frames = list(self._frames)
        self._frames.clear()
        return frames


class Hub:
    """Fans frames out to the subscriptions of this process."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: dict[int, set[Subscription]] = {}
        self._live: dict[int, LiveText] = {}

    def subscribe(self, run_id: int) -> Subscription:
        """Return a queue that gets every frame from now on; call on the server's loop."""
        self._loop = asyncio.get_running_loop()
        subscription = Subscription(run_id)
        self._subscriptions.setdefault(run_id, set()).add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        others = self._subscriptions.get(subscription.run_id, set())
        others.discard(subscription)
        if not others:
            self._subscriptions.pop(subscription.run_id, None)
            self._live.pop(subscription.run_id, None)

    def live_text(self, run_id: int) -> bytes | None:
        """Return the streaming text so far as one frame."""
        live = self._live.get(run_id)
        return live.whole() if live else None

    def watched(self) -> list[int]:
        return list(self._subscriptions)

    def subscriptions(self) -> Iterable[Subscription]:
        return [s for group in self._subscriptions.values() for s in group]

    def is_watched(self, run_id: int) -> bool:
        return run_id in self._subscriptions

    def dispatch(self, run_id: int, frames: Sequence[tuple[int, bytes]]) -> None:
        """Hand stored events to the sockets of their run."""
        live = self._live.get(run_id)
        if live is not None and any(b'"type":"model.replied"' in text for _, text in frames):
            live.clear()
        for subscription in self._subscriptions.get(run_id, ()):
            for seq, text in frames:
                subscription.put(Frame(seq, text))

    def dispatch_delta(self, run_id: int, text: bytes) -> None:
        """Hand streaming text to the sockets of its run."""
        group = self._subscriptions.get(run_id)
        if not group:
            return
        self._live.setdefault(run_id, LiveText()).add(_decode_delta(text))
        for subscription in group:
            subscription.put(Frame(-1, text))

    def heads(self, heads: dict[int, int]) -> None:
        """Tell sockets that are behind the last stored seq of their run: a frame went missing."""
        for run_id, head in heads.items():
            for subscription in self._subscriptions.get(run_id, ()):
                if subscription.sent < head:
                    subscription.fall_behind()

    def all_behind(self) -> None:
        """The doorbell was out of order for a while: everybody reads."""
        for subscription in self.subscriptions():
            subscription.fall_behind()

    # from any thread
    def ring(self, run_id: int, frames: Sequence[tuple[int, bytes]]) -> None:
        self._from_outside(run_id, self.dispatch, frames)

    def ring_delta(self, run_id: int, text: bytes) -> None:
        self._from_outside(run_id, self.dispatch_delta, text)

    def _from_outside(self, run_id: int, method: object, argument: object) -> None:
        loop = self._loop
        if loop is None or run_id not in self._subscriptions:
            return
        try:
            loop.call_soon_threadsafe(method, run_id, argument)  # type: ignore[arg-type]
        except RuntimeError:  # the server's loop has just closed: nobody listens any more
            logger.debug("doorbell after the server's end: run %s", run_id)


HUB = Hub()
"""The hub of this process."""
