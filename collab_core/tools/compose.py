"""The tool that writes a long text in named sections.

Source: the section writer of DeepDiver-V2 (``section_writer``, ``concat_section_files``); adapted:
sections live in the run instead of in files, and one tool has all the actions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from collab_core.errors import ToolFailed
from collab_core.tools.arguments import only_arguments, text_argument
from collab_core.tools.base import ToolOutcome

MAX_SECTIONS = 60
MAX_NAME_CHARS = 80
MAX_SECTION_CHARS = 20_000
MAX_TOTAL_CHARS = 200_000
PART_CHARS = 7_500
"""What one call shows at most: an observation, less room for its first line."""
_USAGE = 'compose({"action": "add", "name": "Introduction", "text": "…"})'


class Section(NamedTuple):
    name: str
    text: str


class Sections:
    """Named pieces of text in an order; every change returns what there is to say about it."""

    def __init__(self) -> None:
        self._sections: list[Section] = []

    def add(self, name: str, text: str, position: int | None) -> str:
        """Put a new section at ``position`` (1 = first), or at the end."""
        if self._find(name) is not None:
            raise ToolFailed(
                f"There is a section {name!r} already; replace it or take another name."
            )
        if len(self._sections) >= MAX_SECTIONS:
            raise ToolFailed(f"There are {MAX_SECTIONS} sections; no more are allowed.")
        self._check_size(text, replaced=0)
        index = self._index(position, len(self._sections) + 1)
        self._sections.insert(index, Section(name, text))
        return f"Added as section {index + 1}. {self._total()}"

    def replace(self, name: str, text: str) -> str:
        index = self._existing(name)
        self._check_size(text, replaced=len(self._sections[index].text))
        self._sections[index] = Section(self._sections[index].name, text)
        return f"Replaced section {index + 1}. {self._total()}"

    def remove(self, name: str) -> str:
        del self._sections[self._existing(name)]
        return f"Removed. {self._total()}"

    def move(self, name: str, position: int | None) -> str:
        """Move a section so that it is number ``position`` afterwards."""
        index = self._existing(name)
        if position is None:
            raise ToolFailed(f'"move" needs a "position" from 1 to {len(self._sections)}.')
        target = self._index(position, len(self._sections))
        self._sections.insert(target, self._sections.pop(index))
        return f"Moved to place {target + 1}. {self._total()}"

    def show(self, name: str) -> str:
        return self._sections[self._existing(name)].text

    def overview(self) -> str:
        """Return one line for each section."""
        lines = [
            f"{number}. {section.name} ({len(section.text):,} characters)"
            for number, section in enumerate(self._sections, start=1)
        ]
        return "\n".join([*lines, self._total()])

    def text(self) -> str:
        """Return the whole text: the sections in their order, a blank line between them."""
        return "\n\n".join(section.text for section in self._sections)

    def _total(self) -> str:
        chars = len(self.text())
        return f"{len(self._sections)} sections, {chars:,} characters in all."

    def _find(self, name: str) -> int | None:
        wanted = name.casefold()
        names = [section.name.casefold() for section in self._sections]
        return names.index(wanted) if wanted in names else None

    def _existing(self, name: str) -> int:
        index = self._find(name)
        if index is None:
            names = ", ".join(repr(section.name) for section in self._sections) or "none yet"
            raise ToolFailed(f"There is no section {name!r}. Sections: {names}."[:2_000])
        return index

    def _index(self, position: int | None, last: int) -> int:
        if position is None:
            return last - 1
        if not 1 <= position <= last:
            raise ToolFailed(f"The position is {position}; it must be from 1 to {last}.")
        return position - 1

    def _check_size(self, text: str, *, replaced: int) -> None:
        total = len(self.text()) - replaced + len(text)
        if total > MAX_TOTAL_CHARS:
            raise ToolFailed(
                f"The whole text would have {total:,} characters; at most {MAX_TOTAL_CHARS:,} are "
                "allowed. Shorten or remove a section first."
            )


def parts(text: str, limit_chars: int = PART_CHARS) -> list[str]:
    r"""Cut a text into parts of at most ``limit_chars`` that joined give the text again.

    The cut is behind the last paragraph that fits, else the last line, else the last word; a word
    longer than a part is cut itself.

    >>> parts("One.\n\nTwo.\n\nThree.", 13)
    ['One.\n\nTwo.\n\n', 'Three.']
    """
    found = []
    while len(text) > limit_chars:
        end = limit_chars
        for mark in ("\n\n", "\n", " "):
            at = text.rfind(mark, 0, limit_chars)
            if at > 0:
                end = at + len(mark)
                break
        found.append(text[:end])
        text = text[end:]
    return [*found, text]


class Compose:
    """Writes a long text piece by piece; a :class:`StatefulTool`."""

    name = "compose"
    description = (
        "Write a long text in named sections. Actions: add (name, text, optional position), replace "
        "(name, text), remove (name), move (name, position), list, show (name), assemble (the whole "
        "text in order; a long one comes in parts, ask for them by part). Headings belong into the "
        "texts: assembling only joins them."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "action": {
                "type": "string",
                "enum": ["add", "replace", "remove", "move", "list", "show", "assemble"],
            },
            "name": {"type": "string", "description": "The section's name"},
            "text": {"type": "string", "description": "The section's whole text"},
            "position": {"type": "integer", "description": "1 is the first place"},
            "part": {"type": "integer", "description": "Which part to show, 1 is the first"},
        },
        "required": ["action"],
        "additionalProperties": False,
    }

    def __init__(self) -> None:
        self.sections = Sections()
        self._actions: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], str]]] = {
            "add": (("name", "text", "position"), self._add),
            "replace": (("name", "text"), self._replace),
            "remove": (("name",), lambda a: self.sections.remove(_name(a))),
            "move": (("name", "position"), self._move),
            "list": ((), lambda _: self.sections.overview()),
            "show": (("name", "part"), lambda a: self.sections.show(_name(a))),
            "assemble": (("part",), lambda _: self.sections.text()),
        }

    def fresh(self) -> Compose:
        """Return an empty one."""
        return Compose()

    def replay(self, arguments: Mapping[str, Any], observation: str) -> None:
        """Make the same change again; see :class:`StatefulTool`."""
        self._apply(arguments)

    async def __call__(self, arguments: Mapping[str, Any]) -> ToolOutcome:
        """Do one action and say what the text looks like now.

        Raises:
            ToolFailed: the arguments are wrong, there is no such section, or a bound is reached.
        """
        text = self._apply(arguments)
        if arguments["action"] not in ("show", "assemble"):
            return ToolOutcome(text=text)
        return _part(text, _number(arguments, "part") or 1)

    def _apply(self, arguments: Mapping[str, Any]) -> str:
        action = arguments.get("action") if isinstance(arguments, Mapping) else None
        if not isinstance(action, str) or action not in self._actions:
            raise ToolFailed(
                f'"action" must be one of {", ".join(self._actions)}. Call it like {_USAGE}.'
            )
        allowed, act = self._actions[action]
        only_arguments(arguments, ("action", *allowed), usage=_USAGE)
        return act(arguments)

    def _add(self, arguments: Mapping[str, Any]) -> str:
        position = _number(arguments, "position")
        return self.sections.add(_name(arguments), _text(arguments), position)

    def _replace(self, arguments: Mapping[str, Any]) -> str:
        return self.sections.replace(_name(arguments), _text(arguments))

    def _move(self, arguments: Mapping[str, Any]) -> str:
        return self.sections.move(_name(arguments), _number(arguments, "position"))


def _name(arguments: Mapping[str, Any]) -> str:
    name = text_argument(arguments, "name", usage=_USAGE, max_chars=MAX_NAME_CHARS)
    return " ".join(name.split())  # one line of the overview each


def _text(arguments: Mapping[str, Any]) -> str:
    return text_argument(arguments, "text", usage=_USAGE, max_chars=MAX_SECTION_CHARS)


def _number(arguments: Mapping[str, Any], name: str) -> int | None:
    value = arguments.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_TOTAL_CHARS:
        raise ToolFailed(f'"{name}" must be a small whole number. Call it like {_USAGE}.')
    return value


def _part(text: str, number: int) -> ToolOutcome:
    """Return one part; the first line of a long text says which of how many."""
    if not text:
        return ToolOutcome(text="There is no text yet.")
    found = parts(text)
    if not 1 <= number <= len(found):
        raise ToolFailed(f"The part is {number}; there are {len(found)}.")
    if len(found) == 1:
        return ToolOutcome(text=text)
    head = f"[part {number} of {len(found)}; {len(text):,} characters in all]\n"
    return ToolOutcome(text=head + found[number - 1], truncated=True)
