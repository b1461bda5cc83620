from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from collab_core.benchmarks import registry
from collab_core.errors import InvalidInput
from tests.collab_core.benchmarks.files import jsonl

MEDQA = {
    "question": "Which drug?",
    "answer": "Nitrofurantoin",
    "options": {"A": "Ampicillin", "B": "Ceftriaxone", "C": "Doxycycline", "D": "Nitrofurantoin"},
    "meta_info": "step2&3",
    "answer_idx": "D",
    "metamap_phrases": ["drug"],
}
GPQA_COLUMNS = (
    "Question",
    "Correct Answer",
    "Incorrect Answer 1",
    "Incorrect Answer 2",
    "Incorrect Answer 3",
    "Record ID",
    "High-level domain",
)


def gpqa(path: Path, rows: list[tuple[str, ...]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([GPQA_COLUMNS, *rows])
    return path


def test_medqa_shows_its_options_and_asks_for_a_letter(tmp_path: Path) -> None:
    jsonl(tmp_path / "phrases_no_exclude_test.jsonl", [MEDQA])
    (task,) = registry.load("medqa", tmp_path).tasks
    assert "Which drug?\n\nA. Ampicillin\nB. Ceftriaxone\n" in task.question
    assert "letter" in task.question
    assert (task.answers, task.scorer, task.category) == (("D",), "letter", "step2&3")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answer_idx": "E"}, "says that 'E' is right"),
        ({"options": ["a", "b"]}, "no options by letter"),
        ({"options": {"A": "x", "?": "y"}}, "not texts by letters"),
        ({"options": {"A": "x"}}, "no options by letter"),
        ({"question": 7.5, "answer_idx": None}, "has no answer_idx"),
    ],
)
def test_a_bad_medqa_row_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = jsonl(tmp_path / "phrases_no_exclude_test.jsonl", [MEDQA, MEDQA | change])
    with pytest.raises(InvalidInput, match=f"Row 2 of .*{said}"):
        registry.load("medqa", path)


def test_gpqa_shuffles_the_same_way_every_time(tmp_path: Path) -> None:
    rows = [(f"Q{n}?", "right", "w1", "w2", "w3", f"rec{n}", "Physics") for n in range(40)]
    path = gpqa(tmp_path / "gpqa_main.csv", rows)
    first, again = registry.load("gpqa", path), registry.load("gpqa", tmp_path)
    assert first.tasks == again.tasks
    for task in first.tasks:
        assert f"\n{task.answers[0]}. right\n" in task.question + "\n"
    letters = {task.answers[0] for task in first.tasks}
    assert letters == set("ABCD")
    assert (first.tasks[0].id, first.tasks[0].category) == ("gpqa-rec0", "Physics")


def test_the_order_of_options_does_not_follow_from_the_row(tmp_path: Path) -> None:
    rows = [(f"Q{n}?", "right", "w1", "w2", "w3", f"rec{n}", "Physics") for n in range(9)]
    some = gpqa(tmp_path / "gpqa_main.csv", rows)
    before = {task.id: task.answers for task in registry.load("gpqa", some).tasks}
    some = gpqa(tmp_path / "gpqa_main.csv", rows[::-1])
    assert {task.id: task.answers for task in registry.load("gpqa", some).tasks} == before


def test_gpqa_whose_right_answer_comes_twice_is_refused(tmp_path: Path) -> None:
    path = gpqa(tmp_path / "gpqa_main.csv", [("Q?", "x", "x", "y", "z", "r", "d")])
    with pytest.raises(InvalidInput, match="wrong answer that equals the right one"):
        registry.load("gpqa", path)
