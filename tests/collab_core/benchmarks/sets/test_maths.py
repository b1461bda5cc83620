from __future__ import annotations

import json
from pathlib import Path

import pytest

from collab_core.benchmarks import registry
from collab_core.errors import InvalidInput
from tests.collab_core.benchmarks.files import jsonl, parquet

GSM8K = {"question": "How many?", "answer": "He has 2 <<1+1=2>>.\n#### 1,234"}
MATH = {
    "problem": "What is half of one?",
    "level": "Level 2",
    "type": "Algebra",
    "solution": r"Half is $\boxed{\frac{1}{2}}$.",
}


def test_gsm8k_takes_the_number_behind_the_mark(tmp_path: Path) -> None:
    jsonl(tmp_path / "test.jsonl", [GSM8K])
    (task,) = registry.load("gsm8k", tmp_path).tasks
    assert (task.answers, task.scorer) == (("1234",), "number")
    assert task.question.startswith("How many?\n\n")


def test_gsm8k_comes_as_parquet_too(tmp_path: Path) -> None:
    parquet(tmp_path / "main" / "train-00000-of-00001.parquet", [GSM8K] * 70)
    found = registry.load("gsm8k", tmp_path, split="train")
    assert len(found.tasks) == 70
    assert found.tasks[-1].id == "gsm8k-train-00070"


def test_gsm8k_without_its_mark_is_refused(tmp_path: Path) -> None:
    jsonl(tmp_path / "test.jsonl", [GSM8K, {"question": "?", "answer": "7"}])
    with pytest.raises(InvalidInput, match=r"Row 2 of test.jsonl has no number behind ####"):
        registry.load("gsm8k", tmp_path)


def test_math_is_read_from_its_folders(tmp_path: Path) -> None:
    for name in ("1", "2"):
        path = tmp_path / "MATH" / "test" / "algebra" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(MATH))
    found = registry.load("math", tmp_path)
    assert [task.id for task in found.tasks] == ["math-test-algebra/1", "math-test-algebra/2"]
    task = found.tasks[0]
    assert (task.answers, task.difficulty, task.category) == (
        (r"\frac{1}{2}",),
        "Level 2",
        "Algebra",
    )
    assert r"\boxed{}" in task.question


def test_math_500_brings_its_answers(tmp_path: Path) -> None:
    more = {"answer": "0.5", "subject": "Algebra", "level": 2, "unique_id": "test/algebra/7.json"}
    jsonl(tmp_path / "test.jsonl", [MATH | more])
    (task,) = registry.load("math", tmp_path).tasks
    assert (task.answers, task.difficulty) == (("0.5",), "Level 2")


def test_math_without_an_answer_is_refused(tmp_path: Path) -> None:
    jsonl(tmp_path / "test.jsonl", [MATH | {"solution": "Half."}])
    with pytest.raises(InvalidInput, match=r"Row 1 of test.jsonl has no answer"):
        registry.load("math", tmp_path)
