"""Model calls to any OpenAI-compatible server: one retry loop, one limit per tier.

The hot path sends pre-encoded bytes over a pooled aiohttp session and reads the stream itself. The
``openai`` package's ``create()`` walks the whole history with typing introspection at every call, and
its ``post()`` still costs three times this path (``benchmarks/engine_floor.py`` measures both).
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest
from collab_core.backends.endpoints import Endpoint, EndpointPool
from collab_core.backends.exchange import Exchange, Marks
from collab_core.backends.failures import refused_field, timeout_of
from collab_core.backends.models import with_served_models
from collab_core.backends.reply import Kind, ReplyReader
from collab_core.backends.retry import RetryPolicy
from collab_core.backends.wire import encode_request, sent_fields
from collab_core.domain import Attempt, Tier, Timing
from collab_core.errors import BackendError

logger = logging.getLogger(__name__)


class OpenAICompatible:
    """The ``Backend`` for real servers: one instance per event loop serves every tier.

    ``Timing.total_s`` runs from the call to the end of its reply, the wait for a free slot of the
    tier included; the tier's ``total_s`` timeout counts from the moment it has the slot.
    """

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Random | None = None,
    ) -> None:
        self._retry = retry or RetryPolicy()
        self._pool = EndpointPool(os.environ if environ is None else environ)
        self._clock = clock
        self._sleep = sleep
        self._random = random or Random()
        self._slots: dict[tuple[str, str], tuple[int, asyncio.Semaphore]] = {}
        self._refused_fields: dict[tuple[str, str], frozenset[str]] = {}

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Return the complete reply; see ``Backend.complete``."""
        endpoint = self._pool.get(request.tier)
        began = self._clock()
        slots = self._slots_of(request.tier)
        must_wait = slots.locked()
        async with slots:
            waited_s = self._clock() - began if must_wait else None
            call = _Call(request, endpoint, on_delta, began, waited_s, self._clock())
            return await self._with_retries(call)

    async def aclose(self) -> None:
        """Close every pooled connection."""
        await self._pool.aclose()

    @property
    def pool(self) -> EndpointPool:
        """The pooled sessions, for the probe's other questions to the same server."""
        return self._pool

    def _slots_of(self, tier: Tier) -> asyncio.Semaphore:
        place = (tier.base_url, tier.model)
        known = self._slots.get(place)
        if known is None or known[0] != tier.max_concurrency:
            known = (tier.max_concurrency, asyncio.Semaphore(max(1, tier.max_concurrency)))
            self._slots[place] = known
        return known[1]

    async def _with_retries(self, call: _Call) -> ModelReply:
        place = (call.request.tier.base_url, call.request.tier.model)
        call.without = self._refused_fields.get(place, frozenset())
        while True:
            try:
                reply = await self._try(call)
            except BackendError as error:
                error.attempts = tuple(call.attempts)
                if not await self._go_on(call, error):
                    await with_served_models(error, call.endpoint)
                    raise
            else:
                if call.without:
                    self._refused_fields[place] = call.without
                return reply

    async def _go_on(self, call: _Call, error: BackendError) -> bool:
        """Prepare the next try; False if there is none."""
        name = refused_field(error, sent_fields(call.request) - call.without)
        if name is not None:
            call.without |= {name}
            return True
        call.failures += 1
        delay_s = self._retry.delay_s(error, call.failures, self._random)
        left_s = self._left_s(call)
        if delay_s is None or delay_s >= left_s:
            return False
        logger.info(
            "model call %s: tier %s failed (%s), try %d in %.1f s",
            call.request.request_id,
            call.request.tier.name,
            error.code,
            call.failures + 1,
            delay_s,
        )
        await self._sleep(delay_s)
        return True

    def _left_s(self, call: _Call) -> float:
        return call.request.tier.timeouts.total_s - (self._clock() - call.got_slot)

    async def _try(self, call: _Call) -> ModelReply:
        left_s = self._left_s(call)
        if left_s <= 0:
            raise timeout_of("total", call.request.tier.timeouts.total_s, call.request.tier)
        started = self._clock()
        reader = call.reader()
        exchange = Exchange(call.endpoint, call.request.tier, self._clock, left_s)
        body = encode_request(call.request, without=call.without)
        try:
            await exchange.run(body, reader, call.request.request_id)
        except BackendError as error:
            call.attempts.append(
                Attempt(
                    code=error.code,
                    message=error.message,
                    duration_s=self._clock() - started,
                    output_tokens=reader.output_tokens,
                )
            )
            raise
        return call.reply(reader, exchange.marks, len(body))


@dataclass
class _Call:
    """A model call over all its tries."""

    request: ModelRequest
    endpoint: Endpoint
    on_delta: DeltaSink | None
    began: float
    waited_s: float | None
    """For a free slot; None = there was one."""
    got_slot: float
    failures: int = 0
    without: frozenset[str] = frozenset()
    attempts: list[Attempt] = field(default_factory=list)

    def reader(self) -> ReplyReader:
        """Return a reader whose text goes out under this try's number."""
        on_delta, attempt = self.on_delta, len(self.attempts)

        def sink(offset: int, text: str, kind: Kind) -> None:
            if on_delta is not None:
                on_delta(attempt, offset, text, kind)

        return ReplyReader(
            max_output_tokens=self.request.max_output_tokens,
            sink=None if on_delta is None else sink,
            secret=self.endpoint.key,
        )

    def reply(self, reader: ReplyReader, marks: Marks, request_bytes: int) -> ModelReply:
        return ModelReply(
            text=reader.text,
            reasoning=reader.reasoning,
            tool_calls=reader.calls.calls(),
            finish_reason=reader.finish_reason,
            usage=reader.usage(request_bytes=request_bytes),
            timing=self._timing(reader, marks),
            mean_logprob=reader.mean_logprob,
            first_token_margin=reader.first_token_margin,
            decisive_margin=reader.decisive_margin,
            attempts=tuple(self.attempts),
        )

    def _timing(self, reader: ReplyReader, marks: Marks) -> Timing:
        first = marks.last if marks.first_token is None else marks.first_token
        queued = [s for s in (self.waited_s, reader.server_queue_s) if s is not None]
        return Timing(
            queued_s=sum(queued) if queued else None,
            first_token_s=first - marks.sent + (self.waited_s or 0.0),
            decode_s=marks.last - first,
            total_s=marks.last - self.began,
        )
