from __future__ import annotations

from pathlib import Path

import pytest

from collab_core import events as ev
from collab_core.backends.scripted import ScriptedBackend
from collab_core.errors import InvalidInput
from collab_core.learned import logs as logs_module
from collab_core.learned.logs import LoggedRun, read_logs, read_run
from collab_core.learned.rendering import trajectory
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.runtime.opening import queued
from tests.collab_core.learned.worlds import ladder, predictable, run, write
from tests.collab_core.replies import acts, answers, spec
from tests.collab_core.runtime.test_engine import Note


def test_a_run_of_the_engine_is_read_back_as_its_policy_saw_it() -> None:
    """What a scorer reads in training is what it reads at run time."""
    import asyncio

    async def really_run() -> list[ev.Recorded]:
        journal = MemoryJournal()
        await journal.append([queued(spec())])
        journal = MemoryJournal(journal.records)
        script = [acts(0, arguments='{"text": "1"}'), acts(1, arguments='{"text": "2"}'), answers()]
        await execute(spec(), journal, backend=ScriptedBackend(script), tools=(Note(),))
        return journal.records

    found = read_run("r", asyncio.run(really_run()))
    assert isinstance(found, LoggedRun)
    assert (found.outcome, found.only_tier, found.strategy) == ("correct", 0, "small")
    steps = [step.record for step in found.branches[0]]
    assert [step.check.indicator for step in steps] == [0, 1, 1]
    assert trajectory(found.task, steps[:2]) == (
        "Question: Capital of France?\nSteps so far: 2\n"
        'Tier 0: Thinking.\nCall: note {"text": "1"}\nObservation: noted 1\nNo progress.\n'
        'Tier 0: Thinking.\nCall: note {"text": "2"}\nObservation: noted 2\nProgress.'
    )
    assert found.branches[0][-1].drafts[-1].answer == "Paris"


def test_discarded_drafts_are_kept_apart() -> None:
    found = read_run("r", run("q", [0, 1], correct=True, drafts=[(2, "no")], margins=[0.2, 0.4]))
    assert isinstance(found, LoggedRun)
    drafts = found.branches[0][1].drafts
    assert [(d.tier, d.accepted, d.answer) for d in drafts] == [
        (0, False, "no"),
        (1, True, "right"),
    ]
    assert drafts[0].request_digest == drafts[1].request_digest
    assert found.only_tier is None


def test_files_and_folders_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a", predictable(3))
    one = tmp_path / "two.jsonl"
    one.write_bytes(b"".join((tmp_path / "a" / f"small-{i}.jsonl").read_bytes() for i in range(2)))
    found = read_logs([tmp_path / "a"])
    assert (len(found.runs), found.skipped, found.source) == (6, {}, "a")
    assert [r.run_id for r in read_logs([one]).runs] == ["two", "two#2"]


def test_the_same_run_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a", predictable(2))
    write(tmp_path / "b", predictable(2))
    found = read_logs([tmp_path / "a", tmp_path / "b"])
    assert (len(found.runs), found.skipped) == (4, {"the same run twice": 4})


def test_a_file_name_may_come_back_in_another_folder(tmp_path: Path) -> None:
    write(tmp_path / "a", {"x": run("one", [0], correct=True)})
    write(tmp_path / "b", {"x": run("two", [0], correct=True)})
    ids = [r.run_id for r in read_logs([tmp_path / "a", tmp_path / "b"]).runs]
    assert len(set(ids)) == 2


def test_the_digest_does_not_depend_on_the_order(tmp_path: Path) -> None:
    write(tmp_path / "a", predictable(2))
    files = sorted((tmp_path / "a").iterdir())
    assert read_logs(files).digest == read_logs(files[::-1]).digest
    assert read_logs(files).digest != read_logs(files[1:]).digest


def test_unfinished_runs_are_counted_not_used(tmp_path: Path) -> None:
    runs = predictable(2)
    runs["small-0"] = runs["small-0"][:-1]
    write(tmp_path / "a", runs)
    # a crash in mid-write leaves half a line
    (tmp_path / "a" / "torn.jsonl").write_bytes(
        (tmp_path / "a" / "small-1.jsonl").read_bytes()[:-20]
    )
    assert read_logs([tmp_path / "a"]).skipped == {"did not finish": 2}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no finished run"),
        (b"hello\nworld\n", "line 1 is not an event"),
        (b'{"seq": 0, "at": 1, "type": "run.started"}\n{"seq": 2, "at": 1, "type": "run.started"}\n',
         "seq 2, not 1"),
        (b'{"seq": 0, "at": 1, "type": "run.started"}\n', "1 no run.queued event"),
    ],
)  # fmt: skip
def test_a_log_that_is_none_says_what_is_wrong(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        read_logs([path])


def test_a_missing_file_and_a_file_too_large_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match="no log 'gone'"):
        read_logs([tmp_path / "gone"])
    write(tmp_path / "a", predictable(1))
    monkeypatch.setattr(logs_module, "MAX_LOG_BYTES", 10)
    with pytest.raises(InvalidInput, match="is larger than"):
        read_logs([tmp_path / "a"])


def test_logs_of_another_ladder_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", predictable(1))
    with pytest.raises(InvalidInput, match=r"is of the ladder small .* not tiny \(tiny-model\)"):
        read_logs([tmp_path / "a"], ladder=ladder("tiny", "huge"))
    write(tmp_path / "b", {"x": run("q", [0], correct=True, ladder_=ladder("tiny", "huge"))})
    with pytest.raises(InvalidInput, match="is of the ladder") as caught:
        read_logs([tmp_path / "a", tmp_path / "b"])
    assert "logs of one ladder" in caught.value.hint
