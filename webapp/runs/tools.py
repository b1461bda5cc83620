"""Which tools this installation offers, as far as the web process can know.

The sandbox is the workers': they report what their self-check found, through the cache. While nobody
has reported, ``python`` can be chosen, and a worker without a sandbox says so at once.
"""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from collab_core.tools.registry import ToolOffer, available
from collab_core.tools.sandbox import SandboxReport, self_check

logger = logging.getLogger(__name__)

SANDBOX = "tandem:sandbox"
REPORTED_FOR_S = 3_600


def offers() -> list[ToolOffer]:
    """Return everything that can be chosen for a run, with the reason where it cannot."""
    return available(settings.TOOLS, reported_sandbox())


def report_sandbox() -> SandboxReport:
    """Check this worker's sandbox (two seconds the first time) and tell the web processes."""
    report = self_check(settings.TOOLS.sandbox)
    try:
        cache.set(SANDBOX, {"tier": report.tier, "reason": report.reason[:500]}, REPORTED_FOR_S)
    except (RedisError, OSError) as error:
        logger.warning("the sandbox's tier was not reported: %s", error)
    return report


def reported_sandbox() -> SandboxReport | None:
    """Return the tier and reason that a worker reported last; None if none did lately.

    Runs can be submitted while Redis is down: then nothing is known of the workers.
    """
    try:
        known: Any = cache.get(SANDBOX)
    except (RedisError, OSError) as error:
        logger.warning("nothing is known of the workers' sandbox: %s", error)
        return None
    return SandboxReport(tier=known["tier"], reason=known["reason"]) if known else None
