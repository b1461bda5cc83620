"""When to try again: exponential back-off with full jitter, and the server's own wish first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

from collab_core.errors import BackendError


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Bounds of the one retry loop; every duration in seconds.

    Source: full jitter as in AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """

    max_attempts: int = 4
    base_s: float = 0.5
    cap_s: float = 20.0
    retry_after_cap_s: float = 120.0
    """A longer wish of the server ends the call: waiting that long helps nobody."""

    def delay_s(self, error: BackendError, failures: int, random: Random) -> float | None:
        """Return how long to wait after the ``failures``-th failed try, or None to give up."""
        if not error.retryable or failures >= self.max_attempts:
            return None
        wish = error.retry_after_s
        if wish is not None and wish > self.retry_after_cap_s:
            return None
        jitter = random.uniform(0.0, min(self.cap_s, self.base_s * 2 ** (failures - 1)))
        return jitter if wish is None else wish + jitter


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the wait a response asks for in seconds, never negative; None if it does not.

    Understands ``retry-after-ms`` and both forms of ``Retry-After`` (RFC 9110, 10.2.3).
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("Retry-After")
    seconds = _number(value)
    if seconds is not None or value is None:
        return None if seconds is None else max(0.0, seconds)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
