from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.cli import main
from collab_core.review.files import to_csv, to_jsonl
from collab_core.whatif.commands import read_labels
from tests.collab_core.review.labelled import label, run
from tests.collab_core.whatif.logs import trails


def write(folder: Path, logs: Sequence[Sequence[ev.Recorded]]) -> Path:
    folder.mkdir()
    for number, records in enumerate(logs):
        lines = b"".join(ev.encode(record) + b"\n" for record in records)
        (folder / f"{number:03}.jsonl").write_bytes(lines)
    return folder


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("logs") / "random", trails("random", 30))


def out(capsys: pytest.CaptureFixture[str], *argv: Any) -> str:
    assert main(["what-if", *map(str, argv)]) == 0
    return capsys.readouterr().out


def test_a_table_says_what_is_exact_and_what_is_estimated(
    drawn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = out(capsys, drawn, "--strategy", "agentcollab", "--param", "warm_up_steps=0")
    assert text.startswith("agentcollab warm_up_steps=0\nexact: ")
    assert "of 30 runs" in text
    assert "accuracy" in text
    assert "estimated from 30 runs" in text


def test_json_holds_every_run(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(out(capsys, drawn, "--strategy", "small", "--json"))
    assert len(found["estimates"]) == found["runs"] == 30
    assert found["row"]["figures"]["large_steps"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_measuring_names_the_errors(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = write(tmp_path / "small", trails("small", 30))
    text = out(capsys, "--measure", drawn, real, "--pool", drawn, real)
    assert "measured on 30 pairs" in text
    assert "exact steps confirmed in 30" in text
    assert text.count("really") == 6


def test_labels_say_what_would_have_been_caught(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"run": "000", "step": 1, "made_progress": false}\n\n')
    text = out(capsys, drawn, "--strategy", "large", "--labels", labels)
    assert "labels: " in text
    assert "large steps a run more than recorded" in text


@pytest.mark.parametrize("name", ["set.jsonl", "set.csv"])
def test_a_label_set_is_read_and_settled(name: str, tmp_path: Path) -> None:
    several = [
        label(False, 1, step=2),
        label(False, 1, step=2, reviewer="bob"),
        label(True, 1, step=2, reviewer="eve"),
        label(None, 1, step=3),
    ]
    file = tmp_path / name
    file.write_bytes(b"".join((to_csv if name.endswith("csv") else to_jsonl)(several)))
    assert read_labels(file) == {(str(run(1)), "", 2): False}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "Give logs and the strategy"),
        (("LOGS",), "Give logs and the strategy"),
        (("LOGS", "--strategy", "nobody"), "There is no strategy 'nobody'"),
        (("LOGS", "--strategy", "small", "--level", "1"), "--level 1.0 is not between"),
        (("LOGS", "--measure", "LOGS", "LOGS"), "--measure takes both"),
        (("LOGS", "--strategy", "small", "--labels", "nowhere"), "nowhere cannot be read"),
        (("LOGS", "--strategy", "small", "--labels", "BAD"), "line 1 is no label"),
        (("LOGS", "--strategy", "cope"), "cannot be decided from the log of run 000"),
    ],
)
def test_wrong_usage_is_told(
    argv: Sequence[str],
    message: str,
    drawn: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"run": "000"}\n')
    named = {"LOGS": str(drawn), "BAD": str(bad)}
    assert main(["what-if", *(named.get(word, word) for word in argv)]) == 2
    assert message in capsys.readouterr().err
