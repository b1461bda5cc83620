from __future__ import annotations

import pytest

from collab_core.benchmarks.scoring import score
from collab_core.benchmarks.world import generate

GOLD = ["Grey Petrel"]


@pytest.mark.parametrize(
    "answer",
    [
        "Grey Petrel",
        "the  grey petrel.",
        "“Grey Petrel”",
        "It is the ship Grey Petrel",
        "GRÉY PETREL",
    ],
)
def test_right_answers(answer: str) -> None:
    assert score(answer, GOLD)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Petrel",
        "Grey",
        "Petrel Grey",
        "Grey Petrels",
        "Grey Petrel or Silent Avocet",
        "Grey Petrel, Silent Avocet",
        "not Grey Petrel",
        "grey petrel silent avocet",
        "Grey Petrel " * 500,
        "Grey Petrel Grey Plover",
    ],
)
def test_wrong_and_hedged_answers(answer: str) -> None:
    assert not score(answer, GOLD)


def test_numbers_are_whole_words() -> None:
    assert score("412 metres", ["412"])
    assert not score("1412", ["412"])
    assert not score("4.12", ["412"])


def test_any_gold_answer_will_do() -> None:
    assert score("Y", ["X", "y"])
    assert not score("X Y", ["X", "y"])
    assert score("A", ["a"])
    assert not score("anything", [])
    assert not score("", [""])


def test_listing_every_name_wins_nothing() -> None:
    world = generate()
    everything = ", ".join(entity.name for entity in world.entities)[:1_900]
    assert not any(score(everything, task.answers) for task in world.tasks)
