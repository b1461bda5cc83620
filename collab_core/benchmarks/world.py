"""A generated, seeded world: linked documents about invented things, and multi-hop questions.

Everything follows from the seed. Each fact stands in exactly one document, so that a question can be
answered by searching and reading and in no other way; documents also carry rumours (a wrong value
beside the right one, marked as wrong) and things with names made to be confused.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from collab_core.benchmarks.language import Chain, Relation, ask, language
from collab_core.benchmarks.names import NameMaker
from collab_core.errors import InvalidInput

Difficulty = Literal["easy", "medium", "hard"]
MIN_DOCUMENTS = 60
TWIN_FRAC = 0.15
_RUMOUR_FRAC = 0.6
_MENTION_FRAC = 0.7
_SHORT_NAME_FRAC = 0.45
_TRIES_PER_QUESTION = 200
HOPS: dict[Difficulty, tuple[int, ...]] = {"easy": (2,), "medium": (3,), "hard": (4, 5)}


@dataclass(frozen=True, kw_only=True)
class Entity:
    """Something with a document: its facts by relation key, each an entity's name or a literal."""

    name: str
    kind: str
    facts: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class WorldTask:
    """A question with its gold answers; ``chain`` names what lies between and is shown to nobody."""

    id: str
    question: str
    answers: tuple[str, ...]
    difficulty: Difficulty
    chain: tuple[str, ...] = ()

    @property
    def hops(self) -> int:
        return len(self.chain) - 1


@dataclass(frozen=True, kw_only=True)
class World:
    """Documents and questions of one seed."""

    seed: int
    entities: tuple[Entity, ...]
    tasks: tuple[WorldTask, ...]


def generate(seed: int = 7, documents: int = 300, questions: int = 300) -> World:
    """Return the world of a seed; the same arguments give the same world.

    Raises:
        InvalidInput: fewer than 60 documents, or more questions than the world can hold.
    """
    if documents < MIN_DOCUMENTS:
        raise InvalidInput(
            f"A world needs at least {MIN_DOCUMENTS} documents, not {documents}.", field="documents"
        )
    if questions < 0:
        raise InvalidInput("The number of questions cannot be negative.", field="questions")
    rng = random.Random(f"world:{seed}")
    names = NameMaker(rng)
    by_kind = _name_entities(documents, names, rng)
    bare = [
        Entity(name=name, kind=kind, facts=_facts(name, kind, by_kind, names, rng))
        for kind, members in by_kind.items()
        for name in members
    ]
    entities = tuple(
        Entity(name=e.name, kind=e.kind, facts=e.facts, text=_prose(e, by_kind, names, rng))
        for e in bare
    )
    return World(seed=seed, entities=entities, tasks=tuple(_tasks(entities, questions, rng)))


def _name_entities(documents: int, names: NameMaker, rng: random.Random) -> dict[str, list[str]]:
    types = language().types
    total = sum(entity_type.share for entity_type in types.values())
    counts = {name: max(2, documents * t.share // total) for name, t in types.items()}
    counts["person"] += documents - sum(counts.values())
    by_kind: dict[str, list[str]] = {}
    for kind, count in counts.items():
        members: list[str] = []
        while len(members) < count:
            if members and rng.random() < TWIN_FRAC:
                members.append(names.twin(rng.choice(members)))
            else:
                members.append(names.unique(kind))
        by_kind[kind] = members
    return by_kind


def _facts(
    name: str,
    kind: str,
    by_kind: Mapping[str, list[str]],
    names: NameMaker,
    rng: random.Random,
) -> dict[str, str]:
    return {
        relation.key: _object(relation, {name}, by_kind, names, rng)
        for relation in language().of(kind)
    }


def _object(
    relation: Relation,
    other_than: set[str],
    by_kind: Mapping[str, list[str]],
    names: NameMaker,
    rng: random.Random,
) -> str:
    for _ in range(100):
        value = (
            names.value(relation.object)
            if relation.is_literal
            else rng.choice(by_kind[relation.object])
        )
        if value not in other_than:
            return value
    raise AssertionError(f"no other value for {relation.key}")


def _prose(
    entity: Entity, by_kind: Mapping[str, list[str]], names: NameMaker, rng: random.Random
) -> str:
    kind = language().types[entity.kind]
    intro = rng.choice(kind.intro).format(s=entity.name, kind=rng.choice(kind.kinds))
    blocks = []
    for relation in language().of(entity.kind):
        value = entity.facts[relation.key]
        block = [_sentence(rng.choice(relation.statements), _reference(entity, rng), value)]
        if rng.random() < _RUMOUR_FRAC:
            wrong = _object(relation, {entity.name, value}, by_kind, names, rng)
            block.insert(rng.randrange(2), rng.choice(relation.rumours).format(o=wrong))
        blocks.append(" ".join(block))
    rng.shuffle(blocks)
    if rng.random() < _MENTION_FRAC:
        blocks.append(_mention(entity, by_kind, rng))
    half = (len(blocks) + 1) // 2
    return f"{intro} {' '.join(blocks[:half])}\n\n{' '.join(blocks[half:])}"


def _reference(entity: Entity, rng: random.Random) -> str:
    if rng.random() >= _SHORT_NAME_FRAC:
        return entity.name
    short = rng.choice(language().types[entity.kind].short)
    return short.format(last=entity.name.rpartition(" ")[2])


def _sentence(template: str, subject: str, value: str) -> str:
    if not template.startswith("{s}") and subject.startswith(("The ", "This ")):
        subject = subject[0].lower() + subject[1:]
    return template.format(s=subject, o=value)


def _mention(entity: Entity, by_kind: Mapping[str, list[str]], rng: random.Random) -> str:
    """Name two others of the same kind: what a search for them also finds."""
    first, second = rng.sample([n for n in by_kind[entity.kind] if n != entity.name] * 2, 2)
    return rng.choice(
        (
            f"It is not to be confused with {first}.",
            f"Compare also {first} and {second}.",
            f"Local historians like to mention it together with {first}.",
        )
    )


def _tasks(entities: tuple[Entity, ...], questions: int, rng: random.Random) -> Iterator[WorldTask]:
    by_name = {entity.name: entity for entity in entities}
    levels: tuple[Difficulty, ...] = ("easy", "medium", "hard")
    seen: set[str] = set()
    for number in range(questions):
        difficulty = levels[number % 3]
        for _ in range(_TRIES_PER_QUESTION):
            task = _question(entities, by_name, difficulty, number, rng)
            if task and task.question not in seen:
                seen.add(task.question)
                yield task
                break
        else:
            raise InvalidInput(
                f"A world of {len(entities)} documents holds fewer than {questions} questions.",
                field="questions",
                hint="Ask for more documents or for fewer questions.",
            )


def _question(
    entities: tuple[Entity, ...],
    by_name: Mapping[str, Entity],
    difficulty: Difficulty,
    number: int,
    rng: random.Random,
) -> WorldTask | None:
    """Return one random question, None if the walk came back to where it had been."""
    entity = anchor = rng.choice(entities)
    hops = rng.choice(HOPS[difficulty])
    relations: list[Relation] = []
    chain = [anchor.name]
    for hop in range(hops):
        last = hop == hops - 1
        choices = [r for r in language().of(entity.kind) if last or not r.is_literal]
        relation = rng.choice(choices)
        value = entity.facts[relation.key]
        if value in chain:
            return None
        relations.append(relation)
        chain.append(value)
        if not last:
            entity = by_name[value]
    return WorldTask(
        id=f"{difficulty}-{number + 1:04d}",
        question=ask(Chain(anchor.name, tuple(relations)), anchor.kind, rng.choice),
        answers=(chain[-1],),
        difficulty=difficulty,
        chain=tuple(chain),
    )
