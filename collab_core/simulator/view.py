"""A chat request as a simulated model sees it: nothing else is known to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Mode = Literal["think", "check", "answer"]
_HIT = re.compile(
    r"^\[(?P<id>[\w-]{1,40})\] (?P<title>[^\n]{1,300})(?:\n {2,}(?P<text>[^\n]*))?", re.M
)
_PAGE = re.compile(r"\A\[(?P<id>[\w-]{1,40})\] (?P<title>[^\n]{1,300}?)(?: \(part \d+ of \d+\))?\n")
_PART_LABEL = re.compile(r" \(part \d+ of \d+\)$")
_NOTE = re.compile(
    r"^(?P<kind>Finding|Doubtful finding|Correction|Withdrawn): "
    r"(?P<body>[^\n]{3,400}?)(?: \[(?P<page>[\w-]{1,40})\])?\.$",
    re.M,
)
_MUST_ANSWER = re.compile(r"must answer|final answer", re.I)


class Page(NamedTuple):
    """A document, or a part of it, that the agent has read."""

    id: str
    title: str
    text: str


class Hit(NamedTuple):
    """A line of a search result."""

    id: str
    title: str
    text: str


class Note(NamedTuple):
    """Something an earlier turn wrote down; ``call`` counts the calls made before that turn."""

    kind: str
    body: str
    page: str
    call: int


@dataclass(kw_only=True)
class Call:
    """A tool call and its observation; the lists hold what could be recognised in it."""

    name: str
    arguments: Mapping[str, Any]
    observation: str = ""
    hits: list[Hit] = field(default_factory=list)
    page: Page | None = None


@dataclass(kw_only=True)
class View:
    """The conversation, taken apart."""

    question: str
    mode: Mode
    wants_block: bool
    """The system prompt asks for a progress block in every turn."""
    tools: frozenset[str]
    calls: list[Call]
    notes: list[Note]
    digest: str
    """Names the conversation without a trailing request to judge or to answer."""
    system: str = ""
    request: str = ""
    """The last message, if a user message other than the question is the last."""
    told: str = ""
    """What stood below the question in its message: a plan, the output of others."""
    last_words: str = ""
    """The model's latest message."""

    @property
    def is_first(self) -> bool:
        return not self.calls

    @property
    def latest(self) -> Call | None:
        return self.calls[-1] if self.calls else None

    def page_about(self, title: str) -> Page | None:
        """Return the page with this title among those read, None if it was not read."""
        for call in self.calls:
            if call.page and call.page.title == title:
                return call.page
        return None

    def hits(self) -> list[Hit]:
        """Return every different hit, newest search first."""
        seen: dict[str, Hit] = {}
        for call in reversed(self.calls):
            for hit in call.hits:
                seen.setdefault(hit.id, hit)
        return list(seen.values())

    def read_ids(self) -> set[str]:
        """Return the ids of the pages that were read."""
        return {call.page.id for call in self.calls if call.page}

    def was_made(self, name: str, arguments: Mapping[str, Any]) -> bool:
        """Tell whether this very call was made before."""
        return any(c.name == name and dict(c.arguments) == dict(arguments) for c in self.calls)

    def fruitless_calls(self) -> int:
        """Return how many calls lie behind the latest note, less the two that a fact needs."""
        last = max((note.call for note in self.notes), default=0)
        return max(0, len(self.calls) - last - 2)


def look_at(body: Mapping[str, Any]) -> View:
    """Take a chat request apart; whatever is not understood is left out, nothing is an error."""
    messages = _mappings(body.get("messages"))
    system = "\n".join(_text(m) for m in messages if m.get("role") in ("system", "developer"))
    first_user = next((i for i, m in enumerate(messages) if m.get("role") == "user"), len(messages))
    question = _text(messages[first_user]) if first_user < len(messages) else ""
    mode = _mode(messages, first_user)
    kept = messages[:-1] if mode != "think" else messages
    calls, notes = _history(messages[first_user + 1 :])
    return View(
        question=question.strip(),
        mode=mode,
        wants_block="<progress>" in system,
        tools=_tool_names(body),
        calls=calls,
        notes=notes,
        digest=hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest(),
        system=system,
        request=_request(messages, first_user),
        last_words=next((_text(m) for m in reversed(messages) if m.get("role") == "assistant"), ""),
    )


def _request(messages: Sequence[Mapping[str, Any]], first_user: int) -> str:
    last = messages[-1] if len(messages) - 1 > first_user else {}
    return _text(last) if last.get("role") == "user" else ""


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, Mapping))
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def _mode(messages: Sequence[Mapping[str, Any]], first_user: int) -> Mode:
    last = messages[-1] if messages else {}
    if last.get("role") != "user" or len(messages) - 1 <= first_user:
        return "think"
    text = _text(last)
    if "<progress>" in text:
        return "check"
    return "answer" if "no more tools" in text or _MUST_ANSWER.match(text) else "think"


def _tool_names(body: Mapping[str, Any]) -> frozenset[str]:
    functions = (tool.get("function") for tool in _mappings(body.get("tools")))
    names = (function.get("name") for function in functions if isinstance(function, Mapping))
    return frozenset(name for name in names if isinstance(name, str))


def _history(messages: Sequence[Mapping[str, Any]]) -> tuple[list[Call], list[Note]]:
    calls: list[Call] = []
    notes: list[Note] = []
    waiting: dict[str, Call] = {}
    for message in messages:
        role = message.get("role")
        if role == "assistant":
            notes += _notes(_text(message), len(calls))
            waiting = _made(message)
        elif role == "tool":
            call = waiting.pop(str(message.get("tool_call_id")), Call(name="", arguments={}))
            calls.append(_answered(call, _text(message)))
    return calls, notes


def _notes(text: str, call: int) -> list[Note]:
    return [
        Note(match["kind"], match["body"], match["page"] or "", call)
        for match in _NOTE.finditer(text)
    ]


def _made(message: Mapping[str, Any]) -> dict[str, Call]:
    made: dict[str, Call] = {}
    for entry in _mappings(message.get("tool_calls")):
        function = entry.get("function")
        if isinstance(function, Mapping):
            call = Call(name=str(function.get("name")), arguments=_arguments(function))
            made[str(entry.get("id"))] = call
    return made


def _arguments(function: Mapping[str, Any]) -> Mapping[str, Any]:
    text = function.get("arguments")
    try:
        arguments = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _answered(call: Call, observation: str) -> Call:
    call.observation = observation
    if call.name == "read":
        match = _PAGE.match(observation)
        if match:
            text = observation[match.end() :].strip()
            call.page = Page(match["id"], match["title"].strip(), text)
    elif call.name == "search":
        found = _HIT.finditer(observation)
        call.hits = [
            Hit(m["id"], _PART_LABEL.sub("", m["title"].strip()), m["text"] or "") for m in found
        ]
    return call
