"""Tool calls put together from the pieces of a stream, as forgiving as the servers differ."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from collab_core.backends.chunks import ToolCallPart
from collab_core.domain import ToolCall
from collab_core.errors import ProtocolViolation

MAX_CALLS = 128


@dataclass
class _Growing:
    index: int | None
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class ToolParts:
    """The calls of one reply, in the order they began."""

    def __init__(self) -> None:
        self._calls: list[_Growing] = []

    def add(self, part: ToolCallPart) -> str:
        """Take one piece over; return what it adds for a reader's eyes.

        Raises:
            ProtocolViolation: one reply holds more than ``MAX_CALLS`` calls.
        """
        name = (part.function.name if part.function else None) or ""
        arguments = _text(part.function.arguments if part.function else None)
        call = self._find(part, name)
        shown = ""
        if call is None:
            call = self._begin(part)
            shown = "\n" if len(self._calls) > 1 else ""
        call.id = call.id or part.id or ""
        # some servers repeat the whole name in every piece, others cut it in two
        if name and name != call.name:
            call.name += name
            shown += name + " "
        if arguments:
            call.arguments.append(arguments)
            shown += arguments
        return shown

    def calls(self) -> tuple[ToolCall, ...]:
        """Return them complete; one without an id gets ``call_<position>``."""
        return tuple(
            ToolCall(id=call.id or f"call_{at}", name=call.name, arguments="".join(call.arguments))
            for at, call in enumerate(self._calls)
        )

    def _begin(self, part: ToolCallPart) -> _Growing:
        if len(self._calls) >= MAX_CALLS:
            raise ProtocolViolation(
                f"The server sent more than {MAX_CALLS} tool calls in one reply."
            )
        call = _Growing(index=part.index)
        self._calls.append(call)
        return call

    def _find(self, part: ToolCallPart, name: str) -> _Growing | None:
        """Return the call that the piece goes on with, or None if it begins one."""
        last = self._calls[-1] if self._calls else None
        if part.index is None:
            begins = last is None or (bool(name) and (part.id or "") != last.id)
            begins = begins or (
                last is not None and bool(name) and not part.id and bool(last.arguments)
            )
            return None if begins else last
        known = next((c for c in reversed(self._calls) if c.index == part.index), None)
        # a few servers number every parallel call 0 and tell them apart by id only
        if known is not None and name and part.id and known.id and part.id != known.id:
            return None
        return known


def _text(arguments: str | dict[str, object] | None) -> str:
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""
