from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from collab_core import cli
from collab_core.errors import InvalidInput
from collab_core.experiments import shipped
from collab_core.experiments.commands import narrowed
from collab_core.experiments.runner import run_experiment
from tests.collab_core.experiments.test_runner import two_tasks
from tests.collab_core.replies import answers

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An experiment of two arms on two tasks; half of the answers are right."""
    replies = [answers(), answers(), answers("Rome"), answers("Rome")]
    definition, setting = two_tasks(replies, "first", "second")
    asyncio.run(run_experiment(definition, setting, tmp_path))
    return tmp_path


def printed(capsys: Capture, *command: str) -> str:
    assert cli.main(["experiment", *command]) == 0
    return capsys.readouterr().out


def test_the_table_of_a_folder_comes_in_every_format(folder: Path, capsys: Capture) -> None:
    for form, sign in (
        ("md", "| first"),
        ("csv", '\n"first",'),
        ("tex", "first "),
        ("latex", "\\begin"),
    ):
        assert sign in printed(capsys, "table", str(folder), "--format", form), form
    rows = printed(capsys, "table", str(folder), "--format", "jsonl").splitlines()
    assert [json.loads(row)["arm"] for row in rows[:2]] == ["first", "second"]


def test_published_rows_stand_below_and_can_be_left_out(folder: Path, capsys: Capture) -> None:
    with_rows = printed(capsys, "table", str(folder), "--published", "agentcollab-table-2")
    assert "Large executor" in with_rows
    assert "published" in with_rows
    assert "Large executor" not in printed(capsys, "table", str(folder), "--published", "none")


def test_speedups_need_a_baseline(folder: Path, capsys: Capture) -> None:
    assert "Speedup" not in printed(capsys, "table", str(folder))
    assert "peedup" in printed(capsys, "table", str(folder), "--baseline", "second")


def test_the_table_says_what_was_tried_again(folder: Path, capsys: Capture) -> None:
    log = next(folder.glob("trials/second/*.jsonl"))
    for number in (1, 2):
        log.with_name(f"{log.name}.failed-{number}").write_bytes(log.read_bytes())
    told = printed(capsys, "table", str(folder))
    assert "second: 2 failed or stopped runs were tried again" in told
    assert "first: " not in told


def test_the_list_names_every_shipped_definition(capsys: Capture) -> None:
    listed = printed(capsys, "list")
    assert all(f"{name}\n" in listed for name in shipped.names())


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["table", "nowhere"], "nowhere holds no experiment"),
        (["run", "smok", "--out", "x"], "no experiment 'smok'"),
        (["run", "smoke", "--out", "x", "--seeds", "1,x"], "seeds.1"),
        (["run", "smoke", "--out", "x", "--count", "0"], "tasks.count"),
        (["run", "smoke", "--out", "x", "--tasks", "world"], "--tasks world is not NAME=VALUE"),
        (["run", "smoke", "--out", "x", "--simulated", "--judge", "y"], "--tier judge=y"),
        (["paper-table-1", "--out", "x", "--seeds", "0"], "seeds"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(
    command: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["experiment", *command]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.glob("x/trials"))


def test_a_definition_can_be_narrowed() -> None:
    smoke = shipped.load("smoke")
    assert narrowed(smoke, count=None, seeds=None) is smoke
    small = narrowed(smoke, count=2, seeds="4,5")
    assert (small.tasks.count, small.seeds) == (2, (4, 5))
    with pytest.raises(InvalidInput):
        narrowed(smoke, count=None, seeds="1,1")
