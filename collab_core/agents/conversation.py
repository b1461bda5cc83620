"""One agent instance's prompt, and what of it a tier that takes over is given.

The prompt only grows: the system prompt and the tool schemas are the same bytes for every tier, so
each tier's prefix cache stays warm through any number of switches. A hand-over other than *full*
gives that up for a shorter prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from collab_core.agents.prompts import prompt
from collab_core.transcript import Transcript

HandOver = Literal["full", "compacted", "restart"]
KEPT_STEPS = 2
"""Latest steps that a compacted hand-over gives in full."""
_LINE_CHARS = 300

Message = Mapping[str, Any]


class Conversation:
    """``full`` is everything; ``current`` is what the tier in control is sent."""

    def __init__(self, head: Sequence[Message], hand_over: HandOver = "full") -> None:
        self._head = list(head)
        self._mode = hand_over
        self.full = Transcript(head)
        self._view: Transcript | None = None

    @property
    def current(self) -> Transcript:
        return self.full if self._view is None else self._view

    def append(self, message: Message) -> None:
        self.full.append(message)
        if self._view is not None:
            self._view.append(message)

    def hand_over(self, *, up: bool) -> bool:
        """Another tier takes control; return True if its prompt is not the one before it.

        A higher tier gets what the mode says; a lower one, that gets control back, everything.
        """
        before = self.current
        self._view = self._shortened() if up and self._mode != "full" else None
        return self.current is not before

    def _shortened(self) -> Transcript:
        if self._mode == "restart":
            return Transcript(self._head)
        work = list(self.full.messages)[len(self._head) :]
        starts = [n for n, message in enumerate(work) if message["role"] == "assistant"]
        kept_from = starts[-KEPT_STEPS] if len(starts) >= KEPT_STEPS else 0
        lines = [_line(message) for message in work[:kept_from]]
        if not lines:
            return Transcript([*self._head, *work])
        summary = prompt("compacted").replace("{work}", "\n".join(lines))
        return Transcript([*self._told(summary), *work[kept_from:]])

    def _told(self, text: str) -> list[Message]:
        """The head with a word more for the agent; two user messages in a row would break the chat
        templates that want roles to alternate."""
        *before, task = self._head
        if task["role"] != "user":
            return [*self._head, {"role": "user", "content": text}]
        return [*before, {**task, "content": f"{task['content']}\n\n{text}"}]


def _line(message: Message) -> str:
    """A message on one line: who said it, and how it begins."""
    said = " ".join(str(message.get("content") or "").split())[:_LINE_CHARS]
    calls = message.get("tool_calls") or ()
    made = "; ".join(f"{c['function']['name']} {c['function']['arguments']}" for c in calls)
    who = {"assistant": "Agent", "tool": "Result"}.get(message["role"], "Note")
    return f"{who}: {said}" + (f" -> {made[:_LINE_CHARS]}" if made else "")
