"""What a grader that comes after the run may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from collab_core.backends.base import Backend
from collab_core.benchmarks.grades import Grade
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Tier
from collab_core.tools.sandbox.base import Sandbox

Need = Literal["judge", "critic", "sandbox"] | None
MAX_GRADED_CHARS = 20_000
"""A longer text is no answer to a question; a written work may be longer."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What the caller has: a grader without what it needs says *unscored*, and why."""

    backend: Backend | None = None
    tier: Tier | None = None
    """The judge's or critic's model."""
    sandbox: Sandbox | None = None

    def meet(self, need: Need) -> bool:
        """Tell whether a grader with this need has what it needs."""
        if need is None:
            return True
        if need == "sandbox":
            return self.sandbox is not None
        return self.backend is not None and self.tier is not None


GradeLater = Callable[[BenchmarkTask, str, Means], Awaitable[Grade]]


def printable(text: str) -> str:
    """Return the text without what JSON cannot carry: halves of characters."""
    return text.encode("utf-8", errors="replace").decode()
