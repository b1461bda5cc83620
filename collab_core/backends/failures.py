"""From what went wrong on the wire to the error class that says what a person can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from collab_core.backends.retry import retry_after_s
from collab_core.backends.wire import OPTIONAL_FIELDS
from collab_core.backends.wording import clean, error_text
from collab_core.domain import Tier
from collab_core.errors import (
    BackendError,
    ContextTooLong,
    EndpointFailed,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    ProtocolViolation,
    RateLimited,
    RequestRejected,
)

_TOO_LONG = re.compile(
    r"(?i)context[_ ](length|window|size)|maximum context|max_model_len|prompt is too long"
    r"|exceeds? the (available|model'?s?) context|too many tokens|input is too long"
)
_BROKEN = frozenset({408, 409, 425})
"""4xx statuses that are about the moment, not about the request."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer that is not 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def error_of(refusal: Refusal, tier: Tier, *, secret: str = "") -> BackendError:
    """Return the error for a response with a bad status."""
    status = refusal.status
    said = f"HTTP {status}: {error_text(refusal.body, secret=secret)}"
    wait = retry_after_s(refusal.headers)
    if status in {401, 402, 403}:
        return EndpointRefused(said, hint=_key_hint(tier), status=status)
    if status in {404, 405} or 300 <= status < 400:
        return _not_here(refusal, tier, said, secret)
    if status == 429:
        hint = f"Lower the concurrency of tier {tier.name!r} (now {tier.max_concurrency}) or wait."
        return RateLimited(said, hint=hint, status=status, retry_after_s=wait)
    if status >= 500 or status in _BROKEN:
        hint = "The model server is failing; look at its log."
        return EndpointFailed(said, hint=hint, status=status, retry_after_s=wait)
    if status < 300:
        return ProtocolViolation(f"{said} (200 with a reply was expected)", status=status)
    if _TOO_LONG.search(said):
        hint = (
            f"Lower the output limit, or set the context of tier {tier.name!r} "
            f"(now {tier.context_tokens} tokens) to what its server really has."
        )
        return ContextTooLong(said, hint=hint, status=status)
    return RequestRejected(said, hint="The server refuses this very request.", status=status)


def _key_hint(tier: Tier) -> str:
    if not tier.api_key_env:
        return f"Tier {tier.name!r} sends no key: name the environment variable that holds it."
    return (
        f"The variable {tier.api_key_env} is set, but this endpoint does not accept its value "
        f"for model {tier.model!r}."
    )


def _not_here(refusal: Refusal, tier: Tier, said: str, secret: str) -> EndpointRefused:
    if 300 <= refusal.status < 400:
        target = clean(refusal.headers.get("Location", "?"), secret=secret)
        hint = "Redirects are not followed, so that a key stays with its host: enter the final address."
        return EndpointRefused(
            f"HTTP {refusal.status}: the server redirects to {target}",
            hint=hint,
            status=refusal.status,
        )
    hint = (
        f"Check that {tier.base_url} is right (it usually ends in /v1) and serves {tier.model!r}."
    )
    return EndpointRefused(said, hint=hint, status=refusal.status)


def refused_field(error: BackendError, sent: frozenset[str]) -> str | None:
    """Return the optional field that a 400 or 422 names as the culprit, if it was sent."""
    if error.status not in {400, 422} or isinstance(error, ContextTooLong):
        return None
    if "max_tokens" in sent and "max_completion_tokens" in error.message:
        return "max_tokens"
    for name in OPTIONAL_FIELDS:
        if name in sent and re.search(rf"\b(top_)?{name}\b", error.message):
            return name
    return None


def timeout_of(phase: str, limit_s: float, tier: Tier) -> EndpointTimeout:
    """Return the error for the timeout that ran out."""
    text = {
        "connect": "no connection",
        "first_byte": "no first byte of a reply",
        "between_chunks": "nothing more of the reply",
        "total": "no complete reply",
    }[phase]
    return EndpointTimeout(
        f"Tier {tier.name!r}: {text} within {limit_s:g} s ({phase}_s).",
        phase=phase,
        hint=f"Look at the load of the model server, or raise {phase}_s of this tier.",
    )


def connection_error_of(
    error: aiohttp.ClientError, tier: Tier, *, secret: str = ""
) -> BackendError:
    """Return the error for a connection that failed before or during the reply."""
    said = clean(str(error) or type(error).__name__, secret=secret)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return timeout_of("connect", tier.timeouts.connect_s, tier)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        hint = "Install the server's certificate authority where the worker runs."
        return EndpointUnreachable(f"The certificate is not trusted: {said}", hint=hint)
    if isinstance(error, aiohttp.ClientConnectorError):
        hint = f"Check the address {tier.base_url} and that the model server runs."
        return EndpointUnreachable(f"No connection: {said}", hint=hint)
    if isinstance(error, aiohttp.InvalidURL):
        return EndpointUnreachable(
            f"The address cannot be used: {said}", hint="Correct the base URL."
        )
    if isinstance(error, aiohttp.ClientResponseError):
        return ProtocolViolation(
            f"The server does not speak HTTP as it should: {said}",
            hint=f"Check the address {tier.base_url}.",
        )
    hint = "The model server may have died or restarted; look at its log."
    return EndpointFailed(f"The connection was cut: {said}", hint=hint)
