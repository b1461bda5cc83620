from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from collab_core.benchmarks import commands
from collab_core.benchmarks.tasks import load_tasks, write_world
from collab_core.benchmarks.world import generate
from collab_core.errors import InvalidInput


def test_a_world_is_written_and_read(tmp_path: Path) -> None:
    world = generate(documents=60, questions=9)
    write_world(world, tmp_path)
    tasks = load_tasks(tmp_path / "tasks.jsonl")
    assert [task.question for task in tasks] == [task.question for task in world.tasks]
    assert len(list((tmp_path / "documents").glob("*.md"))) == 60
    assert "chain" not in (tmp_path / "tasks.jsonl").read_text(encoding="utf-8")


def test_two_worlds_are_not_mixed(tmp_path: Path) -> None:
    write_world(generate(documents=60, questions=3), tmp_path)
    write_world(generate(documents=60, questions=3), tmp_path)
    with pytest.raises(InvalidInput, match="already holds"):
        write_world(generate(seed=8, documents=60, questions=3), tmp_path)


@pytest.mark.parametrize("line", ["{", "[]", '{"id": 1}', "\xff", '{"id":"a","answers":["q"]}'])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "tasks.jsonl"
    good = b'{"id":"a","question":"q","answers":["x"]}\n\n'
    path.write_bytes(good + line.encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"Line 3 of tasks\.jsonl"):
        load_tasks(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        load_tasks(tmp_path / "none.jsonl")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(
        ["make-world", "--out", str(tmp_path), "--documents", "60", "--questions", "3"]
    )
    assert args.func(args) == 0
    assert "60 documents" in capsys.readouterr().out
