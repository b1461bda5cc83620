from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from collab_core.benchmarks import registry
from collab_core.errors import InvalidInput
from tests.collab_core.benchmarks.files import jsonl

MBPP = {
    "text": "Write a function to add.",
    "code": "def add(a, b):\r\n  return a + b",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
    "challenge_test_list": [],
}
HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'import math\n\n\ndef root(x: float) -> float:\n    """Return the root."""\n',
    "entry_point": "root",
    "canonical_solution": "    return math.sqrt(x)\n",
    "test": "\n\ndef check(candidate):\n    assert candidate(4.0) == 2.0\n",
}


def test_mbpp_takes_the_split_by_number_and_shows_the_tests(tmp_path: Path) -> None:
    numbers = (10, 11, 510, 511, 600, 601, 974)
    jsonl(tmp_path / "mbpp.jsonl", [MBPP | {"task_id": number} for number in numbers])
    ids = {
        split: [task.id for task in registry.load("mbpp", tmp_path, split=split).tasks]
        for split in ("test", "validation", "train")
    }
    assert ids == {
        "test": ["mbpp-11", "mbpp-510"],
        "validation": ["mbpp-511", "mbpp-600"],
        "train": ["mbpp-601", "mbpp-974"],
    }
    task = registry.load("mbpp", tmp_path).tasks[0]
    assert "assert add(1, 2) == 3\nassert add(0, 0) == 0" in task.question
    assert task.reference == {"setup": "", "tests": MBPP["test_list"]}


def test_sanitized_mbpp_brings_its_imports(tmp_path: Path) -> None:
    row = MBPP | {"prompt": "Write a function to add.", "test_imports": ["import math"]}
    del row["text"], row["test_setup_code"]
    (tmp_path / "sanitized-mbpp.json").write_text(json.dumps([row]))
    found = registry.load("mbpp", tmp_path, split="sanitized-test")
    assert found.tasks[0].reference["setup"] == "import math"
    assert found.needs == "sandbox"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"task_id": "11"}, "no number in task_id"),
        ({"test_list": []}, "no list test_list"),
        ({"test_list": "assert"}, "no list test_list"),
        ({"test_list": [1]}, "something else than text in test_list"),
    ],
)
def test_a_bad_mbpp_row_is_named(tmp_path: Path, change: dict[str, object], said: str) -> None:
    jsonl(tmp_path / "mbpp.jsonl", [MBPP, MBPP | change])
    with pytest.raises(InvalidInput, match=f"Row 2 of mbpp.jsonl .*{said}"):
        registry.load("mbpp", tmp_path)


def test_humaneval_is_read_packed_as_published(tmp_path: Path) -> None:
    packed = gzip.compress((json.dumps(HUMANEVAL) + "\n").encode())
    (tmp_path / "HumanEval.jsonl.gz").write_bytes(packed)
    (task,) = registry.load("humaneval", tmp_path).tasks
    assert task.id == "humaneval-0"
    assert "def root(x: float)" in task.question
    assert task.reference["setup"] == HUMANEVAL["prompt"]
    assert task.reference["tests"][0].endswith("\n\ncheck(root)\n")


def test_an_entry_point_that_is_code_is_refused(tmp_path: Path) -> None:
    jsonl(tmp_path / "HumanEval.jsonl", [HUMANEVAL | {"entry_point": "print()"}])
    with pytest.raises(InvalidInput, match="an entry_point that names no function"):
        registry.load("humaneval", tmp_path)
