"""One reply on the wire: as server-sent events or as a whole, with the faults it was dealt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiohttp import web

from collab_core.simulator.engine import Engine
from collab_core.simulator.protocol import DONE, Envelope, Generation, Measured, token_logprobs

_STALL_S = 3_600.0
_MALFORMED = b'data: {"id": "broken", "choices": [{"delta": {"content": \n\n'


class Reply:
    """Writes what an engine generates."""

    def __init__(
        self,
        engine: Engine,
        generation: Generation,
        envelope: Envelope,
        measured: Measured,
        fault: str,
    ) -> None:
        self._engine = engine
        self._generation = generation
        self._envelope = envelope
        self._measured = measured
        self._fault = fault
        self._sent = 0

    async def whole(self, ticks: AsyncIterator[int]) -> web.Response:
        """Return the reply when it is complete."""
        async for done in ticks:
            if self._breaks(done):
                return await self._break_whole()
        finish = self._finish(generated=self._measured.completion_tokens)
        body = self._envelope.whole(self._generation, self._measured, finish_reason=finish)
        return web.json_response(body)

    async def _break_whole(self) -> web.Response:
        if self._fault == "stall":
            await asyncio.sleep(_STALL_S)
        return web.Response(body=b'{"id": "broken", "choices": [', content_type="application/json")

    async def stream(
        self, request: web.Request, ticks: AsyncIterator[int], *, include_usage: bool
    ) -> web.StreamResponse:
        """Send the reply as it is generated."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await response.write(self._envelope.chunk({"role": "assistant", "content": ""}))
        async for done in ticks:
            await response.write(b"".join(self._deltas(done)))
            if self._breaks(done):
                await self._break_stream(request, response)
                if self._fault != "malformed":
                    return response
                self._fault = ""
        await response.write(self._ending(include_usage=include_usage))
        await response.write_eof()
        return response

    def _breaks(self, done: int) -> bool:
        middle = max(1, self._generation.count // 2)
        return self._fault in ("stall", "cut", "malformed") and done >= middle

    async def _break_stream(self, request: web.Request, response: web.StreamResponse) -> None:
        if self._fault == "malformed":
            await response.write(_MALFORMED)
        elif self._fault == "stall":
            await asyncio.sleep(_STALL_S)
        elif request.transport is not None:
            request.transport.abort()

    def _ending(self, *, include_usage: bool) -> bytes:
        finish = self._finish(generated=self._sent)
        parts = [self._envelope.chunk({}, finish_reason=finish)]
        if include_usage:
            parts.append(self._envelope.usage_chunk(self._measured))
        return b"".join([*parts, DONE])

    def _finish(self, *, generated: int) -> str:
        """Return the finish reason; aborted replies are not counted, as in vLLM."""
        aborted = self._engine.stopping and generated < self._generation.count
        if aborted or self._fault == "abort":
            return "abort"
        finish = self._generation.finish_reason
        self._engine.finished[finish] += 1
        return finish

    def _said(self, tokens: Sequence[str], number: int) -> dict[str, Any] | None:
        """Return the log-probabilities of tokens from ``number`` on; None if not asked for."""
        if self._envelope.logprobs is None:
            return None
        found = token_logprobs(self._generation, tokens, self._envelope.logprobs, number)
        return {"content": found}

    def _deltas(self, done: int) -> list[bytes]:
        """Return the events for the tokens since the last time."""
        generation, envelope = self._generation, self._envelope
        head, text_end = generation.call_head_tokens, len(generation.tokens)
        chunks = []
        for number in range(self._sent, done):
            if number < text_end:
                token = generation.tokens[number]
                chunks.append(
                    envelope.chunk({"content": token}, logprobs=self._said([token], number))
                )
            elif head and number == text_end + len(head) - 1:
                told = self._said(head, text_end)
                chunks.append(envelope.chunk(_call_head(generation), logprobs=told))
            elif head and number >= text_end + len(head):
                piece = generation.argument_tokens[number - text_end - len(head)]
                told = self._said([piece], number)
                chunks.append(envelope.chunk(_call_piece(piece), logprobs=told))
        self._sent = max(self._sent, done)
        return chunks


def _call_head(generation: Generation) -> Mapping[str, Any]:
    call = generation.call
    assert call is not None
    function = {"name": call.name, "arguments": ""}
    return {"tool_calls": [{"index": 0, "id": call.id, "type": "function", "function": function}]}


def _call_piece(piece: str) -> Mapping[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
