"""Which tools this installation offers, as far as the web process can know.

The sandbox is the workers': they report what their self-check found, through the cache. While nobody
has reported, ``python`` can be chosen, and a worker without a sandbox says so at once.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.cache import cache

from collab_core.tools.registry import ToolOffer, available
from collab_core.tools.sandbox import SandboxReport, self_check

SANDBOX = "tandem:sandbox"
REPORTED_FOR_S = 3_600


def offers() -> list[ToolOffer]:
    """Return everything that can be chosen for a run, with the reason where it cannot."""
    return available(settings.TOOLS, reported_sandbox())


def report_sandbox() -> SandboxReport:
    """Check this worker's sandbox (two seconds the first time) and tell the web processes."""
    report = self_check(settings.TOOLS.sandbox)
    cache.set(SANDBOX, {"tier": report.tier, "reason": report.reason[:500]}, REPORTED_FOR_S)
    return report


def reported_sandbox() -> SandboxReport | None:
    """Return the tier and reason that a worker reported last; None if none did lately."""
    known: Any = cache.get(SANDBOX)
    return SandboxReport(tier=known["tier"], reason=known["reason"]) if known else None
