"""Reading an assistant's turn: its one tool call, its answer, its thought. Linear time, no regex."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from collab_core.domain import ToolCall
from collab_core.progress import without_block
from collab_core.tools.arguments import json_object

MAX_ANSWER_CHARS = 20_000
_MAX_DEPTH = 4
"""Of arguments that are read as words."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a turn does: a tool call, an answer, or neither."""

    thought: str
    call: ToolCall | None = None
    answer: str | None = None
    ignored_calls: int = 0
    """Tool calls after the first: only one is run a step."""


def read_turn(text: str, tool_calls: tuple[ToolCall, ...], *, step: int) -> Turn:
    """Read a reply. A tool call wins over an answer, as in WebSailor's loop.

    Servers without a tool-call parser leave the call in the text, between ``<tool_call>`` and
    ``</tool_call>``; it is read from there.
    """
    calls, rest = tool_calls, text
    if not calls:
        calls, rest = _calls_in_text(text, step=step)
    thought = _strip_tag(_strip_tag(without_block(rest), "answer"), "think", keep_inner=True)
    if calls:
        return Turn(thought=thought, call=calls[0], ignored_calls=len(calls) - 1)
    return Turn(thought=thought, answer=_tagged_answer(text))


def one_line(call: ToolCall, *, limit: int = 160) -> str:
    """Return the call for lists: its name and argument values, at most ``limit`` characters."""
    try:
        arguments = json_object(call.arguments)
        inner = ", ".join(map(_flat, arguments.values()))
    except msgspec.DecodeError:
        inner = call.arguments
    line = " ".join(f"{call.name}: {inner}".split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _flat(value: Any, depth: int = 0) -> str:
    """Return a value's words: a list of tasks reads as the tasks, not as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict) and value and depth < _MAX_DEPTH:
        parts = value.values() if isinstance(value, dict) else value
        between = ", " if isinstance(value, dict) else " | "
        return between.join(_flat(part, depth + 1) for part in parts)
    return msgspec.json.encode(value).decode()


def assistant_message(text: str, call: ToolCall | None) -> dict[str, Any]:
    """Return the message to keep in the prompt, valid for every chat template.

    Arguments that are not a JSON object would make some servers refuse all later requests, so they
    are kept as a string inside one.
    """
    if call is None:
        return {"role": "assistant", "content": text}
    try:
        json_object(call.arguments)
        arguments = call.arguments or "{}"
    except msgspec.DecodeError:
        arguments = msgspec.json.encode({"malformed": call.arguments[:2_000]}).decode()
    function = {"name": call.name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": text,
        "tool_calls": [{"id": call.id, "type": "function", "function": function}],
    }


def _calls_in_text(text: str, *, step: int) -> tuple[tuple[ToolCall, ...], str]:
    start = text.find("<tool_call>")
    if start < 0:
        return (), text
    end = text.find("</tool_call>", start)
    inner = text[start + len("<tool_call>") : end if end >= 0 else len(text)].strip()
    rest = text[:start]
    try:
        parsed = json_object(inner)
        name = parsed.get("name")
        if not isinstance(name, str):
            raise msgspec.DecodeError("no name")
        arguments = msgspec.json.encode(parsed.get("arguments", {})).decode()
    except msgspec.DecodeError:
        name, arguments = "malformed_tool_call", inner[:2_000]
    more = text.count("<tool_call>") - 1
    first = ToolCall(id=f"text-{step}", name=name, arguments=arguments)
    return (first,) + (first,) * more, rest


def _tagged_answer(text: str) -> str | None:
    start = text.rfind("<answer>")
    if start < 0:
        return None
    end = text.find("</answer>", start)
    inner = text[start + len("<answer>") : end if end >= 0 else len(text)]
    return inner.strip()[:MAX_ANSWER_CHARS]


def _strip_tag(text: str, tag: str, *, keep_inner: bool = False) -> str:
    opening, closing = f"<{tag}>", f"</{tag}>"
    start = text.find(opening)
    if start < 0:
        return text.strip()
    if keep_inner:
        return text.replace(opening, "").replace(closing, "").strip()
    end = text.find(closing, start)
    return (text[:start] + ("" if end < 0 else text[end + len(closing) :])).strip()
