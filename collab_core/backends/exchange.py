"""One try of a model call: send, read, four timeouts; the connection never outlives it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from collab_core.backends.endpoints import Endpoint
from collab_core.backends.failures import Refusal, connection_error_of, error_of, timeout_of
from collab_core.backends.reply import ReplyReader
from collab_core.domain import Tier
from collab_core.errors import EndpointFailed, ProtocolViolation

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_BODY_S = 2.0
_DRAIN_S = 0.25
_BIG_BODY_BYTES = 1024 * 1024
"""Above this aiohttp wants a file-like body, to send it in pieces."""


@dataclass
class Marks:
    """When things happened, on the clock of the backend; None = never."""

    sent: float
    first_token: float | None = None
    last: float = 0.0


class _Watch:
    """Ends a wait when its time is over; putting that time off costs no timer, only a comparison.

    A stream puts it off at every token: rescheduling ``asyncio.timeout`` each time is a tenth of the
    whole cost of a token.
    """

    __slots__ = ("_due", "_limit", "_loop", "_timer", "_total_at")

    def __init__(self, limit: asyncio.Timeout, total_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._total_at = self._loop.time() + total_s
        self._due = self._total_at
        self._timer: asyncio.TimerHandle | None = None

    def allow(self, seconds: float) -> bool:
        """Wait so long from now; False if the total ends before."""
        due = self._loop.time() + seconds
        self._due = min(due, self._total_at)
        if self._timer is None or self._due < self._timer.when():
            self.stop()
            self._timer = self._loop.call_at(self._due, self._check)
        return due < self._total_at

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        if self._loop.time() >= self._due:
            self._limit.reschedule(self._due)
        else:
            self._timer = self._loop.call_at(self._due, self._check)


@dataclass
class Exchange:
    """One HTTP request of one tier."""

    endpoint: Endpoint
    tier: Tier
    clock: Callable[[], float]
    left_s: float
    """What the call's total timeout still allows."""
    marks: Marks = field(init=False)
    _phase: str = field(init=False, default="first_byte")
    _limit_s: float = field(init=False, default=0.0)

    async def run(self, body: bytes, reader: ReplyReader, request_id: str) -> None:
        """Send the body and read the reply into ``reader``, complete and checked.

        Raises:
            BackendError: the class says what went wrong.
        """
        self.marks = Marks(sent=self.clock())
        limit = asyncio.timeout(None)
        watch = _Watch(limit, self.left_s)
        try:
            async with limit:
                self._expect("first_byte", self.tier.timeouts.first_byte_s, watch)
                await self._talk(body, reader, request_id, watch)
        except aiohttp.ClientError as error:
            raise connection_error_of(error, self.tier, secret=self.endpoint.key) from error
        except TimeoutError as error:
            raise timeout_of(self._phase, self._limit_s, self.tier) from error
        except OSError as error:
            raise EndpointFailed(f"The connection broke: {error.strerror}") from error
        finally:
            watch.stop()

    def _expect(self, phase: str, limit_s: float, watch: _Watch) -> None:
        """Allow so much time until the next bytes, but no more than the total leaves."""
        if watch.allow(limit_s):
            self._phase, self._limit_s = phase, limit_s
        else:
            self._phase, self._limit_s = "total", self.tier.timeouts.total_s

    async def _talk(self, body: bytes, reader: ReplyReader, request_id: str, watch: _Watch) -> None:
        response = await self.endpoint.session.post(
            self.endpoint.chat_url,
            data=body if len(body) < _BIG_BODY_BYTES else io.BytesIO(body),
            headers=self.endpoint.headers_with(request_id),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=self.tier.timeouts.connect_s),
        )
        try:
            if response.status != 200:
                refusal = Refusal(
                    status=response.status,
                    headers=response.headers,
                    body=await _error_body(response),
                )
                raise error_of(refusal, self.tier, secret=self.endpoint.key)
            _check_encoding(response)
            await self._read(response, reader, watch)
        finally:
            # a no-op on a fully read response; otherwise it cuts the stream, which frees the slot
            response.close()

    async def _read(
        self, response: aiohttp.ClientResponse, reader: ReplyReader, watch: _Watch
    ) -> None:
        between_s = self.tier.timeouts.between_chunks_s
        content = response.content
        while piece := await content.readany():
            reader.feed(piece)
            self.marks.last = self.clock()
            if reader.has_token and self.marks.first_token is None:
                self.marks.first_token = self.marks.last
            if reader.done:
                break
            self._expect("between_chunks", between_s, watch)
        reader.finish()
        if not content.at_eof():
            await _drain(content)


def _check_encoding(response: aiohttp.ClientResponse) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise ProtocolViolation(
            f"The server compressed its reply ({encoding[:20]}) though it was asked not to.",
            hint="Turn compression off in the proxy in front of the model server.",
        )


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """Return the start of an error's body; a body that stalls or breaks does not hide the status."""
    body = bytearray()
    try:
        async with asyncio.timeout(_ERROR_BODY_S):
            while len(body) < _MAX_ERROR_BYTES and (piece := await response.content.readany()):
                body += piece
    except (TimeoutError, aiohttp.ClientError):
        body += b""
    return bytes(body[:_MAX_ERROR_BYTES])


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read the end of the body behind [DONE], so that its connection can be used again."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            # the reply is complete: whatever else comes only decides about the connection
            await content.readany()
    except (TimeoutError, aiohttp.ClientError):
        return
