from __future__ import annotations

from pathlib import Path

import pytest

from collab_core.benchmarks import registry
from collab_core.benchmarks.tasks import load_tasks
from collab_core.cli import main
from tests.collab_core.benchmarks.files import jsonl, xlsx
from tests.collab_core.benchmarks.sets.test_judged import FILE, HEADER, row

GSM8K = [{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in range(3)]


def test_the_list_names_every_benchmark_with_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmarks"]) == 0
    said = capsys.readouterr().out
    for benchmark in registry.BENCHMARKS.values():
        assert f"{benchmark.name}: {benchmark.title}\n" in said
        assert f"  {benchmark.default_split}: " in said
        assert benchmark.licence in said


def test_tasks_are_checked_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jsonl(tmp_path / "test.jsonl", GSM8K)
    out = tmp_path / "tasks.jsonl"
    assert main(["load-benchmark", "gsm8k", str(tmp_path), "--out", str(out)]) == 0
    assert "GSM8K, test: 3 tasks, graded by number\n" in capsys.readouterr().out
    assert tuple(load_tasks(out)) == registry.load("gsm8k", tmp_path).tasks


def test_a_table_says_its_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"question": "q", "answer": "a", "category": c} for c in ("x", "x", "y")]
    path = jsonl(tmp_path / "mine.jsonl", rows)
    assert main(["load-benchmark", "own", str(path), "--scorer", "judge"]) == 0
    said = capsys.readouterr().out
    assert "graded by judge, which needs a judge\n" in said
    assert "by category: x 2, y 1\n" in said
    assert "by difficulty" not in said


def test_closed_sets_are_read_but_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xlsx(tmp_path / FILE, [HEADER, row()])
    assert main(["load-benchmark", "browsecomp-zh", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "1 tasks, graded by judge" in said
    assert "建造者" not in said
    out = tmp_path / "out.jsonl"
    assert main(["load-benchmark", "browsecomp-zh", str(tmp_path), "--out", str(out)]) == 2
    assert "do not post items in clear" in capsys.readouterr().err
    assert not out.exists()


def test_a_wrong_folder_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load-benchmark", "writingbench", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "has no benchmark_all.jsonl.\nThe folder is empty.\n" in said
