"""64 runs of one experiment at a time in one worker: the share of the ideal throughput.

The product's own way from end to end: an experiment in the database, its feeder, Celery's threads, the
worker with lease and group commit, and the taking in of every ended run. Replies come after a fixed
time from a stub in another process. Two rounds of 64 runs, so that the hand-over from an ended run to
the next one counts; ideal is nothing but the waits for the model.

    python -m benchmarks.experiment_engine [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import stage
from benchmarks.dispatch import celery_threads
from benchmarks.engine import stub
from benchmarks.report import write_result

AT_ONCE, WAVES, STEPS = 64, 2, 20
DELAYS_S = (0.15, 1.0)


def child(folder: Path, url: str, delay_s: float) -> float:
    """Return ideal over real time, from the first step's start to the last step's end."""
    stage.set_up(folder)
    from django.db.models import Max, Min

    from collab_core.experiments.definition import build
    from webapp.experiments import creation
    from webapp.experiments.models import Experiment
    from webapp.runs.models import RunEvent

    made = stage.make_stage(base_url=url)
    sets_of_tasks(made, AT_ONCE * WAVES)
    definition = build(
        {
            "name": "Speed",
            "tasks": {"name": "harbours"},
            "arms": [{"label": "a", "strategy": "agentcollab", "ladder": made.ladder.name}],
            "limits": {"max_steps": STEPS, "max_tokens": None, "max_wall_s": None},
        }
    )
    with celery_threads():
        experiment = creation.create(made.workspace, made.user, definition)
        while Experiment.objects.get(pk=experiment.pk).status == "running":
            time.sleep(0.5)
    ended = Experiment.objects.get(pk=experiment.pk)
    assert (ended.trials_done, ended.trials_failed) == (AT_ONCE * WAVES, 0), ended
    events = RunEvent.objects.all()
    first = events.filter(type="step.started").aggregate(at=Min("at"))["at"]
    last = events.filter(type="step.finished").aggregate(at=Max("at"))["at"]
    replies = events.filter(type="model.replied").count() / AT_ONCE
    return float(replies * delay_s / (last - first))


def sets_of_tasks(made: stage.Stage, count: int) -> None:
    """Store the task set ``harbours`` in the stage's workspace."""
    from collab_core.benchmarks.registry import TaskSet, digest
    from collab_core.benchmarks.tasks import BenchmarkTask
    from webapp.experiments import task_sets

    tasks = tuple(
        BenchmarkTask(id=str(n), question=f"Where is harbour {n}?", answers=("there",))
        for n in range(count)
    )
    loaded = TaskSet(
        name="own",
        title="Harbours",
        split="",
        tasks=tasks,
        digest=digest(tasks),
        needs=None,
        licence="",
        notes="",
        closed=False,
    )
    task_sets.store(made.workspace, made.user, loaded, name="harbours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3)
    args = parser.parse_args()
    if args.child:
        folder, url, delay = args.child
        print(json.dumps(child(Path(folder), url, float(delay))), flush=True)
        return
    figures = {}
    for delay_s in DELAYS_S:
        shares = []
        for _ in range(args.rounds):
            with stage.folder() as folder, stub(delay_s=delay_s) as url:
                command = [sys.executable, "-m", "benchmarks.experiment_engine", "--child"]
                command += [str(folder), url, str(delay_s)]
                out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            shares.append(json.loads(out.stdout.splitlines()[-1]))
        figures[f"replies after {delay_s} s, share of ideal"] = round(max(shares), 4)
        print(f"{AT_ONCE} runs with {delay_s} s replies at {max(shares):.1%} of ideal")
    write_result("experiment_engine", figures)


if __name__ == "__main__":
    main()
