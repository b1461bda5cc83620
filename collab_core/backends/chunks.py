"""The wire form of replies, as far as we read it; every unknown field is skipped while decoding."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec

from collab_core.domain import Usage

Count = Annotated[int, msgspec.Meta(ge=0)]


class FunctionPart(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallPart(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: FunctionPart | None = None


class Message(msgspec.Struct):
    """A delta, or the message of a whole reply."""

    content: str | list[dict[str, Any]] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallPart] | None = None


class TopLogprob(msgspec.Struct):
    token: str = ""
    logprob: float | None = None


class TokenLogprob(msgspec.Struct):
    token: str = ""
    logprob: float | None = None
    top_logprobs: list[TopLogprob] | None = None


class Logprobs(msgspec.Struct):
    content: list[TokenLogprob] | None = None


class Choice(msgspec.Struct):
    index: int = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class PromptDetails(msgspec.Struct):
    cached_tokens: Count | None = None


class UsageBody(msgspec.Struct):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    prompt_tokens_details: PromptDetails | None = None


class Metrics(msgspec.Struct):
    """vLLM's ``--enable-per-request-metrics``, in milliseconds."""

    queue_time_ms: float | None = None


class Chunk(msgspec.Struct):
    """One ``chat.completion.chunk``, a whole ``chat.completion``, or an error object."""

    choices: list[Choice] | None = None
    usage: UsageBody | None = None
    metrics: Metrics | None = None
    error: Any = None
    object: str = ""
    message: str = ""


_decoder = msgspec.json.Decoder(Chunk)


def decode_chunk(data: bytes) -> Chunk:
    """Read one event's data.

    Raises:
        msgspec.DecodeError: it is not JSON, not UTF-8, or not of this shape.
    """
    return _decoder.decode(data)


def usage_of(body: UsageBody) -> Usage:
    """Return the server's own count; cached tokens can never exceed the input."""
    details = body.prompt_tokens_details
    cached = details.cached_tokens if details is not None else None
    return Usage(
        input_tokens=body.prompt_tokens,
        output_tokens=body.completion_tokens,
        cached_tokens=None if cached is None else min(cached, body.prompt_tokens),
    )


def margin_of(token: TokenLogprob) -> float | None:
    """Return p(top-1) - p(top-2), or None with fewer than two candidates.

    vLLM lists the sampled token first and it may be repeated among the top ones.

    >>> margin_of(TokenLogprob(top_logprobs=[TopLogprob("a", 0.0), TopLogprob("b", -100.0)]))
    1.0
    """
    best = {top.token: top.logprob for top in token.top_logprobs or () if top.logprob is not None}
    if len(best) < 2:
        return None
    first, second = sorted(best.values(), reverse=True)[:2]
    return math.exp(min(first, 0.0)) - math.exp(min(second, 0.0))
