"""A model before any other question and collection: it searches, reads and takes what fits best."""

from __future__ import annotations

import math
import random
import re
from typing import NamedTuple

from collab_core.benchmarks.language import sentences
from collab_core.simulator.skill import Skill
from collab_core.simulator.turn import Action, Outcome
from collab_core.simulator.view import Page, View

MAX_CALLS = 10
_MAX_READ = 4
_MAX_ANSWER_CHARS = 240
_MAX_SCANNED_CHARS = 20_000
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_PHRASE = re.compile(r"[A-ZÀ-Þ][\w'’-]*(?: (?:(?:of|the|de|van|von) )?[A-ZÀ-Þ\d][\w'’-]*)*")
_QUOTED = re.compile(r"[\"“«']([^\"”»']{3,80})[\"”»']")
_ARITHMETIC = re.compile(r"[\d(][\d\s.()+*/^×÷−-]*[+*/^×÷−-][\d\s.()+*/^×÷−-]*\d\)?")
_YEAR = re.compile(r"\b1\d{3}\b|\b20\d{2}\b")
_NUMBER = re.compile(r"\d[\d.,]*(?: ?%)?")
_COMMON = frozenset(
    _WORD.findall(
        "a an the of in on at to for from by with and or is are was were be been did does do has "
        "have had who what which when where why how many much whose that this it its as into than "
        "there their tell me please give find name explain describe about can you i "
    )
)


class _Passage(NamedTuple):
    score: float
    sentence: str


class Browser:
    """One turn of one model."""

    def __init__(self, view: View, skill: Skill, rng: random.Random) -> None:
        self.view = view
        self.skill = skill
        self.rng = rng
        self.outcome = Outcome()
        self.words = content_words(view.question)

    def take_turn(self) -> Outcome:
        """Return what the model does now."""
        if not self.view.is_first:
            self._judge()
        action = self._next_call()
        if action is None:
            self.outcome.answer, self.outcome.guessed = self.guess(), True
        self.outcome.action = action
        return self.outcome

    def _judge(self) -> None:
        latest = self.view.latest
        earlier = self.view.calls[:-1]
        known = {hit.id for call in earlier for hit in call.hits}
        read = {call.page.id for call in earlier if call.page}
        outcome = self.outcome
        if latest and latest.page:
            outcome.advanced = latest.page.id not in read and self._best(latest.page).score > 0
        elif latest and latest.name == "search":
            outcome.advanced = any(hit.id not in known for hit in latest.hits)
        else:
            outcome.advanced = bool(latest and latest.name == "calculator")
        skill = self.skill
        error = skill.missed_progress if outcome.advanced else skill.false_progress
        outcome.reported = outcome.advanced != (self.rng.random() < error)

    def _next_call(self) -> Action | None:
        view = self.view
        if "calculator" in view.tools and view.is_first:
            expression = _ARITHMETIC.search(view.question)
            if expression:
                return Action("calculator", {"expression": expression.group().strip()})
        if "search" not in view.tools or len(view.calls) >= MAX_CALLS or self._calculated():
            return None
        if view.latest and view.latest.name and self.rng.random() < self.skill.repetition / 3:
            return Action(view.latest.name, view.latest.arguments)
        unread = [hit for hit in view.hits() if hit.id not in view.read_ids()]
        if "read" in view.tools and unread and self._wants_to_read():
            return Action("read", {"id": max(unread, key=lambda h: self._promise(*h[1:])).id})
        for query in self._queries():
            if not view.was_made("search", {"query": query}):
                return Action("search", {"query": query})
        return None

    def _calculated(self) -> bool:
        return any(call.name == "calculator" for call in self.view.calls)

    def _wants_to_read(self) -> bool:
        """Read two pages of every search; more only while nothing fits."""
        read, searched = len(self.view.read_ids()), sum(bool(c.hits) for c in self.view.calls)
        return read < min(_MAX_READ, 2 * searched)

    def _promise(self, title: str, snippet: str) -> float:
        return 2 * self._overlap(title) + self._overlap(snippet)

    def _overlap(self, text: str, *, only: set[str] | None = None) -> float:
        present = set(content_words(text))
        if only is not None:
            present &= only
        return sum(math.sqrt(len(word)) for word in self.words if word in present)

    def _queries(self) -> list[str]:
        question = self.view.question
        phrases = [match.strip() for match in _QUOTED.findall(question)]
        phrases += [p for p in _PHRASE.findall(question) if p.lower() not in _COMMON]
        whole = " ".join(dict.fromkeys(self.words))[:200] or question[:200]
        queries = [*([" ".join(phrases)[:200]] if phrases else []), whole]
        return list(dict.fromkeys(query for query in queries if query.strip()))

    def _best(self, page: Page) -> _Passage:
        """Return the page's best sentence; words that only repeat the title weigh little."""
        about = self._overlap(page.title)
        title = set(content_words(page.title))
        passages = [
            _Passage(about / 2 + self._overlap(s) - 0.7 * self._overlap(s, only=title), s)
            for s in sentences(page.text)[:400]
            if s != page.title
        ]
        return max(passages, default=_Passage(0.0, ""))

    def guess(self) -> str:
        """Return the phrase, or the sentence, that fits the question best."""
        for call in self.view.calls:
            if call.name == "calculator" and not call.observation.startswith("Error"):
                return call.observation.strip()[:_MAX_ANSWER_CHARS]
        found = [self._best(call.page) for call in self.view.calls if call.page]
        found += [_Passage(self._overlap(hit.text) / 2, hit.text) for hit in self.view.hits()]
        best = sorted((p for p in found if p.score > 0), reverse=True)
        if not best:
            return "unknown"
        careless = len(best) > 1 and self.rng.random() > self.skill.comprehension
        return self._shorten(best[1 if careless else 0].sentence)

    def _shorten(self, sentence: str) -> str:
        asked = self.view.question.lower()
        pattern = None
        if re.search(r"\b(year|when)\b", asked):
            pattern = _YEAR
        elif re.search(r"\bhow (many|much|long|old|far|high)\b", asked):
            pattern = _NUMBER
        elif re.match(r"(in |on |for |with )?(who|where|which|whose|what)\b", asked):
            pattern = _PHRASE
        for match in pattern.findall(sentence) if pattern else ():
            if match.lower() not in asked and match.lower() not in _COMMON:
                return str(match)
        return sentence[:_MAX_ANSWER_CHARS]


def content_words(text: str) -> list[str]:
    """Return the words that say something, in lower case; CJK runs in pairs of characters."""
    words: list[str] = []
    for word in _WORD.findall(text[:_MAX_SCANNED_CHARS].lower()):
        if word[0] >= "\u2e80" and len(word) > 1:
            words += [word[i : i + 2] for i in range(len(word) - 1)]
        elif word not in _COMMON:
            words.append(word)
    return words
