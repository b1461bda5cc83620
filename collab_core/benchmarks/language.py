"""The language of the shipped world, both ways: sentences made from facts, facts read from text.

It holds no facts. The generator (:mod:`collab_core.benchmarks.world`) writes with it; the simulated
models read with it, as a language model reads English.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_SOURCE = Path(__file__).with_name("world_language.toml")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")
_NUMERIC = {"year": r"\d{4}", "metres": r"\d{1,4}"}
_NAME = r"[A-Z][\w'’-]*(?: (?:(?:of|the|and|for|on) )*[A-Z][\w'’-]*)*"
_MAX_PHRASE_DEPTH = 8


@dataclass(frozen=True, kw_only=True)
class EntityType:
    """A kind of document; ``share`` is its weight among all documents."""

    name: str
    phrase: str
    share: int
    short: tuple[str, ...]
    intro: tuple[str, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A kind of fact; without ``phrases`` it can only be the last hop of a question."""

    key: str
    subject: str
    object: str
    label: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]
    rumours: tuple[str, ...]
    phrases: tuple[str, ...] = ()
    statement_patterns: tuple[re.Pattern[str], ...] = field(default=(), repr=False)
    rumour_patterns: tuple[re.Pattern[str], ...] = field(default=(), repr=False)

    @property
    def is_literal(self) -> bool:
        """True if its object is a value, not something with a document of its own."""
        return self.object not in language().types


class Language(NamedTuple):
    """Everything of the file."""

    types: dict[str, EntityType]
    relations: dict[str, Relation]

    def of(self, subject: str) -> list[Relation]:
        """Return the relations of one type of subject, in the file's order."""
        return [relation for relation in self.relations.values() if relation.subject == subject]


class Chain(NamedTuple):
    """A question as parsed: start at ``anchor``, follow ``relations`` one after another."""

    anchor: str
    relations: tuple[Relation, ...]


@lru_cache(maxsize=1)
def language() -> Language:
    """Return the language, read once from its file."""
    raw = tomllib.loads(_SOURCE.read_text(encoding="utf-8"))
    types = {
        name: EntityType(name=name, **{key: _frozen(value) for key, value in fields.items()})
        for name, fields in raw["types"].items()
    }
    return Language(types, {entry["key"]: _relation(entry) for entry in raw["relations"]})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _relation(entry: dict[str, Any]) -> Relation:
    fields = {key: _frozen(value) for key, value in entry.items()}
    return Relation(
        **fields,
        statement_patterns=tuple(_pattern(t, fields["object"]) for t in fields["statements"]),
        rumour_patterns=tuple(_pattern(t, fields["object"]) for t in fields["rumours"]),
    )


def _pattern(template: str, object_type: str) -> re.Pattern[str]:
    value = _NUMERIC.get(object_type, _NAME)
    escaped = re.escape(template)
    escaped = escaped.replace(r"\{s\}", ".{2,90}?", 1).replace(r"\{o\}", f"(?P<o>{value})", 1)
    return re.compile(escaped)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, headings left out."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [part.strip() for line in lines for part in _SENTENCE_END.split(line) if part.strip()]


def read_fact(text: str, relation: Relation) -> str | None:
    """Return what the text states for the relation; None if it states nothing."""
    return _first_match(text, relation.statement_patterns)


def read_rumour(text: str, relation: Relation) -> str | None:
    """Return what the text names beside the fact, as a hasty reader would take it."""
    return _first_match(text, relation.rumour_patterns)


def _first_match(text: str, patterns: tuple[re.Pattern[str], ...]) -> str | None:
    for sentence in sentences(text):
        for pattern in patterns:
            match = pattern.fullmatch(sentence)
            if match:
                return match.group("o")
    return None


def parse_question(question: str) -> Chain | None:
    """Return the chain of a question in this world's language; None for any other question."""
    question = " ".join(question.split())
    if len(question) > 600:
        return None
    for relation in language().relations.values():
        for template in relation.questions:
            inner = _slot(question, template)
            found = _parse_phrase(inner, relation.subject, 0) if inner else None
            if found:
                return Chain(found.anchor, (*found.relations, relation))
    return None


def _parse_phrase(phrase: str, wanted: str, depth: int) -> Chain | None:
    """Parse a noun phrase that must name something of type ``wanted``."""
    if depth > _MAX_PHRASE_DEPTH:
        return None
    for relation in language().relations.values():
        if relation.object != wanted:
            continue
        for template in relation.phrases:
            inner = _slot(phrase, template)
            found = _parse_phrase(inner, relation.subject, depth + 1) if inner else None
            if found:
                return Chain(found.anchor, (*found.relations, relation))
    name = _slot(phrase, language().types[wanted].phrase.replace("{n}", "{np}"))
    return Chain(name, ()) if name and re.fullmatch(_NAME, name) else None


def _slot(text: str, template: str) -> str | None:
    """Return what fills the template's slot; None if the text has another form."""
    head, _, tail = template.partition("{np}")
    if len(text) <= len(head) + len(tail):
        return None
    if not text.startswith(head) or not text.endswith(tail):
        return None
    return text[len(head) : len(text) - len(tail)]


def ask(chain: Chain, anchor_type: str, pick: Any) -> str:
    """Return the question of a chain; ``pick(options)`` chooses among the wordings."""
    phrase = language().types[anchor_type].phrase.format(n=chain.anchor)
    for relation in chain.relations[:-1]:
        phrase = str(pick(relation.phrases)).format(np=phrase)
    return str(pick(chain.relations[-1].questions)).format(np=phrase)
