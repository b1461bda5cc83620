"""Is an answer right? Normalised match against the gold answers, with no gain from hedging."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_ANSWER_CHARS = 2_000
_ARTICLES = frozenset({"a", "an", "the"})
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_FILLERS = frozenset(
    _WORD.findall(
        """
    answer is was are were it its it's this that be been final called named name in at on by of to from
    for as with s he she they who which where town city place company firm ship vessel novel book river
    mountain museum bridge treaty festival person people year metre metres meter meters m long length born
    birthplace founded founder built builder designed designer wrote written author captain commanded
    mentor taught employer employed worked set setting located stands signed negotiated surveyed planned
    endowed launched published held rises source headquarters headquartered twin twinned yearly
    """
    )
)


def normalise(text: str) -> list[str]:
    """Return the words of a text: case, accents, punctuation and articles gone.

    >>> normalise("The Drowned Bell!")
    ['drowned', 'bell']
    """
    decomposed = unicodedata.normalize("NFKD", text[:MAX_ANSWER_CHARS]).casefold()
    plain = "".join(char for char in decomposed if not unicodedata.combining(char))
    words: list[str] = _WORD.findall(plain)
    return [word for word in words if word not in _ARTICLES] or words


def score(answer: str, gold: Iterable[str]) -> bool:
    """Tell whether the answer says one of the gold answers and nothing else.

    The answer may stand in a short sentence of ordinary words ("It was built in the town of X"), but
    any other content word fails it: a list of candidates is never right.

    >>> score("in the year 1854", ["1854"]), score("1854 or 1855", ["1854"])
    (True, False)
    """
    if len(answer) > MAX_ANSWER_CHARS:
        return False
    words = normalise(answer)
    return any(_says(words, normalise(one)) for one in gold)


def _says(words: list[str], gold: list[str]) -> bool:
    if not gold:
        return False
    size = len(gold)
    for start in range(len(words) - size + 1):
        if words[start : start + size] == gold:
            rest = words[:start] + words[start + size :]
            return all(word in _FILLERS for word in rest)
    return False
