"""The piece of a document that best shows why it was found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SNIPPET_CHARS = 240
_MAX_SCANNED_CHARS = 200_000
_MAX_MATCHES = 400


def cut_snippet(text: str, words: Sequence[str], *, chars: int = SNIPPET_CHARS) -> str:
    """Return one line of at most ``chars`` characters with the most different words of the query."""
    scanned = text[:_MAX_SCANNED_CHARS]
    start = _best_start(_positions(scanned, words), chars)
    if start > 0:
        space = scanned.find(" ", max(0, start - 40), start)
        start = space + 1 if space >= 0 else start
    piece = " ".join(scanned[start : start + chars].split())
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
