"""The place in a long text that best shows why it was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_MAX_WORDS = 16
_MAX_OCCURRENCES = 2_000
_MAX_FINDS = 50_000
_ANCHOR_WORDS = 3
_STEM_FROM_CHARS = 6
_UNSPACED_SCRIPTS_FROM = "\u2e80"


class Passage(NamedTuple):
    """Offsets into a text: where the passage begins, and its most telling word."""

    start: int
    anchor: int


class _Word(NamedTuple):
    text: str
    places: list[int]

    @property
    def weight(self) -> float:
        """Rare and long words tell most."""
        return len(self.text) * (1 + math.log(_MAX_OCCURRENCES / len(self.places)))


def find_passage(text: str, words: Sequence[str], *, radius: int) -> Passage | None:
    """Return the place with the weightiest different words within ``radius`` characters of a rare one.

    None if no word occurs. The whole text is looked through, for at most 16 words.
    """
    # Only this letter grows in lower case; without it offsets stay those of the text.
    lowered = text.replace("\u0130", "i").lower()
    found = sorted(_present(lowered, words), key=lambda word: -word.weight)
    best_weight, best = 0.0, None
    for word in found[:_ANCHOR_WORDS]:
        for anchor in word.places:
            weight, start = _weigh(lowered, found, anchor, radius)
            if weight > best_weight:
                best_weight, best = weight, Passage(start, anchor)
    return best


def _weigh(text: str, words: Sequence[_Word], anchor: int, radius: int) -> tuple[float, int]:
    """Return the weight of the words near ``anchor`` and where the first of them begins."""
    weight, first = 0.0, anchor
    for word in words:
        place = text.find(word.text, max(0, anchor - radius), anchor + radius)
        if place >= 0:
            weight += word.weight
            first = min(first, place)
    return weight, first


def _present(text: str, words: Sequence[str]) -> list[_Word]:
    """Return the longest words that occur; a word that does not is tried without its ending."""
    longest = sorted({word.lower() for word in words}, key=lambda word: (-len(word), word))
    found: dict[str, list[int]] = {}
    for word in longest[:_MAX_WORDS]:
        forms = [word]
        if len(word) >= _STEM_FROM_CHARS:
            # The index is stemmed: "bridges" finds a text that only has "bridge".
            forms.append(word[: max(4, len(word) - 3)])
        for form in forms:
            places = _places(text, form)
            if places:
                found[form] = places
                break
    return [_Word(form, places) for form, places in found.items()]


def _places(text: str, word: str) -> list[int]:
    """Return where the word begins, at most 2,000 times, not inside another word."""
    places: list[int] = []
    place = -1
    for _ in range(_MAX_FINDS):
        place = text.find(word, place + 1)
        if place < 0 or len(places) >= _MAX_OCCURRENCES:
            break
        before = text[place - 1] if place else " "
        if word[0] >= _UNSPACED_SCRIPTS_FROM or not _is_spaced_letter(before):
            places.append(place)
    return places


def _is_spaced_letter(char: str) -> bool:
    return char.isalnum() and char < _UNSPACED_SCRIPTS_FROM
