from __future__ import annotations

import json
from pathlib import Path

import pytest

from collab_core.cli import main
from tests.collab_core.learned.worlds import predictable, question, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "logs", predictable())


def train(folder: Path, out: Path, *more: str, kind: str = "probe") -> int:
    given = [kind, "--logs", str(folder), "--out", str(out), "--encoder", "hashed"]
    return main(["train", *given, *more])


def test_training_prints_the_report(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, tmp_path / "w", "--option", "head=ridge", "--seed", "3") == 0
    printed = capsys.readouterr()
    assert "(stand-in)" in printed.out
    assert "trained on 120 runs of 60 tasks: logs" in printed.out
    assert "auc" in printed.out
    assert "100% Done" in printed.err
    assert main(["weights", str(tmp_path / "w")]) == 0
    assert capsys.readouterr().out == printed.out


def test_progress_as_json_ends_with_the_manifest(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, tmp_path / "w", "--progress", "json") == 0
    *steps, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [step["fraction"] for step in steps][-1] == 1.0
    assert last["manifest"]["kind"] == "probe"
    assert last["manifest"]["report"]["auc"]["value"] > 0.9


def test_a_wrong_call_exits_2_and_says_what_to_do(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path / "nowhere", tmp_path / "w") == 2
    assert "There is no log 'nowhere'" in capsys.readouterr().err
    assert train(folder, tmp_path / "w", "--option", "head") == 2
    assert "is not NAME=VALUE" in capsys.readouterr().err
    assert main(["train", "probe", "--out", str(tmp_path / "w")]) == 2
    assert "give --logs" in capsys.readouterr().err
    assert main(["weights", str(tmp_path)]) == 2
    assert "There are no weights" in capsys.readouterr().err


def pairs(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines))
    return path


def test_a_file_of_pairs_trains_routellm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    winners = ("weak", "strong")
    lines = [
        json.dumps({"prompt": question(i, hard=i % 2 == 1), "winner": winners[i % 2]})
        for i in range(40)
    ]
    given = ["--pairs", str(pairs(tmp_path / "p.jsonl", lines)), "--encoder", "hashed"]
    named = ["--ladder", "small=a", "--ladder", "large=b", "--out", str(tmp_path / "w")]
    assert main(["train", "routellm-mf", *given, *named]) == 0
    assert "p.jsonl: 40 preference pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "line 1 is not a pair"),
        ('{"prompt": "x", "winner": "both"}', "line 1 is not a pair"),
        ('{"prompt": 1, "winner": "tie"}', "line 1 is not a pair"),
        ("", "holds no pairs"),
    ],
)
def test_a_wrong_pair_is_named(
    line: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pairs(tmp_path / "p.jsonl", [line])
    named = ["--ladder", "small=a", "--ladder", "large=b", "--out", str(tmp_path / "w")]
    assert main(["train", "routellm-mf", "--pairs", str(path), *named]) == 2
    assert said in capsys.readouterr().err


def test_pairs_need_a_ladder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pairs(tmp_path / "p.jsonl", [])
    given = ["--pairs", str(path), "--out", str(tmp_path / "w")]
    assert main(["train", "routellm-mf", *given]) == 2
    assert "--ladder small=MODEL" in capsys.readouterr().err


def test_a_signal_stops_the_training_and_nothing_is_written(tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys

    write(tmp_path / "logs", predictable(400, steps=6))
    command = [
        sys.executable, "-m", "collab_core", "train", "routellm-mf", "--logs", str(tmp_path / "logs"),
        "--out", str(tmp_path / "w"), "--encoder", "hashed", "--progress", "json",
        "--option", "max_iterations=5000", "--option", "decay=0",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as at:
        assert at.stdout is not None
        for line in at.stdout:
            if "Iteration" in line:
                at.send_signal(signal.SIGTERM)
                break
        assert at.wait(timeout=60) == 2
        assert at.stderr is not None
        assert "nothing was written" in at.stderr.read()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_a_manifest_from_elsewhere_cannot_drive_the_terminal(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(folder, tmp_path / "w")
    path = tmp_path / "w" / "manifest.json"
    changed = json.loads(path.read_text()) | {"name": "x\x1b[2Jy", "notes": ["\x07\u202e"]}
    path.write_text(json.dumps(changed))
    capsys.readouterr()
    assert main(["weights", str(tmp_path / "w")]) == 0
    printed = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in printed)
    assert "x [2Jy" in printed
