from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_core.benchmarks import registry
from collab_core.errors import InvalidInput
from tests.collab_core.benchmarks.files import jsonl

LEVELS = {level: f"means {level}" for level in ("1-2", "3-4", "5-6", "7-8", "9-10")}
CRITERION = {"name": "Depth", "criteria_description": "How deep?", **LEVELS}
ROW = {
    "index": 7,
    "domain1": "Law",
    "domain2": "Contract",
    "query": "Write a contract.",
    "checklist": [CRITERION, CRITERION | {"name": "Tone"}],
}


def test_writingbench_brings_its_checklists(tmp_path: Path) -> None:
    jsonl(tmp_path / "benchmark_query" / "benchmark_all.jsonl", [ROW])
    found = registry.load("writingbench", tmp_path)
    (task,) = found.tasks
    assert (task.id, task.category, found.needs) == ("writingbench-7", "Law", "critic")
    assert task.reference["query"] == "Write a contract."
    assert task.reference["checklist"][1] == CRITERION | {"name": "Tone"}
    assert task.question.startswith("Write a contract.")


@pytest.mark.parametrize(
    "checklist", [None, [], "x", ["x"], [{"name": "n"}], [CRITERION | {"name": 5 * [1]}]]
)
def test_a_bad_checklist_is_named(tmp_path: Path, checklist: Any) -> None:
    path = jsonl(tmp_path / "benchmark_all.jsonl", [ROW | {"checklist": checklist}])
    with pytest.raises(InvalidInput, match=r"Row 1 of benchmark_all\.jsonl"):
        registry.load("writingbench", path)
