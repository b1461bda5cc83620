"""The piece of a document that best shows why it was found."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from collab_core.tools.parts import part_starts
from collab_core.tools.passages import find_passage

SNIPPET_CHARS = 240
_MAX_MATCHES = 400


class Snippet(NamedTuple):
    """One line of a document, and the part of the document it is in, from 1."""

    text: str
    part: int
    parts: int


def cut_snippet(text: str, words: Sequence[str], *, chars: int = SNIPPET_CHARS) -> Snippet:
    """Return one line of at most ``chars`` characters with the most different words of the query."""
    starts = part_starts(text)
    if len(starts) == 1:
        return Snippet(_cut(text, _best_start(_positions(text, words), chars), chars), 1, 1)
    passage = find_passage(text, words, radius=chars // 3)
    if passage is None:
        return Snippet(_cut(text, 0, chars), 1, len(starts))
    start = passage.start - 20 if passage.start > 40 else 0
    part = bisect_right(starts, passage.anchor)
    return Snippet(_cut(text, start, chars), part, len(starts))


def _cut(text: str, start: int, chars: int) -> str:
    if start > 0:
        space = text.find(" ", max(0, start - 40), start)
        start = space + 1 if space >= 0 else start
    piece = " ".join(text[start : start + chars].split())
    head = "… " if start > 0 else ""
    tail = " …" if start + chars < len(text) else ""
    return f"{head}{piece}{tail}"


def _positions(text: str, words: Sequence[str]) -> list[tuple[int, str]]:
    if not words:
        return []
    pattern = re.compile("|".join(re.escape(word) for word in words), re.IGNORECASE)
    found: list[tuple[int, str]] = []
    for match in pattern.finditer(text):
        found.append((match.start(), match.group().casefold()))
        if len(found) >= _MAX_MATCHES:
            break
    return found


def _best_start(positions: Iterable[tuple[int, str]], chars: int) -> int:
    """Return where the window with the greatest weight of different words begins.

    Long words weigh more: they are rarely the small change of a language.
    """
    found = list(positions)
    best_weight, best_start = 0, 0
    for index, (start, _) in enumerate(found):
        inside: set[str] = set()
        for position, word in found[index : index + 40]:
            if position + len(word) > start + chars - 40:
                break
            inside.add(word)
        weight = sum(len(word) for word in inside)
        if weight > best_weight:
            best_weight, best_start = weight, max(0, start - 20)
    return best_start if best_start > 20 else 0
