"""Ask a tier whether it works, how fast it is and what it can do: by real completions only.

``/health`` and ``/models`` answer 200 while the engine behind them is dead (vllm issue 39863), so
they prove nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.models import served_models
from collab_core.backends.official import official_client_error
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.backends.retry import RetryPolicy
from collab_core.domain import Tier
from collab_core.errors import BackendError
from collab_core.transcript import Transcript

_SPEED_TOKENS = 64
_ONCE = RetryPolicy(max_attempts=1)
# long enough for two whole blocks of any common block size, so that a repeat can hit a cache
_LONG_TEXT = " ".join(f"item {number} of the list;" for number in range(80))


@dataclass(frozen=True, kw_only=True)
class ProbeReport:
    """What one look at a tier found. None = not known, because an earlier question failed."""

    works: bool
    error_code: str = ""
    error: str = ""
    hint: str = ""
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    """Of one stream, the first token left out; where the reply came in lumps, a lower bound with it."""
    output_tokens: int = 0
    models: tuple[str, ...] | None = None
    """What the server lists; None = it lists nothing."""
    reports_usage: bool | None = None
    reports_cached_tokens: bool | None = None
    """The server tells how much of a prompt it had cached."""
    reports_queue: bool | None = None
    """Per-request metrics: how long a call waited inside the server."""
    gives_logprobs: bool | None = None
    structured_output: bool | None = None
    """The server enforces ``structured_outputs``: an old or other server ignores the field."""
    supports_priority: bool | None = None
    official_client: bool | None = None
    """The ``openai`` package gets a completion from it too."""
    notes: tuple[str, ...] = field(default=())
    """Why a question has no answer, one line each."""


async def answers(
    tier: Tier, *, environ: Mapping[str, str] | None = None, logprobs: bool = False
) -> BackendError | None:
    """Return None if a one-token completion succeeds, else why it does not."""
    backend = OpenAICompatible(retry=_ONCE, environ=environ)
    try:
        await backend.complete(_request(tier, tokens=1, logprobs=logprobs))
    except BackendError as error:
        return error
    finally:
        await backend.aclose()
    return None


async def probe(tier: Tier, *, environ: Mapping[str, str] | None = None) -> ProbeReport:
    """Look at the tier: eight small calls at most, none tried twice."""
    backend = OpenAICompatible(retry=_ONCE, environ=environ)
    try:
        await backend.complete(_request(tier, tokens=1))
        pieces: list[str] = []
        speed = await backend.complete(
            _request(tier, tokens=_SPEED_TOKENS), lambda _a, _o, text, _k: pieces.append(text)
        )
        return await _look(backend, tier, speed, len(pieces))
    except BackendError as error:
        return ProbeReport(
            works=False,
            error_code=error.code,
            error=error.message,
            hint=error.hint,
            models=await _models(backend, tier),
        )
    finally:
        await backend.aclose()


async def _look(
    backend: OpenAICompatible, tier: Tier, speed: ModelReply, pieces: int
) -> ProbeReport:
    notes: list[str] = []
    await _optional(backend, _request(tier, text=_LONG_TEXT), "cache warm-up", notes)
    again = await _optional(backend, _request(tier, text=_LONG_TEXT), "cached tokens", notes)
    logprobs = await _optional(
        backend, _request(tier, tokens=2, logprobs=True), "log-probabilities", notes
    )
    enforcing = replace(tier, structured_output=True)
    structured = await _optional(
        backend,
        _request(enforcing, tokens=8, structured={"regex": "qz[0-9]"}),
        "structured outputs",
        notes,
    )
    urgent = replace(tier, supports_priority=True)
    priority = await _optional(backend, _request(urgent, tokens=1, priority=1), "priority", notes)
    cached = None if again is None else again.usage.cached_tokens
    official = await official_client_error(tier, backend.pool.get(tier).key)
    if official:
        notes.append(f"official client: {official}")
    return ProbeReport(
        works=True,
        first_token_s=speed.timing.first_token_s,
        tokens_per_s=_tokens_per_s(speed, pieces),
        output_tokens=speed.usage.output_tokens,
        models=await _models(backend, tier),
        reports_usage=not speed.usage.estimated,
        reports_cached_tokens=None if again is None else cached is not None,
        reports_queue=speed.timing.queued_s is not None,
        gives_logprobs=None if logprobs is None else logprobs.mean_logprob is not None,
        structured_output=structured is not None and _obeys(structured.text),
        # a server without priorities refuses the field, or never sees it
        supports_priority=None if priority is None else not priority.attempts,
        official_client=not official,
        notes=tuple(notes),
    )


def _request(
    tier: Tier, *, text: str = "Count slowly from 1 to 100.", tokens: int = 1, **extra: Any
) -> ModelRequest:
    transcript = Transcript([{"role": "user", "content": text}])
    return ModelRequest(tier=tier, transcript=transcript, max_output_tokens=tokens, **extra)


async def _optional(
    backend: OpenAICompatible, request: ModelRequest, what: str, notes: list[str]
) -> ModelReply | None:
    try:
        return await backend.complete(request)
    except BackendError as error:
        notes.append(f"{what}: {error.message}")
        return None


def _obeys(text: str) -> bool:
    return len(text) == 3 and text.startswith("qz") and text[2].isdigit()


def _tokens_per_s(reply: ModelReply, pieces: int) -> float | None:
    tokens, timing = reply.usage.output_tokens, reply.timing
    if tokens < 2:
        return None
    if pieces * 4 < tokens or timing.decode_s <= 0:
        # it came in a few lumps, so the first one's arrival says nothing: a lower bound
        return tokens / timing.total_s if timing.total_s > 0 else None
    return (tokens - 1) / timing.decode_s


async def _models(backend: OpenAICompatible, tier: Tier) -> tuple[str, ...] | None:
    try:
        return await served_models(backend.pool.get(tier))
    except BackendError:
        return None
