from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collab_core.benchmarks import registry
from collab_core.benchmarks.tasks import write_world
from collab_core.benchmarks.world import generate
from collab_core.errors import InvalidInput

ROWS = [{"question": "1 + 1?", "answer": "2"}, {"question": "1 + 2?", "answer": "3"}]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_shipped_world_is_a_benchmark(tmp_path: Path) -> None:
    write_world(generate(questions=9), tmp_path)
    found = registry.load("world", tmp_path)
    assert [task.difficulty for task in found.tasks[:3]] == ["easy", "medium", "hard"]
    assert (len(found.tasks), found.needs, found.closed) == (9, None, False)


def test_the_digest_names_tasks_and_grader(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ROWS)
    first = registry.load("own", path)
    assert first.digest == registry.load("own", tmp_path).digest
    assert len(first.digest) == 64
    other = registry.load("own", path, scorer="judge")
    assert (other.needs, other.tasks[0].scorer) == ("judge", "judge")
    assert other.digest != first.digest
    changed = write(tmp_path / "a.jsonl", [*ROWS, {"question": "?", "answer": "x"}])
    assert registry.load("own", changed).digest != first.digest


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "nothing"}, "benchmark"),
        ({"name": "own", "split": "test"}, "split"),
        ({"name": "own", "scorer": "magic"}, "scorer"),
        ({"name": "own", "scorer": "tests"}, "scorer"),
        ({"name": "own", "scorer": "critic"}, "scorer"),
    ],
)
def test_what_does_not_exist_is_refused(tmp_path: Path, given: dict[str, str], field: str) -> None:
    write(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(InvalidInput) as error:
        registry.load(given.pop("name"), tmp_path, **given)
    assert error.value.field == field
    assert error.value.hint


@pytest.mark.parametrize(
    ("scorer", "answer"),
    [("number", "seven"), ("letter", "Paris"), ("exact", "+"), ("exact", "x" * 2_001)],
)
def test_a_reference_that_its_grader_cannot_read_is_refused(
    tmp_path: Path, scorer: str, answer: str
) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": "x", "question": "?", "answer": answer}])
    with pytest.raises(InvalidInput, match=f"of 'x' cannot be graded by {scorer}"):
        registry.load("own", path, scorer=scorer)
    assert registry.load("own", path, scorer="judge").tasks


def test_a_file_that_may_not_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", ROWS)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # tests may run as root, whom no mode of a file stops
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InvalidInput, match=r"a\.jsonl cannot be read: Permission denied"):
        registry.load("own", path)


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"id": "x", **row} for row in ROWS])
    with pytest.raises(InvalidInput, match="Tasks 1 and 2 have the same id 'x'"):
        registry.load("own", path)


def test_a_missing_file_is_named_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    with pytest.raises(InvalidInput, match=r"no gpqa_main\.csv") as error:
        registry.load("gpqa", tmp_path)
    assert error.value.hint == "The folder holds README.md."
    with pytest.raises(InvalidInput, match="There is no file or folder 'gone'"):
        registry.load("gpqa", tmp_path / "gone")


def test_one_of_several_files_is_not_guessed(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path / name, ROWS)
    with pytest.raises(InvalidInput, match="Several files could be meant"):
        registry.load("own", tmp_path)


def test_files_in_subfolders_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "grade_school_math" / "data"
    folder.mkdir(parents=True)
    write(folder / "test.jsonl", [{"question": "1 + 1?", "answer": "One and one.\n#### 2"}])
    assert registry.load("gsm8k", tmp_path).tasks[0].answers == ("2",)
