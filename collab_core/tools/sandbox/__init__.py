"""A sandbox for code that a model wrote.

A ladder of rungs, the strongest that works on this machine first: ``strong`` (own namespaces by
bubblewrap), ``reduced`` (Landlock), ``language`` (another interpreter), ``off``. Which one it is, a
self-check finds out by trying to get out. The kernel is shared with the host: this is no virtual
machine. docs/sandbox.md says what each rung keeps away.
"""

from __future__ import annotations

from collab_core.tools.sandbox.base import (
    Check,
    Execution,
    Sandbox,
    SandboxLimits,
    SandboxReport,
    SandboxUnavailable,
)
from collab_core.tools.sandbox.selfcheck import self_check

__all__ = [
    "Check",
    "Execution",
    "Sandbox",
    "SandboxLimits",
    "SandboxReport",
    "SandboxUnavailable",
    "self_check",
]
