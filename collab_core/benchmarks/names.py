"""Invented names: unique within a world, some of them made to be confused with each other."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def _words() -> dict[str, list[str]]:
    path = Path(__file__).with_name("world_names.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


class NameMaker:
    """Makes names of each type; no name twice, whatever its type."""

    def __init__(self, rng: random.Random) -> None:
        words = _words()
        self._rng = rng
        self._used: set[str] = set()
        self._makers: dict[str, Callable[[], str]] = {
            "person": lambda: f"{rng.choice(words['first_names'])} {self._word(2, 3)}",
            "town": lambda: self._word(1, 2) + rng.choice(words["town_ends"]),
            "company": lambda: f"{self._word(2, 2)} {rng.choice(words['works'])}",
            "bridge": lambda: f"{self._word(1, 2)} {rng.choice(words['bridges'])}",
            "ship": lambda: self._compound(words["birds"]),
            "novel": lambda: self._compound(words["things"]),
            "museum": lambda: f"{self._word(2, 2)} Collection",
            "treaty": lambda: f"{self._word(2, 2)} {rng.choice(words['treaties'])}",
            "river": lambda: self._word(2, 2),
            "mountain": lambda: f"Mount {self._word(2, 2)}",
            "festival": lambda: (
                f"{rng.choice(words['festivals'])} of {rng.choice(words['festival_of'])}"
            ),
            "year": lambda: str(rng.randint(1702, 1958)),
            "metres": lambda: str(rng.randint(31, 980)),
        }

    def unique(self, kind: str) -> str:
        """Return a name that was not given before."""
        return self._claim(self._makers[kind])

    def value(self, kind: str) -> str:
        """Return a literal (year, metres, festival, mountain), which may be given again."""
        return self._makers[kind]()

    def twin(self, name: str) -> str:
        """Return a new name that is easily taken for ``name``: one word of it is another."""
        head, _, tail = name.rpartition(" ")
        if not head:
            return self._claim(lambda: name[:2] + self._word(1, 1).lower() + name[-4:])
        if self._rng.random() < 0.5 and tail not in {"Collection"}:
            return self._claim(lambda: f"{head} {self._alike(tail)}")
        return self._claim(lambda: f"{self._alike(head)} {tail}")

    def _alike(self, word: str) -> str:
        words = _words()
        for family in (
            words["first_names"],
            words["birds"],
            words["things"],
            words["adjectives"],
            words["works"],
            words["bridges"],
            words["treaties"],
        ):
            if word in family:
                return self._rng.choice(family)
        return word[: max(2, len(word) - 3)] + self._word(1, 1).lower()

    def _claim(self, make: Callable[[], str]) -> str:
        for attempt in range(1_000):
            name = make()
            if attempt > 200:
                first, space, rest = name.partition(" ")
                name = f"{first}{self._word(1, 2).lower()}{space}{rest}"
            if name.casefold() not in self._used:
                self._used.add(name.casefold())
                return name
        raise AssertionError("the name space is exhausted")  # 10^5 words times 10^5 words

    def _word(self, least: int, most: int) -> str:
        words = _words()
        rng = self._rng
        syllables = [
            rng.choice(words["onsets"]) + rng.choice(words["vowels"])
            for _ in range(rng.randint(least, most))
        ]
        return ("".join(syllables) + rng.choice(words["codas"])).capitalize()

    def _compound(self, things: list[str]) -> str:
        words = _words()
        word = self._rng.choice(things)
        if self._rng.random() < 0.4:
            return f"{word} of {self._word(2, 2)}"
        return f"{self._rng.choice(words['adjectives'])} {word}"
