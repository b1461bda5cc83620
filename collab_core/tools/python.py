"""The tool that runs Python, in a sandbox or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from collab_core.errors import ToolFailed
from collab_core.tools.arguments import only_arguments, text_argument
from collab_core.tools.base import MAX_OBSERVATION_CHARS, ToolOutcome
from collab_core.tools.sandbox.base import Execution, Sandbox, SandboxLimits, SandboxUnavailable

MAX_CODE_CHARS = 50_000
_USAGE = 'python({"code": "print(sum(range(10)))"})'
_NOTE_CHARS = 300
"""Room for the line that says how it ended."""


class Python:
    """Runs a program of the model; every call begins anew."""

    name = "python"
    description = (
        "Run a Python program and return what it prints. It has the standard library, and numpy where "
        "it is installed; no network, no other processes. Nothing is kept between calls: no "
        "variables, no files. Print every result you want to see."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {"code": {"type": "string", "description": "The whole program"}},
        "required": ["code"],
        "additionalProperties": False,
    }

    def __init__(self, sandbox: Sandbox, limits: SandboxLimits | None = None) -> None:
        """Take a sandbox that held: ``self_check().sandbox``, if that is not None."""
        self._sandbox = sandbox
        self._limits = replace(
            limits or SandboxLimits(), shown_chars=MAX_OBSERVATION_CHARS - _NOTE_CHARS
        )

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Return the output, and how it ended if not well; a cancelled call kills the program.

        Raises:
            ToolFailed: the arguments are wrong, or the sandbox did not start.
        """
        only_arguments(arguments, ("code",), usage=_USAGE)
        # checked only: stripping would break the indentation of the first line
        text_argument(arguments, "code", usage=_USAGE, max_chars=MAX_CODE_CHARS)
        try:
            execution = await self._sandbox.run(arguments["code"], self._limits)
        except SandboxUnavailable as error:
            raise ToolFailed(f"{error.message} Go on without the python tool.") from error
        return ToolOutcome(text=self._observation(execution), truncated=execution.truncated)

    def _observation(self, execution: Execution) -> str:
        output = execution.output.rstrip()
        note = self._note(execution)
        if not output and not note:
            note = "[it printed nothing; print what you want to see]"
        return "\n".join(part for part in (output, note) if part)

    def _note(self, execution: Execution) -> str:
        limits = self._limits
        match execution.ending:
            case "finished":
                return ""
            case "failed":
                return f"[it ended with status {execution.exit_code}]"
            case "wall":
                return f"[stopped: it ran longer than {limits.wall_s:g} s]"
            case "cpu":
                return f"[stopped: it used more than {limits.cpu_s} s of processor time]"
            case "flood":
                return f"[stopped: it wrote more than {limits.output_bytes:,} bytes]"
            case "crashed":
                return f"[the interpreter died of signal {_signal(execution.exit_code)}]"


def _signal(exit_code: int) -> int:
    return -exit_code if exit_code < 0 else exit_code - 128
