from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_core.benchmarks import registry
from collab_core.errors import InvalidInput
from tests.collab_core.benchmarks.files import jsonl, parquet, xlsx


def answers(path: Path) -> list[tuple[str, ...]]:
    return [task.answers for task in registry.load("own", path).tasks]


def test_columns_are_found_by_their_usual_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("ID, Problem ,Gold,Level,Subject\nx-1,What?,42,3,Maths\n", encoding="utf-8-sig")
    (task,) = registry.load("own", path).tasks
    assert (task.id, task.question, task.answers) == ("x-1", "What?", ("42",))
    assert (task.difficulty, task.category, task.scorer) == ("3", "Maths", "exact")


def test_several_answers_can_be_accepted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"question": "q", "answers": ["a", "b", "a", 3]},
        {"question": "q", "answers": "a | b"},
        {"question": "q", "answers": '["a", "b | c"]'},
        {"question": "q", "answers": "[not json"},
        {"question": "q", "answer": "a | b", "aliases": ["c"]},
        {"question": "q", "answer": 7},
        {"question": "q", "answer": 0.5},
    ]
    assert answers(jsonl(tmp_path / "a.jsonl", rows)) == [
        ("a", "b", "3"),
        ("a", "b"),
        ("a", "b | c"),
        ("[not json",),
        ("c", "a | b"),
        ("7",),
        ("0.5",),
    ]


def test_a_table_can_come_from_excel_or_parquet(tmp_path: Path) -> None:
    book = xlsx(tmp_path / "a.xlsx", [("question", "answer"), ("q", 7), (None, None), ("r", "x")])
    assert answers(book) == [("7",), ("x",)]
    assert answers(parquet(tmp_path / "a.parquet", [{"question": "q", "answer": "x"}])) == [("x",)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer": "a"}, "has no question"),
        ({"question": " ", "answer": "a"}, "has no question"),
        ({"question": ["q"], "answer": "a"}, "holds no text in question"),
        ({"question": "q"}, "has no answer"),
        ({"question": "q", "answer": ""}, "has no answer"),
        ({"question": "q", "answer": ["a"]}, "call the column answers"),
        ({"question": "q", "answers": [["a"]]}, "something else than text"),
        ({"question": "q", "answers": {"a": 1}}, "answers that are no list"),
        ({"question": "q", "answers": [str(n) for n in range(101)]}, "more than 100 answers"),
        ({"question": "q\x00", "answer": "a"}, "holds characters in question"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"question": "q", "answer": "a"}, row])
    with pytest.raises(InvalidInput, match=f"Row 2 of a.jsonl .*{said}"):
        registry.load("own", path)
