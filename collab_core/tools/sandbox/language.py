"""The rung where files are guarded by an interpreter alone, not by the kernel.

Monty runs a subset of Python and knows no files and no system. A fault in it would show the worker's
files; network and further processes are closed to it by the list of system calls. Hence this rung is
taken only where an operator accepts it by name.

It is driven by its command, not by its Python package: that one's threads were seen to abort the whole
process now and then when it exits (version 1.4.0 on Python 3.11).
"""

from __future__ import annotations

import re
import shutil
import sysconfig
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from collab_core.tools.sandbox.base import Execution, SandboxLimits, SandboxUnavailable
from collab_core.tools.sandbox.confined import base_config, bootstrap_source
from collab_core.tools.sandbox.execution import execute
from collab_core.tools.sandbox.interpreter import (
    Interpreter,
    drop_privileges,
    find_interpreter,
    first_to_go,
)
from collab_core.tools.sandbox.syscalls import seccomp_program

PACKAGE = "pydantic-monty-runtime"
_CLOCK = re.compile(r"^[\d.]+(?:ns|[μµ]s|ms|s) ❯ (?:None\n)?", re.MULTILINE)
"""What its command puts before a result and before an error; no result is shown as None."""
_OWN_BYTES = 256 << 20
"""Address space of the interpreter itself, beside the code's memory."""


@dataclass(frozen=True, kw_only=True)
class RestrictedPython:
    """Runs code in Monty, in a process of its own for each call."""

    interpreter: Interpreter
    """Closes the doors, then hands over."""
    binary: Path
    version: str
    program: bytes
    """The seccomp filter."""
    tier: Literal["language"] = "language"

    @property
    def description(self) -> str:
        return f"subset by Monty {self.version}"

    async def run(self, code: str, limits: SandboxLimits | None = None) -> Execution:
        """See :class:`Sandbox`."""
        limits = limits or SandboxLimits()
        command = self._command(limits)
        seen = await execute(command, code, limits, program=self.program, environment={})
        return replace(seen, output=_CLOCK.sub("", seen.output))

    def _command(self, limits: SandboxLimits) -> list[str]:
        config = base_config(limits) | {
            "rung": "language",
            "readable": None,
            "command": [str(self.binary), "--max-memory", str(limits.memory_bytes)],
        }
        config["rlimits"]["AS"] += _OWN_BYTES
        return [
            *drop_privileges(),
            *first_to_go(),
            *(str(self.interpreter.executable), "-I", "-S", "-B", "-c"),
            bootstrap_source(),
            repr(config),
        ]


def language() -> RestrictedPython:
    """Return the rung that an interpreter guards.

    Raises:
        SandboxUnavailable: Monty, libseccomp or a Python to start it is missing.
    """
    own = Path(sysconfig.get_path("scripts")) / "monty"
    binary = str(own) if own.is_file() else shutil.which("monty")
    try:
        installed = version(PACKAGE)
    except PackageNotFoundError:
        installed = ""
    if not binary or not installed:
        raise SandboxUnavailable("Monty is not installed.", hint=f"pip install {PACKAGE}")
    return RestrictedPython(
        interpreter=find_interpreter(),
        binary=Path(binary),
        version=installed,
        program=seccomp_program("language"),
    )
