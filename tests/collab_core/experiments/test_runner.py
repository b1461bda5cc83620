from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collab_core.backends.scripted import ScriptedBackend
from collab_core.benchmarks.graders.base import Means as GraderMeans
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import EndpointFailed, InvalidInput
from collab_core.experiments import shipped
from collab_core.experiments.definition import Definition, build
from collab_core.experiments.folder import cells, file_name, locked, read_trials
from collab_core.experiments.local import Means, prepared, world_folder
from collab_core.experiments.runner import RunOptions, run_experiment
from collab_core.experiments.setting import Rig, Setting
from collab_core.tools.registry import RunTools
from tests.collab_core.replies import answers, ladder, says

UNSYNCED = RunOptions(synced=False)


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the shipped world is ready."""
    cache = tmp_path_factory.mktemp("worlds")
    world_folder("world", cache)
    return cache


async def simulate(
    folder: Path, worlds: Path, definition: Definition, options: RunOptions = UNSYNCED
) -> Counter[str]:
    async with prepared(definition, Means(cache=worlds, simulated="")) as setting:
        return await run_experiment(definition, setting, folder, options)


def run_until(folder: Path, worlds: Path, begun_logs: int) -> int:
    """Run the command; kill -9 it once so many logs have begun; return its exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "worlds").exists():
        (folder / "worlds").symlink_to(worlds)
    command = [sys.executable, "-m", "collab_core", "experiment", "run", "smoke", "--simulated"]
    command += ["--parallel", "2", "--out", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if len(list(folder.glob("trials/*/*.jsonl"))) >= begun_logs:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    return process.wait()


@pytest.mark.faults
def test_killed_again_and_again_it_ends_as_if_left_alone(tmp_path: Path, worlds: Path) -> None:
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    ends = [run_until(killed, worlds, begun) for begun in (1, 4, 8)]
    assert ends == [-signal.SIGKILL] * 3
    assert run_until(killed, worlds, 99) == 0
    asyncio.run(simulate(alone, worlds, shipped.load("smoke")))
    assert read_trials(killed) == read_trials(alone)
    resumed = [log for log in killed.glob("trials/*/*.jsonl") if b"run.resumed" in log.read_bytes()]
    assert resumed


async def test_a_second_call_makes_nothing_anew(tmp_path: Path, worlds: Path) -> None:
    smoke = shipped.load("smoke")
    first = await simulate(tmp_path, worlds, smoke)
    logs = {log: log.read_bytes() for log in tmp_path.glob("trials/*/*.jsonl")}
    assert first == Counter(finished=18)
    assert len(logs) == 18
    assert await simulate(tmp_path, worlds, smoke) == first
    assert all(log.read_bytes() == content for log, content in logs.items())


async def test_a_cut_log_is_resumed_to_the_same_trial(tmp_path: Path, worlds: Path) -> None:
    smoke = shipped.load("smoke")
    await simulate(tmp_path, worlds, smoke)
    before = read_trials(tmp_path)
    for number, log in enumerate(sorted(tmp_path.glob("trials/*/*.jsonl"))):
        content = log.read_bytes()
        log.write_bytes(content[: len(content) * number // 18])
    assert {trial.status for trial, _ in read_trials(tmp_path)[1]} == {"pending", "running"}
    await simulate(tmp_path, worlds, smoke)
    assert read_trials(tmp_path) == before


async def test_arms_do_a_task_on_the_same_chance_and_tasks_do_not(
    tmp_path: Path, worlds: Path
) -> None:
    values = shipped.load("smoke").model_dump(mode="json")
    same = {"strategy": "small", "ladder": "ddv2-7b-38b"}
    twice = build(
        {**values, "arms": [{"label": "a", **same}, {"label": "b", **same}]} | {"baseline": ""}
    )
    await simulate(tmp_path, worlds, twice)
    facts = [trial.facts for trial, _ in read_trials(tmp_path)[1]]
    assert facts[0::2] == facts[1::2]
    assert len({fact.latency_s for fact in facts if fact}) == 6


def two_tasks(replies: list[Any], *arms: str) -> tuple[Definition, Setting]:
    """Return an experiment of one seed on scripted models."""
    definition = build(
        {
            "name": "e",
            "tasks": {"name": "t"},
            "arms": [{"label": arm, "strategy": "small", "ladder": "l"} for arm in arms or ("a",)],
        }
    )
    tasks = tuple(BenchmarkTask(id=name, question="?", answers=("Paris",)) for name in ("x", "y"))
    backend = ScriptedBackend(replies)
    rig = Rig(ladder=ladder(), backend=lambda: backend, shared=True)
    return definition, Setting(tasks=tasks, rigs={"l": rig}, tools=RunTools(()))


async def test_failures_are_kept_until_a_retry_is_asked_for(tmp_path: Path) -> None:
    broken = EndpointFailed("The server broke.")
    one_by_one = RunOptions(parallel=1)
    retry = RunOptions(parallel=1, retry_failed=True)
    counts = await run_experiment(*two_tasks([broken, answers()]), tmp_path, one_by_one)
    assert counts == Counter(failed=1, finished=1)
    counts = await run_experiment(*two_tasks([answers()]), tmp_path, one_by_one)
    assert counts == Counter(failed=1, finished=1)
    assert await run_experiment(*two_tasks([answers()]), tmp_path, retry) == Counter(finished=2)
    assert [log.name for log in tmp_path.glob("trials/a/*.failed-1")] == ["x.0.jsonl.failed-1"]
    assert [trial.outcome for trial, _ in read_trials(tmp_path)[1]] == ["correct", "correct"]


async def test_another_experiment_is_refused(tmp_path: Path) -> None:
    await run_experiment(*two_tasks([answers(), answers()]), tmp_path)
    with pytest.raises(InvalidInput, match="holds another experiment"):
        await run_experiment(*two_tasks([], "b"), tmp_path)


async def test_another_setting_is_refused(tmp_path: Path) -> None:
    definition, setting = two_tasks([answers(), answers()])
    await run_experiment(definition, setting, tmp_path)
    other = Rig(ladder=ladder("small", "huge"), backend=setting.rigs["l"].backend)
    changed = Setting(tasks=setting.tasks, rigs={"l": other}, tools=setting.tools)
    with pytest.raises(InvalidInput, match="begun with other ladder l"):
        await run_experiment(definition, changed, tmp_path)
    fewer = Setting(tasks=setting.tasks[:1], rigs=setting.rigs, tools=setting.tools)
    with pytest.raises(InvalidInput, match="begun with other tasks"):
        await run_experiment(definition, fewer, tmp_path)


async def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(InvalidInput, match="Another process is running"):
        await run_experiment(*two_tasks([]), tmp_path)


async def test_a_wrong_arm_is_found_before_anything_runs(tmp_path: Path) -> None:
    definition, setting = two_tasks([])
    values = definition.model_dump(mode="json")
    for change, message in (
        ({"ladder": "nowhere"}, "Arm a: there is no ladder 'nowhere'"),
        ({"strategy": "magic"}, "Arm a: There is no strategy 'magic'"),
        ({"parameters": {"pace": 1}}, "Arm a: pace: small has no such parameter"),
        ({"strategy": "routellm"}, "Arm a: weights: choose what to load"),
    ):
        wrong = build({**values, "arms": [{**values["arms"][0], **change}]})
        with pytest.raises(InvalidInput, match=message):
            await run_experiment(wrong, setting, tmp_path / "new")
    wrong = build({**values, "limits": {"max_stops": 3}})
    with pytest.raises(InvalidInput, match="no limit 'max_stops'"):
        await run_experiment(wrong, setting, tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_a_damaged_log_stops_the_run_by_name(tmp_path: Path) -> None:
    definition, setting = two_tasks([answers(), answers()])
    await run_experiment(definition, setting, tmp_path)
    cells(definition, setting.tasks, tmp_path)[1].log.write_bytes(b"{}\n")
    with pytest.raises(InvalidInput, match=r"y\.0\.jsonl, line 1"):
        await run_experiment(definition, setting, tmp_path)


def test_names_of_files_differ_where_names_do() -> None:
    names = ["a", "A b", "A-b", "A_b", "ä", "ö", "../x", "", ".", "con/1", "x" * 200, "x" * 201]
    made = [file_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert all(name.replace("-", "").replace("_", "").isalnum() and len(name) < 60 for name in made)


VERDICT = "extracted_answer: Paris\nreasoning: same\ncorrect: yes\nconfidence: 100"


async def test_a_judge_grades_after_the_run_now_or_later(tmp_path: Path) -> None:
    definition, setting = two_tasks([answers("The city of Paris"), answers("Rome")])
    tasks = tuple(msgspec.structs.replace(task, scorer="judge") for task in setting.tasks)
    await run_experiment(definition, replace(setting, tasks=tasks), tmp_path)
    assert [trial.outcome for trial, _ in read_trials(tmp_path)[1]] == ["unscored"] * 2

    judge = ScriptedBackend([says(VERDICT), EndpointFailed("The judge broke.")])
    judged = GraderMeans(backend=judge, tier=ladder().tiers[0])
    await run_experiment(definition, replace(setting, tasks=tasks, graders=judged), tmp_path)
    assert sorted(t.outcome for t, _ in read_trials(tmp_path)[1]) == ["correct", "unscored"]

    again = ScriptedBackend([says(VERDICT.replace("yes", "no"))])
    judged = GraderMeans(backend=again, tier=ladder().tiers[0])
    await run_experiment(definition, replace(setting, tasks=tasks, graders=judged), tmp_path)
    assert sorted(t.outcome for t, _ in read_trials(tmp_path)[1]) == ["correct", "incorrect"]
