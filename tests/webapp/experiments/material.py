"""Task sets and experiments of the tests, and a way to do their runs without Celery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collab_core.benchmarks.registry import TaskSet as Loaded
from collab_core.benchmarks.registry import digest
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.experiments.definition import Definition, build
from tests.webapp.personas import Room
from webapp.experiments import creation, feeding, harvest, task_sets
from webapp.experiments.models import Experiment, TaskSet, Trial, TrialState
from webapp.runs.worker import Worker

TWO_ARMS = ("agentcollab", "large")


def make_task_set(
    room: Room, count: int = 3, *, name: str = "sums", scorer: str = "exact", needs: Any = None
) -> TaskSet:
    tasks = tuple(
        BenchmarkTask(
            id=f"t{number}",
            question=f"What is six times seven, for the {number}th time?",
            answers=("42",),
            difficulty="easy" if number % 2 else "hard",
            scorer=scorer,
        )
        for number in range(count)
    )
    loaded = Loaded(
        name="own",
        title="Sums",
        split="",
        tasks=tasks,
        digest=digest(tasks),
        needs=needs,
        licence="",
        notes="",
        closed=False,
    )
    return task_sets.store(room.workspace, room.users["alice"], loaded, name=name)


def definition(room: Room, **changes: Any) -> Definition:
    strategies: Sequence[str] = changes.pop("strategies", TWO_ARMS)
    arms = [{"label": name, "strategy": name, "ladder": room.ladder.name} for name in strategies]
    values: dict[str, Any] = {
        "name": "Sums by two",
        "tasks": {"name": "sums"},
        "arms": arms,
        "seeds": [0],
        "baseline": "large" if "large" in strategies else "",
    }
    return build(values | changes)


def make_experiment(
    room: Room, *, user: str = "alice", tasks: int = 3, **changes: Any
) -> Experiment:
    if not TaskSet.objects.filter(workspace=room.workspace, name="sums").exists():
        make_task_set(room, tasks)
    parallel = changes.pop("max_parallel", None)
    return creation.create(
        room.workspace,
        room.users[user],
        definition(room, **changes),
        max_parallel=parallel,
    )


def running() -> list[Trial]:
    return list(Trial.objects.filter(state=TrialState.RUNNING).order_by("position"))


def states(experiment: Experiment) -> list[str]:
    rows = Trial.objects.filter(experiment=experiment).order_by("position")
    return list(rows.values_list("state", flat=True))


def work_off(worker: Worker, *, most: int = 1_000) -> int:
    """Do what Celery would: feed, run, harvest, until nothing begins any more; return the runs done."""
    done = 0
    while done < most and (feeding.feed() or running()):
        for trial in running():
            if trial.run_id is not None:
                worker.run(trial.run_id)
                harvest.harvest(trial.run_id)
                done += 1
    return done
