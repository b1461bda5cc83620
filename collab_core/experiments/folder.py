"""An experiment on disk: its definition, what it was run with, and one log a trial.

::

    FOLDER/experiment.json            the definition
    FOLDER/setting.json               digests of all else that decides the results
    FOLDER/trials/ARM/TASK.SEED.jsonl one log a trial; the logs are the results
    FOLDER/trials/ARM/TASK.SEED.grade.json    where somebody grades after the run

Nothing else is kept: what is done and what is left follows from the logs alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from collab_core import events as ev
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput
from collab_core.experiments.definition import Arm, Definition, digest, parse
from collab_core.experiments.facts import facts_of
from collab_core.experiments.late_grades import read_grade
from collab_core.experiments.records import Trace, Trial, TrialStatus
from collab_core.runtime.journal import read_log

DEFINITION_FILE = "experiment.json"
SETTING_FILE = "setting.json"
TASKS_FILE = "tasks.json"
TRIALS_FOLDER = "trials"
_LOCK_FILE = ".lock"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_OTHER = re.compile(r"[^A-Za-z0-9_-]+")
ENDS: Mapping[type[ev.Event], TrialStatus] = {
    ev.RunFinished: "finished",
    ev.RunFailed: "failed",
    ev.RunCancelled: "cancelled",
}


class Cell(NamedTuple):
    """One trial to make."""

    arm: Arm
    task: BenchmarkTask
    seed: int
    log: Path


def file_name(name: str) -> str:
    """Return a name that every file system takes: itself if it is plain, else with a digest.

    >>> file_name("w7-q012"), file_name("Größe/1")
    ('w7-q012', 'Gr-e-1-63fdd9a1')
    """
    if _PLAIN.fullmatch(name):
        return name
    readable = _OTHER.sub("-", name).strip("-")[:40] or "x"
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def cells(definition: Definition, tasks: Sequence[BenchmarkTask], folder: Path) -> list[Cell]:
    """Return all trials: seed by seed, then task by task, so that early tables hold every arm."""
    trials = folder / TRIALS_FOLDER
    return [
        Cell(arm, task, seed, trials / file_name(arm.label) / f"{file_name(task.id)}.{seed}.jsonl")
        for seed in definition.seeds
        for task in tasks
        for arm in definition.arms
    ]


def open_folder(
    folder: Path,
    definition: Definition,
    tasks: Sequence[BenchmarkTask],
    marks: Mapping[str, str],
) -> None:
    """Make the folder the experiment's, or check that it is.

    Raises:
        InvalidInput: it holds another experiment, or this one under another setting.
    """
    names = [file_name(arm.label).lower() for arm in definition.arms]
    if clash := next((n for n in names if names.count(n) > 1), ""):
        raise InvalidInput(
            f"Two arms have the same file name {clash!r}.", field="arms", hint="Rename one."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for arm in definition.arms:
        (folder / TRIALS_FOLDER / file_name(arm.label)).mkdir(parents=True, exist_ok=True)
    if (folder / SETTING_FILE).exists():
        _check_same(folder, definition, marks)
        return
    _write(folder / DEFINITION_FILE, definition.model_dump_json(indent=2).encode() + b"\n")
    _write(folder / TASKS_FILE, msgspec.json.encode([_public(task) for task in tasks]))
    # the last one: without it the folder has not begun
    _write(folder / SETTING_FILE, msgspec.json.format(msgspec.json.encode(dict(marks))) + b"\n")


def _public(task: BenchmarkTask) -> dict[str, str]:
    return {"id": task.id, "difficulty": task.difficulty, "category": task.category}


def _check_same(folder: Path, definition: Definition, marks: Mapping[str, str]) -> None:
    new = "Name a new folder, or run what this one was begun with."
    if digest(read_definition(folder)) != digest(definition):
        raise InvalidInput(f"{folder.name} holds another experiment.", field="out", hint=new)
    known = msgspec.json.decode((folder / SETTING_FILE).read_bytes(), type=dict[str, str])
    for name in sorted({*known, *marks}):
        if known.get(name) != marks.get(name):
            raise InvalidInput(f"{folder.name} was begun with other {name}.", field="out", hint=new)


def read_definition(folder: Path) -> Definition:
    """Return the definition that a folder was begun with.

    Raises:
        InvalidInput: there is none.
    """
    if not (folder / SETTING_FILE).exists():
        raise InvalidInput(
            f"{folder.name} holds no experiment ({SETTING_FILE} is missing).", field="folder"
        )
    return parse((folder / DEFINITION_FILE).read_bytes())


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder: two runners would write into the same logs.

    Raises:
        InvalidInput: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(lock, folder)
        yield
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InvalidInput(
            f"Another process is running {folder.name}.", field="out", hint="Wait for its end."
        ) from error


def status_of(history: Sequence[ev.Recorded]) -> TrialStatus:
    """Return what has become of a trial, from its log."""
    if not history:
        return "pending"
    return ENDS.get(type(history[-1].event), "running")


def read_trial(cell: Cell) -> tuple[Trial, Trace]:
    """Return what a trial's log adds up to.

    Raises:
        InvalidInput: the log is damaged.
    """
    whole, _, _ = (cell.log.read_bytes() if cell.log.exists() else b"").rpartition(b"\n")
    history = read_log(whole, name=str(cell.log))
    status = status_of(history)
    done = status in ("finished", "failed", "cancelled")
    facts, trace = facts_of(history) if done else (None, Trace())
    last = history[-1].event if history else None
    grade = read_grade(cell.log) if isinstance(last, ev.RunFinished) else None
    logged = last.outcome if isinstance(last, ev.RunFinished) else "unscored"
    trial = Trial(
        arm=cell.arm.label,
        task_id=cell.task.id,
        seed=cell.seed,
        status=status,
        outcome=grade.outcome if grade else logged,
        score=grade.score if grade else None,
        difficulty=cell.task.difficulty,
        category=cell.task.category,
        facts=facts,
        run_id=cell.log.stem,
    )
    return trial, trace


def read_trials(folder: Path) -> tuple[Definition, list[tuple[Trial, Trace]]]:
    """Return a folder's experiment with every trial, begun or not.

    Raises:
        InvalidInput: it holds none, or a log is damaged.
    """
    definition = read_definition(folder)
    raw = (folder / TASKS_FILE).read_bytes()
    tasks = [BenchmarkTask(question="", **fields) for fields in msgspec.json.decode(raw)]
    return definition, [read_trial(cell) for cell in cells(definition, tasks, folder)]


def retried(folder: Path, definition: Definition) -> dict[str, int]:
    """Return by arm how many ended runs were set aside and tried again."""
    trials = folder / TRIALS_FOLDER
    kept = {a.label: (trials / file_name(a.label)).glob("*.failed-*") for a in definition.arms}
    return {label: sum(1 for _ in logs) for label, logs in kept.items()}


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
