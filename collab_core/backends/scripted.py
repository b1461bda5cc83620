"""A backend that plays a script: for tests, examples and documentation, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest

Scripted = ModelReply | Exception | Callable[[ModelRequest], "ModelReply | Exception"]
_PIECE_CHARS = 16


class ScriptExhausted(AssertionError):
    """More model calls were made than the script has replies."""


class ScriptedBackend:
    """Answers the n-th call with the n-th reply; the text streams in pieces of 16 characters.

    An exception is raised, a callable is asked. ``requests`` holds every request, in order.
    """

    def __init__(self, replies: Iterable[Scripted]) -> None:
        self._replies = iter(replies)
        self.requests: list[ModelRequest] = []
        self.closed = False

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        """Return the next reply of the script.

        Raises:
            ScriptExhausted: there is none left.
        """
        self.requests.append(request)
        try:
            scripted = next(self._replies)
        except StopIteration:
            raise ScriptExhausted(
                f"The script has no reply for call {len(self.requests)}."
            ) from None
        # a real call always gives other tasks a turn
        await asyncio.sleep(0)
        outcome = scripted if isinstance(scripted, ModelReply | Exception) else scripted(request)
        if isinstance(outcome, Exception):
            raise outcome
        if on_delta is not None:
            _stream(outcome, on_delta)
        return outcome

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True


def _stream(reply: ModelReply, on_delta: DeltaSink) -> None:
    attempt = len(reply.attempts)
    calls = "\n".join(f"{call.name} {call.arguments}" for call in reply.tool_calls)
    for text, kind in ((reply.reasoning, "reasoning"), (reply.text, "text"), (calls, "tool_call")):
        for offset in range(0, len(text), _PIECE_CHARS):
            on_delta(attempt, offset, text[offset : offset + _PIECE_CHARS], kind)
