"""What every rung of the sandbox's ladder has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from collab_core.errors import TandemError

Tier = Literal["strong", "reduced", "language", "off"]
Ending = Literal["finished", "failed", "wall", "cpu", "flood", "crashed"]


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What one execution may use."""

    wall_s: float = 20.0
    """Counted from the moment the interpreter is ready."""
    cpu_s: int = 20
    """Processor time of all threads together."""
    memory_bytes: int = 1 << 30
    """Address space of the one process, the interpreter itself included."""
    output_bytes: int = 10_000_000
    """Standard output and standard error together; above it the code is killed."""
    shown_chars: int = 8_000
    """How much of the output is kept: the beginning and the end."""
    file_bytes: int = 32 << 20
    """Largest file, and all files in /tmp together (``strong`` only: elsewhere nothing is writable)."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What became of a piece of code.

    ``ending``: *finished* = the last line was reached or it left with status 0; *failed* = an
    exception or another status; *wall*, *cpu* and *flood* name the limit that killed it;
    *crashed* = the interpreter died of a signal.
    """

    ending: Ending
    exit_code: int
    """Negative or above 128: a signal."""
    output: str
    """Standard output and standard error in their order; not UTF-8 is shown as \\xNN."""
    output_bytes: int
    """How much was written, also what is not shown."""
    truncated: bool
    duration_s: float
    """From ready to dead."""


class Check(NamedTuple):
    """One attempt of the self-check. ``passed``: the attempt to get out failed."""

    name: str
    passed: bool
    detail: str


class Sandbox(Protocol):
    """Runs code that may be hostile. Every execution begins anew: nothing is kept."""

    @property
    def tier(self) -> Tier: ...

    @property
    def description(self) -> str:
        """For people: which Python it is."""
        ...

    async def run(self, code: str, limits: SandboxLimits | None = None) -> Execution:
        """Run the code; a cancelled call kills it at once.

        Raises:
            SandboxUnavailable: the sandbox itself did not start.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class SandboxReport:
    """The outcome of the self-check."""

    tier: Tier
    checks: tuple[Check, ...] = ()
    """The attempts on the rung that was chosen; on ``off``, those of the last rung tried."""
    reason: str = ""
    """Why it is not a stronger rung ("" on ``strong``)."""
    python: str = ""
    """The sandbox's own description."""
    sandbox: Sandbox | None = field(default=None, repr=False)
    """None exactly on ``off``."""


class SandboxUnavailable(TandemError):
    """This rung does not work on this machine; the message says what is missing."""

    code = "sandbox_unavailable"
