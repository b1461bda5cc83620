"""Labelled points at which a test lets this very process die: ``FAULT=name:nth`` (SIGKILL).

Without the variable a point is one comparison. The walk over all of them is in ``tests/faults``.
"""

from __future__ import annotations

import itertools
import os
import signal

POINTS = (
    "after_claim",
    "before_commit",
    "in_transaction",
    "after_commit",
    "before_model_call",
    "after_model_call",
    "after_terminal",
)


def _armed() -> tuple[str, int]:
    name, _, nth = os.environ.get("FAULT", "").partition(":")
    if name and name not in POINTS:
        raise ValueError(f"FAULT={name}: the points are {', '.join(POINTS)}")
    return name, int(nth or 1)


_NAME, _NTH = _armed()
_passes = itertools.count(1)


def point(name: str) -> None:
    """Die here by SIGKILL if this is the armed point and its turn."""
    if name == _NAME and next(_passes) == _NTH:
        os.kill(os.getpid(), signal.SIGKILL)
