"""Which tasks an experiment does."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput
from collab_core.experiments.definition import TaskSelection

_SHOWN = 5


def select(tasks: Sequence[BenchmarkTask], selection: TaskSelection) -> list[BenchmarkTask]:
    """Return the chosen tasks in the order of the set, those given by id in the order of the ids.

    Ids leave nothing else to choose. A draw depends on the seed and the ids of the tasks alone: a
    larger ``count`` keeps what a smaller one drew.

    Raises:
        InvalidInput: an id, a difficulty or a category that no task has, an id that stands there
            twice, fewer tasks than are to be drawn, or none at all.
    """
    if twice := _twice([task.id for task in tasks]):
        raise InvalidInput(
            f"The task set {selection.name} has two tasks with the id {twice}.",
            field="tasks",
            hint="Give every task an id of its own.",
        )
    if selection.ids is not None:
        return _by_id(tasks, selection.name, selection.ids)
    _check_known("difficulties", selection.difficulties, [task.difficulty for task in tasks])
    _check_known("categories", selection.categories, [task.category for task in tasks])
    fitting = [
        task
        for task in tasks
        if (not selection.difficulties or task.difficulty in selection.difficulties)
        and (not selection.categories or task.category in selection.categories)
    ]
    if not fitting:
        raise InvalidInput(
            f"No task of {selection.name} fits the selection.",
            field="tasks",
            hint="Choose more difficulties or categories, or leave them empty for all.",
        )
    return _drawn(fitting, selection)


def _by_id(tasks: Sequence[BenchmarkTask], name: str, ids: Sequence[str]) -> list[BenchmarkTask]:
    known = {task.id: task for task in tasks}
    if not ids:
        raise InvalidInput(
            "The list of task ids is empty.", field="tasks.ids", hint="Name one, or leave it out."
        )
    if twice := _twice(ids):
        raise InvalidInput(f"The task {twice} is named twice.", field="tasks.ids")
    if unknown := [task_id for task_id in ids if task_id not in known]:
        raise InvalidInput(
            f"{len(unknown)} of {len(ids)} tasks are not in the set {name}: {_listed(unknown)}.",
            field="tasks.ids",
            hint="Look at the ids of the set; another version of it may have others.",
        )
    return [known[task_id] for task_id in ids]


def _check_known(field: str, wanted: Sequence[str], present: Sequence[str]) -> None:
    if unknown := [name for name in wanted if name not in present]:
        there = _listed(list(dict.fromkeys(filter(None, present)))) or "none"
        raise InvalidInput(
            f"No task has one of these {field}: {_listed(unknown)}.",
            field=f"tasks.{field}",
            hint=f"There are: {there}.",
        )


def _drawn(fitting: list[BenchmarkTask], selection: TaskSelection) -> list[BenchmarkTask]:
    count = selection.count
    if count is None:
        return fitting
    if count > len(fitting):
        raise InvalidInput(
            f"{count} tasks shall be drawn, but only {len(fitting)} of {selection.name} fit.",
            field="tasks.count",
            hint=f"Draw at most {len(fitting)}, or leave the number out for all.",
        )

    def lot(task: BenchmarkTask) -> bytes:
        return hashlib.sha256(f"{selection.sample_seed}/{task.id}".encode()).digest()

    chosen = {task.id for task in sorted(fitting, key=lot)[:count]}
    return [task for task in fitting if task.id in chosen]


def _twice(names: Sequence[str]) -> str:
    return next((name for name, times in Counter(names).items() if times > 1), "")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(name[:80] for name in names[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
