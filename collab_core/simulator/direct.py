"""Simulated models in process: the server's replies at once, with the time that they would take."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest
from collab_core.backends.failures import Refusal, error_of
from collab_core.backends.reply import Kind, ReplyReader
from collab_core.backends.wire import encode_request
from collab_core.domain import Timing
from collab_core.simulator.engine import Engine
from collab_core.simulator.presets import SimulatedModel
from collab_core.simulator.protocol import Envelope, Generation, Measured, Refused, alternatives
from collab_core.simulator.speed import (
    BLOCK_TOKENS,
    BYTES_PER_TOKEN,
    count_tokens,
    render_prompt,
)

_encode = msgspec.json.encode


class DirectBackend:
    """The ``Backend`` of a preset's models without HTTP and without waiting; one for each run.

    Replies are those of the simulated server to the same requests. Times are computed from the
    models' ``Speed`` as on an idle server that has served the agent before: the head of every prompt
    (tools and system message) is in its prefix cache, and besides only what the same conversation
    left there. So a run's times depend on nothing but its own calls, in any order of its branches.
    Faults, queues and load are not simulated.
    """

    def __init__(self, models: Iterable[SimulatedModel]) -> None:
        self._engines = {model.name: Engine(model) for model in models}

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Return the reply; other tasks get a turn, as with a real call. See ``Backend.complete``."""
        await asyncio.sleep(0)
        body = msgspec.json.decode(encode_request(request))
        try:
            engine = self._engine(request)
            generation, prompt = engine.prepare(body)
            shown = alternatives(body)
        except Refused as error:
            refusal = Refusal(status=error.status, headers={}, body=_encode(error.body))
            raise error_of(refusal, request.tier) from error
        measured = _measured(engine, generation, body, prompt)
        envelope = Envelope(id="direct", model=request.tier.model, logprobs=shown, created=0)
        finish = generation.finish_reason
        whole = envelope.whole(generation, measured, finish_reason=finish)
        return _reply(request, _encode(whole), measured, on_delta)

    def recall(self, request: ModelRequest) -> None:
        """Warm the cache with a prompt whose reply a resumed run has in its log."""
        engine = self._engines.get(request.tier.model)
        if engine is not None:
            body = msgspec.json.decode(encode_request(request))
            _cached_tokens(engine, body, render_prompt(body))

    async def aclose(self) -> None:
        """Nothing is open."""

    def _engine(self, request: ModelRequest) -> Engine:
        name = request.tier.model
        if name not in self._engines:
            raise Refused(404, f"The model `{name}` does not exist.", "NotFoundError")
        return self._engines[name]


def _measured(
    engine: Engine, generation: Generation, body: Mapping[str, Any], prompt: bytes
) -> Measured:
    speed, tokens = engine.model.speed, count_tokens(prompt)
    cached = _cached_tokens(engine, body, prompt)
    return Measured(
        prompt_tokens=tokens,
        cached_tokens=cached,
        completion_tokens=generation.count,
        first_token_s=speed.first_token_s(tokens, cached),
        generation_s=max(0, generation.count - 1) * speed.decode_s_per_token,
    )


def _cached_tokens(engine: Engine, body: Mapping[str, Any], prompt: bytes) -> int:
    """Store the prompt; return how many of its tokens were there: the head, or more."""
    messages = body["messages"]
    has_head = messages[0]["role"] == "system"
    opening = _encode(messages[: 1 + has_head])
    found = engine.cache.take(prompt, hashlib.blake2b(opening, digest_size=12).digest())
    if not has_head:
        return found
    head = render_prompt({**body, "messages": messages[:1]}).removesuffix(b"\nassistant:")
    return max(found, len(head) // (BYTES_PER_TOKEN * BLOCK_TOKENS) * BLOCK_TOKENS)


def _reply(
    request: ModelRequest, whole: bytes, measured: Measured, on_delta: DeltaSink | None
) -> ModelReply:
    """Read the reply as it would be read from the wire, so that its margins are the same."""

    def sink(offset: int, text: str, kind: Kind) -> None:
        if on_delta is not None:
            on_delta(0, offset, text, kind)

    reader = ReplyReader(max_output_tokens=request.max_output_tokens, sink=sink)
    reader.feed(whole)
    reader.finish()
    return ModelReply(
        text=reader.text,
        tool_calls=reader.calls.calls(),
        finish_reason=reader.finish_reason,
        usage=reader.usage(request_bytes=0),
        timing=Timing(
            queued_s=0.0,
            first_token_s=measured.first_token_s,
            decode_s=measured.generation_s,
            total_s=measured.first_token_s + measured.generation_s,
        ),
        mean_logprob=reader.mean_logprob,
        first_token_margin=reader.first_token_margin,
        decisive_margin=reader.decisive_margin,
    )
