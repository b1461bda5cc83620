"""What people write: cleaned, bounded, and searched for the names of others."""

from __future__ import annotations

import re
import unicodedata

from collab_core.errors import InvalidInput

MAX_TEXT = 4_000
MAX_MENTIONS = 20
_NAME = re.compile(r"(?<![\w@.+-])@([\w.+@-]{1,150})")
_DIRECTION = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that turn text around, also of what stands beside it; letters have their own direction."""
_MARKS_IN_A_ROW = re.compile(r"(\w?)([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]{3,})")


def cleaned(text: str) -> str:
    """Return the text with plain line ends and without control and direction marks.

    Raises:
        InvalidInput: nothing is left, or it is too long.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(c for c in lines if c in "\n\t" or _shown(c)).strip()
    kept = _MARKS_IN_A_ROW.sub(lambda found: found[1] + found[2][:2], kept)
    kept = re.sub(r"\n{3,}", "\n\n", kept)
    if not kept:
        raise InvalidInput("Write something.", field="text")
    if len(kept) > MAX_TEXT:
        raise InvalidInput(
            f"A comment has at most {MAX_TEXT:,} characters; this one has {len(kept):,}.",
            field="text",
        )
    return kept


def _shown(character: str) -> bool:
    return character not in _DIRECTION and unicodedata.category(character) not in ("Cc", "Cs", "Cn")


def mentioned(text: str) -> list[str]:
    """Return the names behind an @, as they are written, each once; the reader decides who they are.

    A name may hold ``. + - @``, so a sentence's end may hang on it: both readings are returned.
    """
    names: dict[str, None] = {}
    for found in _NAME.findall(text):
        names[found] = None
        names[found.rstrip(".+-@")] = None
    return [name for name in names if name]


def check_mentions(people: int) -> None:
    """Raises: InvalidInput: one comment calls too many people."""
    if people > MAX_MENTIONS:
        raise InvalidInput(
            f"A comment can mention at most {MAX_MENTIONS} people; this one mentions {people}.",
            field="text",
        )
