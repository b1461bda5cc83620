from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.benchmarks.language import language, parse_question, read_fact, read_rumour
from collab_core.benchmarks.world import World, generate
from collab_core.errors import InvalidInput


@pytest.fixture(scope="module")
def world() -> World:
    return generate()


def test_it_has_the_promised_size(world: World) -> None:
    assert len(world.entities) >= 300
    assert Counter(t.difficulty for t in world.tasks) == {"easy": 100, "medium": 100, "hard": 100}
    assert len({e.name for e in world.entities}) == len(world.entities)
    assert len({t.question for t in world.tasks}) == len({t.id for t in world.tasks}) == 300


def test_the_seed_decides_everything(world: World) -> None:
    assert generate() == world
    assert generate(seed=8).entities != world.entities


def test_difficulty_is_the_number_of_hops(world: World) -> None:
    hops = {"easy": {2}, "medium": {3}, "hard": {4, 5}}
    assert all(task.hops in hops[task.difficulty] for task in world.tasks)
    assert {4, 5} <= {task.hops for task in world.tasks}


def test_every_fact_can_be_read_in_its_document(world: World) -> None:
    for entity in world.entities:
        for relation in language().of(entity.kind):
            assert read_fact(entity.text, relation) == entity.facts[relation.key]


def test_rumours_are_never_the_fact(world: World) -> None:
    rumours = [
        (read_rumour(entity.text, relation), entity.facts[relation.key])
        for entity in world.entities
        for relation in language().of(entity.kind)
    ]
    told = [(rumour, fact) for rumour, fact in rumours if rumour]
    assert len(told) > len(rumours) / 3
    assert all(rumour != fact for rumour, fact in told)


def test_questions_lead_to_their_answers(world: World) -> None:
    by_name = {entity.name: entity for entity in world.entities}
    for task in world.tasks:
        chain = parse_question(task.question)
        assert chain is not None
        walked = [chain.anchor]
        for relation in chain.relations:
            walked.append(by_name[walked[-1]].facts[relation.key])
        assert tuple(walked) == task.chain
        assert task.answers == (walked[-1],)


def test_questions_name_only_where_they_start(world: World) -> None:
    for task in world.tasks:
        assert task.chain[0] in task.question
        assert not any(name in task.question for name in task.chain[1:])


def test_names_are_made_to_be_confused(world: World) -> None:
    last_names = Counter(e.name.split()[-1] for e in world.entities if e.kind == "person")
    assert max(last_names.values()) > 1


def test_no_placeholder_is_left(world: World) -> None:
    assert not any(re.search(r"[{}]", e.text) for e in world.entities)
    assert not any(re.search(r"[{}]", t.question) for t in world.tasks)


def test_it_scales() -> None:
    big = generate(seed=1, documents=10_000, questions=1_000)
    assert (len({e.name for e in big.entities}), len(big.tasks)) == (10_000, 1_000)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"documents": 10}, "documents"),
        ({"questions": -1}, "questions"),
        ({"documents": 60, "questions": 90_000}, "questions"),
    ],
)
def test_impossible_sizes_are_refused(arguments: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        generate(**arguments)
    assert caught.value.field == field


@given(st.text(max_size=300))
def test_any_other_question_is_no_chain(question: str) -> None:
    assert parse_question(question) is None


def test_a_long_question_is_no_chain() -> None:
    assert parse_question("Who taught " + "the mentor of " * 20_000 + "Ada Velm?") is None
