from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from collab_core.cli import main
from collab_core.domain import Task
from collab_core.errors import InvalidInput
from collab_core.learned.evidence import Tracker
from collab_core.learned.logs import LoggedRun, LoggedStep, Logs
from collab_core.learned.progress_model import (
    AS_OFTEN_KEY,
    CALIBRATED,
    LOGPROB,
    NAMES,
    features,
    open_progress_model,
)
from collab_core.learned.progress_report import Judged, as_often_threshold, weighted_ece
from collab_core.learned.store import Manifest
from collab_core.learned.trainer import Source
from collab_core.learned.training import train
from collab_core.review.files import to_csv, to_jsonl
from collab_core.review.labels import Label
from tests.collab_core.learned.worlds import ladder, question, run, write
from tests.collab_core.review.labelled import label, step

STEPS = 8


def world(
    runs: int = 40, *, tasks: int = 20, seed: int = 0, liar: float = 0.2
) -> tuple[Logs, list[Label]]:
    """Runs in which a step makes progress if the call before it was no repeated one, and in which
    one verdict in five is wrong."""
    rng = np.random.default_rng(seed)
    logged, labels = [], []
    for number in range(runs):
        records = []
        repeated_before = False
        for at in range(1, STEPS + 1):
            progress = not repeated_before
            verdict = int(progress) if rng.random() >= liar else 1 - int(progress)
            repeats = at > 1 and rng.random() < 0.4
            call = "the same" if repeats or at == 1 else f"query {at}"
            record = step(
                verdict,  # type: ignore[arg-type]
                arguments=f'{{"query": "{call}"}}',
                observation=f"[d{number}-{at}] Title",
                rationale=f"A thought about step {at} that is long enough.",
            )
            records.append(replace(record, index=at))
            labels.append(label(progress, verdict, of_run=number + 1, step=at))  # type: ignore[arg-type]
            repeated_before = repeats
        logged.append(_run(number, f"task {number % tasks}", records))
    return Logs(runs=tuple(logged), skipped={}, source="by hand", digest="d"), labels


def _run(number: int, task: str, records: list[Any]) -> LoggedRun:
    return LoggedRun(
        run_id=str(UUID(int=number + 1)),
        task=Task(question=task),
        strategy="agentcollab",
        ladder=ladder(),
        simulated=False,
        outcome="unscored",
        branches=(tuple(LoggedStep(record=one, drafts=()) for one in records),),
        answer="",
        cost_usd=None,
        latency_s=1.0,
    )


def made(folder: Path, logs: Logs, labels: list[Label], **options: Any) -> Manifest:
    return train(CALIBRATED, Source.of_logs(logs, labels=labels), folder, options, seed=1)


def value(manifest: Manifest, name: str) -> float:
    found = manifest.report[name].value
    assert found is not None
    return found


def test_what_the_log_shows_is_learned_and_beats_the_bare_verdict(tmp_path: Path) -> None:
    logs, labels = world()
    manifest = made(tmp_path / "w", logs, labels)
    assert value(manifest, "auc") > 0.97
    assert value(manifest, "verdict_auc") == pytest.approx(0.8, abs=0.06)
    assert value(manifest, "brier") < value(manifest, "verdict_brier")
    assert manifest.tables["Coefficients"].rows[0][0] == (
        "the call it judges was made before lowers P(progress)"
    )
    assert manifest.trained_on.splits == {"cross_fitted": 320}
    assert (manifest.trained_on.split_by, manifest.trained_on.tasks) == ("task", 20)
    assert manifest.encoder is None


def test_the_stored_model_says_of_a_step_what_the_trained_one_does(tmp_path: Path) -> None:
    logs, labels = world()
    made(tmp_path / "w", logs, labels)
    model, _ = open_progress_model(tmp_path / "w", ladder=ladder())
    tracker = Tracker()
    said = [
        model.probability(one.record, tracker.add(one.record)) for one in logs.runs[0].branches[0]
    ]
    truth = [one.made_progress for one in labels[:STEPS]]
    assert [one > 0.5 for one in said] == truth


def test_the_same_labels_and_seed_give_the_same_weights(tmp_path: Path) -> None:
    logs, labels = world()
    first, again = (made(tmp_path / name, logs, labels) for name in "ab")
    assert first.tensors_sha256 == again.tensors_sha256
    changed = made(tmp_path / "c", logs, [*labels[:-1], label(False, 1, of_run=40, step=8)])
    assert changed.trained_on.digest != first.trained_on.digest


def test_labels_of_noise_teach_nothing(tmp_path: Path) -> None:
    logs, _ = world(60)
    rng = np.random.default_rng(5)
    noise = [
        label(bool(rng.random() < 0.5), 1, of_run=1 + n // 8, step=1 + n % 8) for n in range(480)
    ]
    auc = made(tmp_path / "w", logs, noise).report["auc"]
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low < 0.55
    assert auc.high > 0.45


def test_a_rarely_drawn_label_weighs_more(tmp_path: Path) -> None:
    logs, labels = world()
    # steps with progress were drawn with probability 1/4: they stand for four times as many
    sampled = [
        label(one.made_progress, one.verdict, of_run=one.run_id.int, step=one.step,
              probability=0.25 if one.made_progress else 1.0)
        for one in labels
    ]  # fmt: skip
    share = sum(bool(one.made_progress) for one in labels) / len(labels)
    weighted = made(tmp_path / "a", logs, sampled)
    plain = made(tmp_path / "b", logs, sampled, sampling_weights=False)
    assert value(plain, "base_rate") == pytest.approx(share)
    assert value(weighted, "base_rate") == pytest.approx(4 * share / (4 * share + 1 - share))


@pytest.mark.parametrize("kind", [True, False])
def test_too_few_labels_of_a_kind_are_refused(kind: bool, tmp_path: Path) -> None:
    logs, labels = world()
    few = [one for one in labels if one.made_progress is kind][:9]
    rest = [one for one in labels if one.made_progress is not kind]
    counts = (9, len(rest)) if kind else (len(rest), 9)
    with pytest.raises(InvalidInput) as caught:
        made(tmp_path / "w", logs, few + rest)
    assert caught.value.message == (
        f"There are {counts[0]} labels of progress and {counts[1]} of no progress on steps of these "
        "runs; 10 of each are the least."
    )
    assert "most suspicious first" in caught.value.hint
    assert not (tmp_path / "w").exists()


def test_labels_of_few_runs_of_other_runs_or_none_are_refused(tmp_path: Path) -> None:
    logs, _ = world()
    few = [label(at % 2 == 0, 1, of_run=1 + at // 8, step=1 + at % 8) for at in range(32)]
    with pytest.raises(InvalidInput, match="of 4 runs; 5 are the least"):
        made(tmp_path / "w", logs, few)
    with pytest.raises(InvalidInput, match="None of the 40 runs is one of the 40 labelled ones"):
        made(tmp_path / "w", logs, [label(True, 1, of_run=n) for n in range(900, 940)])
    with pytest.raises(InvalidInput, match="learns from people's labels"):
        made(tmp_path / "w", logs, [])


def test_runs_are_the_groups_where_there_are_few_tasks(tmp_path: Path) -> None:
    logs, labels = world(tasks=2)
    manifest = made(tmp_path / "w", logs, labels)
    assert manifest.trained_on.split_by == "run"
    assert value(manifest, "held_out_tasks") == 40.0


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    logs, labels = world()
    unsure = [
        label(None, 1, of_run=1, step=2),
        *(one for one in labels if one.item != labels[1].item),
    ]
    whole = logs.runs[0]
    last = whole.branches[0][-1]
    answer = LoggedStep(record=replace(last.record, tool_name=""), drafts=())
    ended = replace(whole, branches=((*whole.branches[0][:-1], answer),))
    manifest = made(tmp_path / "w", replace(logs, runs=(ended, *logs.runs[1:])), unsure)
    (note,) = [one for one in manifest.notes if one.startswith("Labelled steps left out")]
    assert "1: nobody could tell" in note
    assert "1: it is its agent's last step" in note
    assert sum(manifest.trained_on.splits.values()) == 318


def test_few_false_progress_labels_are_warned_of(tmp_path: Path) -> None:
    logs, labels = world(liar=0.01)
    notes = made(tmp_path / "w", logs, labels).notes
    assert any("of the labels are a false progress" in note for note in notes)


def test_the_thresholds_say_what_each_would_have_caught() -> None:
    judged = Judged(
        probability=np.array([0.1, 0.3, 0.6, 0.9]),
        progress=np.array([0.0, 0.0, 1.0, 1.0]),
        weights=np.array([1.0, 1.0, 1.0, 1.0]),
        verdicts=np.array([0.0, 1.0, 0.0, 1.0]),
        groups=["a", "b", "c", "d"],
    )
    # half of the steps are called stalls; so are the two below 0.45
    assert as_often_threshold(judged) == pytest.approx(0.45)
    # bins 0.1, 0.3, 0.6, 0.9: gaps 0.1, 0.3, 0.4, 0.1, one step each
    assert weighted_ece(judged.probability, judged.progress, judged.weights) == pytest.approx(0.225)


def test_the_table_of_thresholds_weighs_and_compares(tmp_path: Path) -> None:
    logs, labels = world()
    manifest = made(tmp_path / "w", logs, labels)
    rows = {row[0]: row[1:] for row in manifest.tables["Thresholds"].rows}
    said = rows["the agent's verdict"]
    assert said[1:3] == (0.0, 0.0)
    (often,) = [row for name, row in rows.items() if "as often" in str(name)]
    assert often[0] == pytest.approx(said[0], abs=0.01)
    assert often[1] > 0.7  # type: ignore[operator]
    assert 0.0 < float(str(manifest.options[AS_OFTEN_KEY])) < 1.0


def test_features_stand_in_the_order_of_their_names() -> None:
    record = step(1, mean_logprob=-0.25, rationale="abc")
    row = features(record, Tracker().add(record))
    assert len(row) == len(NAMES)
    assert row[LOGPROB] == -0.25
    assert row[NAMES.index("verdict_progress")] == 1.0
    assert row[NAMES.index("rationale_length")] == pytest.approx(np.log(4))
    assert row[NAMES.index("verdict_stall")] == 0.0


def _on_disk(folder: Path) -> list[Label]:
    runs, labels = {}, []
    for number in range(1, 13):
        uuid = UUID(int=number)
        indicators = [(number + at) % 2 for at in range(5)]
        runs[str(uuid)] = run(
            question(number, hard=False), [0] * 5, correct=True, indicators=indicators
        )
        labels += [
            label(bool(said), said, of_run=number, step=at)  # type: ignore[arg-type]
            for at, said in enumerate(indicators, start=1)
        ]
    write(folder, runs)
    return labels


@pytest.mark.parametrize("beside", [True, False])
def test_the_command_reads_labels_beside_the_logs_or_from_a_file(
    beside: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = _on_disk(tmp_path / "logs")
    file = tmp_path / ("logs/labels.csv" if beside else "set.jsonl")
    file.write_bytes(b"".join(to_csv(labels) if beside else to_jsonl(labels)))
    more = [] if beside else ["--labels", str(file)]
    given = ["train", CALIBRATED, "--logs", str(tmp_path / "logs"), "--out", str(tmp_path / "w")]
    assert main([*given, *more]) == 0
    printed = capsys.readouterr().out
    assert "it says progress raises P(progress)" in printed
    assert "encoder    none" in printed


def test_a_broken_label_file_is_told_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = _on_disk(tmp_path / "logs")
    file = tmp_path / "set.jsonl"
    file.write_bytes(b"".join(to_jsonl(labels)) + b"{}\nnothing\n")
    given = ["train", CALIBRATED, "--logs", str(tmp_path / "logs"), "--out", str(tmp_path / "w")]
    assert main([*given, "--labels", str(file)]) == 2
    assert "line 61 is no label" in (said := capsys.readouterr().err)
    assert "1 more lines" in said
    assert main(given) == 2
    assert "Give --labels" in capsys.readouterr().err
