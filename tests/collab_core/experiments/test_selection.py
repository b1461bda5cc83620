from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput
from collab_core.experiments.definition import TaskSelection
from collab_core.experiments.selection import select

TASKS = [
    BenchmarkTask(
        id=f"t{number}",
        question="?",
        difficulty=("easy", "hard")[number % 2],
        category=("art", "law", "")[number % 3],
    )
    for number in range(12)
]


def ids(**chosen: Any) -> list[str]:
    return [task.id for task in select(TASKS, TaskSelection(name="set", **chosen))]


def test_nothing_chosen_is_all_in_order() -> None:
    assert ids() == [task.id for task in TASKS]


def test_ids_come_in_their_own_order_and_leave_nothing_to_choose() -> None:
    assert ids(ids=("t7", "t2"), difficulties=("easy",), count=1) == ["t7", "t2"]


def test_difficulties_and_categories_must_both_fit() -> None:
    assert ids(difficulties=("easy",), categories=("art", "law")) == ["t0", "t4", "t6", "t10"]


@given(seed=st.integers(0, 99), few=st.integers(1, 12), many=st.integers(1, 12))
def test_a_larger_draw_keeps_a_smaller_one(seed: int, few: int, many: int) -> None:
    few, many = sorted((few, many))
    drawn = ids(count=many, sample_seed=seed)
    assert len(set(drawn)) == many
    assert set(ids(count=few, sample_seed=seed)) <= set(drawn)
    assert drawn == sorted(drawn, key=lambda name: int(name[1:]))


def test_draws_of_other_seeds_differ() -> None:
    assert len({tuple(ids(count=4, sample_seed=seed)) for seed in range(20)}) > 10


@pytest.mark.parametrize(
    ("chosen", "field", "says"),
    [
        ({"ids": ("t1", "no", "nix")}, "tasks.ids", "2 of 3 tasks are not in the set set: no, nix"),
        ({"ids": ("t1", "t1")}, "tasks.ids", "t1 is named twice"),
        ({"ids": ()}, "tasks.ids", "empty"),
        ({"difficulties": ("easy", "odd")}, "tasks.difficulties", "odd"),
        ({"categories": ("tax",)}, "tasks.categories", "tax"),
        ({"count": 13}, "tasks.count", "13 tasks shall be drawn, but only 12"),
    ],
)
def test_what_cannot_be_chosen_is_named(chosen: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        ids(**chosen)
    assert caught.value.field == field


def test_an_empty_selection_is_an_error() -> None:
    tasks = [TASKS[0], TASKS[1]]
    chosen = TaskSelection(name="set", difficulties=("easy",), categories=("law",))
    with pytest.raises(InvalidInput, match="No task of set fits"):
        select(tasks, chosen)


def test_ids_of_the_set_must_differ() -> None:
    with pytest.raises(InvalidInput, match="two tasks with the id t0"):
        select([TASKS[0], TASKS[0]], TaskSelection(name="set"))
