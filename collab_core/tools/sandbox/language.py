"""The rung that the kernel does not guard: another interpreter, which knows no files and no system.

Monty (pydantic-monty) runs a subset of Python: no classes of the standard library's system parts, no
third-party packages. Its promise is that of its authors; a fault in it is a way out. Hence it is
taken only where an operator accepts it by name.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

from collab_core.tools.sandbox.base import Ending, Execution, SandboxLimits, SandboxUnavailable
from collab_core.tools.sandbox.execution import Capture, slot

_GRACE_S = 2.0
"""Between our own clock and the interpreter's, which is the second line."""


@dataclass(frozen=True, kw_only=True)
class RestrictedPython:
    """Runs code in an interpreter of its own, in a process of its own for each call."""

    version: str
    tier: Literal["language"] = "language"

    @property
    def description(self) -> str:
        return f"subset by Monty {self.version}"

    async def run(self, code: str, limits: SandboxLimits | None = None) -> Execution:
        """See :class:`Sandbox`; processor time and file sizes are no limits of their own here."""
        limits = limits or SandboxLimits()
        printed = _Printed(limits)
        async with slot():
            started = time.monotonic()
            ending = await _bounded(code, limits, printed)
        output, truncated = printed.capture.text()
        return Execution(
            ending=ending,
            exit_code=0 if ending == "finished" else 1,
            output=output,
            output_bytes=printed.capture.total_bytes,
            truncated=truncated or ending == "flood",
            duration_s=time.monotonic() - started,
        )


class _Printed:
    """Takes what the code prints and says when it is too much."""

    def __init__(self, limits: SandboxLimits) -> None:
        self.capture = Capture(shown_chars=limits.shown_chars)
        self.flooded = asyncio.Event()
        self._limit_bytes = limits.output_bytes
        self._loop = asyncio.get_running_loop()

    def __call__(self, _stream: str, text: str) -> None:
        if self.capture.total_bytes <= self._limit_bytes:
            self.capture.add(text.encode("utf-8", errors="backslashreplace"))
        else:
            # it may be another thread that hands the text over
            self._loop.call_soon_threadsafe(self.flooded.set)


async def _bounded(code: str, limits: SandboxLimits, printed: _Printed) -> Ending:
    """Run the code until it ends, floods or the time is over; leaving the pool kills it."""
    wall_s = min(limits.wall_s, limits.cpu_s)
    feed = asyncio.ensure_future(_feed(code, limits, printed, wall_s + _GRACE_S))
    flood = asyncio.ensure_future(printed.flooded.wait())
    try:
        await asyncio.wait({feed, flood}, timeout=wall_s, return_when=asyncio.FIRST_COMPLETED)
        if flood.done():
            return "flood"
        return feed.result() if feed.done() else "wall"
    finally:
        for task in (feed, flood):
            task.cancel()
        await asyncio.wait({feed, flood})


async def _feed(code: str, limits: SandboxLimits, printed: _Printed, request_s: float) -> Ending:
    # its compiled part is loaded only where this rung is used
    import pydantic_monty as monty  # noqa: PLC0415

    text = code.encode("utf-8", errors="backslashreplace").decode()
    bounds: monty.ResourceLimits = {
        "max_memory": limits.memory_bytes,
        # for the case that this process is killed and asks no more
        "max_feed_duration_secs": request_s,
    }
    pool = monty.AsyncMonty(min_processes=1, max_processes=1, request_timeout=request_s)
    try:
        async with pool, pool.checkout(limits=bounds) as session:
            value = await session.feed_run(text, print_callback=printed)
    except (monty.MontyRuntimeError, monty.MontySyntaxError) as error:
        printed("stderr", error.display() + "\n")
        return "failed"
    except monty.MontyCrashedError:
        return "crashed"
    except monty.MontyError as error:
        printed("stderr", f"{error}\n")
        return "failed"
    if value is not None:
        printed("stdout", f"{value!r}\n")
    return "finished"


def language() -> RestrictedPython:
    """Return the rung that only an interpreter guards.

    Raises:
        SandboxUnavailable: pydantic-monty is not installed or does not load.
    """
    try:
        import pydantic_monty  # noqa: PLC0415
    except ImportError as error:
        raise SandboxUnavailable(
            f"pydantic-monty could not be loaded ({error}).", hint="pip install pydantic-monty"
        ) from error
    return RestrictedPython(version=pydantic_monty.__version__)
