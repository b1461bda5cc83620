"""The tool protocol and the schema that every tier is shown, byte for byte the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import msgspec

MAX_OBSERVATION_CHARS = 8_000


@dataclass(frozen=True, kw_only=True)
class ToolOutcome:
    """What the agent is shown; ``truncated`` says that more was there."""

    text: str
    truncated: bool = False
    hosts: tuple[str, ...] = ()
    """Hosts of the network that were asked for it, in order: the run's log keeps them."""


class Tool(Protocol):
    """One tool. It is called with arguments that were parsed from JSON, nothing more is checked."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments."""

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Do the work.

        Raises:
            ToolFailed: it could not; the message goes to the agent as its observation.
        """
        ...


@runtime_checkable
class StatefulTool(Tool, Protocol):
    """A tool that remembers its calls. Its state must follow from their arguments alone.

    A replay answers calls from the log without making them; the session hands them to
    :meth:`replay` instead, so that the first live call finds the state it would have had.
    """

    def fresh(self) -> StatefulTool:
        """Return one for a new branch of a run, with nothing remembered."""
        ...

    def replay(self, arguments: Mapping[str, Any], observation: str) -> None:
        """Take over what a call did that the log says succeeded.

        ``observation`` is what the agent was shown of it, cut where it was too long.

        Raises:
            ToolFailed: it cannot have succeeded: the tool's rules changed since.
        """
        ...


def tools_json(tools: Iterable[Tool]) -> bytes:
    """Return the OpenAI ``tools`` array in the given order: encode once, send unchanged."""
    return msgspec.json.encode(
        [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in tools
        ]
    )


class Toolbox:
    """What one agent can call: the tools by name, and the schemas it is shown, encoded once."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self.tools = tuple(tools)
        self.by_name: Mapping[str, Tool] = {tool.name: tool for tool in self.tools}
        self.json = tools_json(self.tools) if self.tools else b""
        self.stateful: Mapping[str, StatefulTool] = {
            tool.name: tool for tool in self.tools if isinstance(tool, StatefulTool)
        }

    def fresh(self) -> Toolbox:
        """Return one for another branch of the run: tools that remember begin anew."""
        if not self.stateful:
            return self
        return Toolbox(
            tool.fresh() if isinstance(tool, StatefulTool) else tool for tool in self.tools
        )
