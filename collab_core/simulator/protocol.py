"""The OpenAI chat protocol with vLLM's additions: requests checked, replies written."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from collab_core.simulator.mind import SimulatedCall

_encode = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


class Refused(Exception):
    """A request that gets an error reply."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": status}}


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What the model generates, cut to the request's limits and split into tokens."""

    tokens: tuple[str, ...]
    call: SimulatedCall | None = None
    argument_tokens: tuple[str, ...] = ()
    finish_reason: str = "stop"
    certainty: float = 0.9
    randomness: str = ""

    @property
    def call_head_tokens(self) -> tuple[str, ...]:
        """Tokens of a call's name and frame, which are generated but not streamed one by one."""
        if self.call is None:
            return ()
        return ("<tool_call>", '\n{"name": "', self.call.name, '", "arguments": ')

    @property
    def call_overhead_tokens(self) -> int:
        return len(self.call_head_tokens)

    @property
    def count(self) -> int:
        return len(self.tokens) + len(self.argument_tokens) + self.call_overhead_tokens

    def message(self) -> dict[str, Any]:
        """Return it as one chat message."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.tokens)}
        if self.call:
            function = {"name": self.call.name, "arguments": "".join(self.argument_tokens)}
            message["tool_calls"] = [{"id": self.call.id, "type": "function", "function": function}]
        return message


@dataclass(kw_only=True)
class Measured:
    """What the reply reports of itself; seconds as they really passed."""

    prompt_tokens: int
    cached_tokens: int = 0
    completion_tokens: int = 0
    queue_s: float = 0.0
    first_token_s: float = 0.0
    generation_s: float = 0.0

    def usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "completion_tokens": self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

    def metrics(self) -> dict[str, float]:
        """Return the per-request metrics, named and measured as vLLM does."""
        intervals = max(1, self.completion_tokens - 1)
        rate = self.completion_tokens / self.generation_s if self.generation_s > 0 else 0.0
        return {
            "time_to_first_token_ms": self.first_token_s * 1000,
            "generation_time_ms": self.generation_s * 1000,
            "queue_time_ms": self.queue_s * 1000,
            "mean_itl_ms": self.generation_s * 1000 / intervals,
            "tokens_per_second": rate,
        }


@dataclass(kw_only=True)
class Envelope:
    """What all chunks of one reply share; ``logprobs`` is the number of alternatives, None = off."""

    id: str
    model: str
    logprobs: int | None = None
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(
        self,
        delta: Mapping[str, Any],
        *,
        logprobs: Mapping[str, Any] | None = None,
        finish_reason: str | None = None,
    ) -> bytes:
        """Return one server-sent event with one choice."""
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        return self._event("chat.completion.chunk", [choice])

    def usage_chunk(self, measured: Measured) -> bytes:
        """Return the last event before the end: no choice, but usage and metrics."""
        more = {"usage": measured.usage(), "metrics": measured.metrics()}
        return self._event("chat.completion.chunk", [], **more)

    def whole(
        self, generation: Generation, measured: Measured, *, finish_reason: str
    ) -> dict[str, Any]:
        """Return the body of a reply that is not streamed."""
        tokens = generation.tokens + generation.call_head_tokens + generation.argument_tokens
        content = token_logprobs(generation, tokens, self.logprobs)
        choice = {
            "index": 0,
            "message": generation.message(),
            "logprobs": None if self.logprobs is None else {"content": content},
            "finish_reason": finish_reason,
        }
        head = self._head("chat.completion", [choice])
        return {**head, "usage": measured.usage(), "metrics": measured.metrics()}

    def _head(self, kind: str, choices: Sequence[Any]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }

    def _event(self, kind: str, choices: Sequence[Any], **more: Any) -> bytes:
        return b"data: " + _encode({**self._head(kind, choices), **more}) + b"\n\n"


def token_logprobs(
    generation: Generation, tokens: Sequence[str], alternatives: int | None, offset: int = 0
) -> list[dict[str, Any]]:
    """Return the log-probabilities of some tokens: the sampled one first, as vLLM lists it."""
    if alternatives is None:
        return []
    entries = []
    for number, token in enumerate(tokens, offset):
        rng = random.Random(f"{generation.randomness}|{number}")
        probability = min(0.999, max(0.05, rng.gauss(generation.certainty, 0.08)))
        entry = _entry(token, math.log(probability))
        ranked = [entry]
        rest = 1.0 - probability
        for rank in range(1, alternatives):
            rest *= 0.6
            ranked.append(_entry(f"{token}~{rank}", math.log(max(rest, 1e-6))))
        entries.append({**entry, "top_logprobs": ranked[:alternatives]})
    return entries


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def check_request(body: Any, *, context_tokens: int, prompt_tokens: int) -> None:
    """Check the numbers of a request as vLLM does.

    Raises:
        Refused: with status 400.
    """
    limit = max_tokens(body)
    if limit is not None and limit < 1:
        raise Refused(400, f"max_tokens must be at least 1, got {limit}.")
    for name, low, high in (("temperature", 0.0, 100.0), ("top_p", 0.0, 1.0)):
        value = body.get(name)
        if value is None:
            continue
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not low <= value <= high
        ):
            raise Refused(400, f"{name} must be a number in [{low:g}, {high:g}], got {value!r}.")
    if prompt_tokens + (limit or 1) > context_tokens:
        raise Refused(
            400,
            f"This model's maximum context length is {context_tokens} tokens. However, you "
            f"requested {limit or 1} output tokens and your prompt contains {prompt_tokens} input "
            f"tokens. Please reduce the length of the input prompt or the number of requested "
            f"output tokens.",
        )


def check_messages(body: Any) -> None:
    """Check the shape of a request.

    Raises:
        Refused: with status 400.
    """
    if not isinstance(body, Mapping):
        raise Refused(400, "The body must be a JSON object.")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages must be a list with at least one message.")
    if not isinstance(body.get("tools") or [], list):
        raise Refused(400, "tools must be a list.")
    roles = {"system", "developer", "user", "assistant", "tool"}
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in roles:
            raise Refused(400, f"Each message must have a role out of {sorted(roles)}.")


def max_tokens(body: Mapping[str, Any]) -> int | None:
    """Return the output limit; None if there is none.

    Raises:
        Refused: it is not a whole number.
    """
    value = body.get("max_completion_tokens", body.get("max_tokens"))
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise Refused(400, f"max_tokens must be a whole number, got {value!r}.")
    return value


def alternatives(body: Mapping[str, Any]) -> int | None:
    """Return how many log-probabilities a token shall have; None if none are asked for."""
    if not body.get("logprobs"):
        return None
    count = body.get("top_logprobs") or 0
    if not isinstance(count, int) or not 0 <= count <= 20:
        raise Refused(400, f"top_logprobs must be in [0, 20], got {count!r}.")
    return count
