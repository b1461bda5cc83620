"""Experiments in several states, as the database knows them; nobody works on them."""

from __future__ import annotations

import random

import msgspec
from django.db import transaction
from django.utils import timezone

from collab_core.benchmarks.registry import TaskSet as Loaded
from collab_core.benchmarks.registry import digest
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.experiments.definition import build
from collab_core.experiments.records import Facts, Trace
from webapp.experiments import creation, task_sets
from webapp.experiments.models import Experiment, TaskSet, Trial, TrialState
from webapp.runs.models import Run
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder
from webapp.whatif.models import WhatIf

TASKS = 24
CHANCES = {"agentcollab": 0.7, "large": 0.8, "small": 0.4}
"""Of a right answer, by strategy."""


def plant_experiments(room: Workspace, *, by: User, hostile: str = "") -> dict[str, str]:
    """Return the UUIDs of what was planted by what it shows; ``hostile`` goes wherever text does."""
    found = {"task-set": str(_task_set(room, by, hostile).uuid)}
    for state in ("finished", "paused"):
        found[f"experiment-{state}"] = str(_experiment(room, by, state, hostile).uuid)
    asked = WhatIf.objects.create(
        workspace=room,
        created_by=by,
        source=hostile[:200] or "agentcollab, experiment-1",
        strategy="large",
        state="failed",
        error=hostile or "The log cannot answer this.",
    )
    return found | {"what-if": str(asked.uuid)}


def _task_set(room: Workspace, by: User, hostile: str) -> TaskSet:
    tasks = tuple(
        BenchmarkTask(
            id=f"t{number}",
            question=hostile or f"What is the capital of the country with number {number}?",
            answers=("42",),
            difficulty=("easy", "medium", "hard")[number % 3],
            category=hostile[:80] or "places",
            scorer="exact",
        )
        for number in range(TASKS)
    )
    loaded = Loaded(
        name="own",
        title=hostile[:200] or "Capitals",
        split="",
        tasks=tasks,
        digest=digest(tasks),
        needs=None,
        licence=hostile or "Public domain",
        notes="",
        closed=True,
    )
    return task_sets.store(room, by, loaded, name="capitals")


@transaction.atomic
def _experiment(room: Workspace, by: User, state: str, hostile: str) -> Experiment:
    """Make an experiment that no feeder ever sees running."""
    ladder = Ladder.objects.filter(workspace=room).order_by("id")[0].name
    arms = [
        {"label": f"{hostile[:60]}{name}", "strategy": name, "ladder": ladder} for name in CHANCES
    ]
    made = creation.create(
        room,
        by,
        build(
            {
                "name": hostile[:120] or f"Capitals, {state}",
                "description": hostile[:4_000],
                "tasks": {"name": "capitals"},
                "arms": arms,
                "baseline": arms[1]["label"],
                "published": "agentcollab-table-2",
            }
        ),
    )
    ended = _end_trials(made, part=1.0 if state == "finished" else 0.5, hostile=hostile)
    Experiment.objects.filter(pk=made.pk).update(
        status=state,
        simulated=True,
        notice=hostile or ("An endpoint does not answer." if state == "paused" else ""),
        revision=1,
        trials_done=ended,
        trials_failed=1,
        finished_at=timezone.now() if state == "finished" else None,
    )
    return made


def _end_trials(made: Experiment, *, part: float, hostile: str) -> int:
    chance = random.Random(1)
    trials = list(Trial.objects.filter(experiment=made).select_related("arm").order_by("position"))
    ended = trials[: int(len(trials) * part)]
    for trial in ended:
        steps = chance.randint(4, 12)
        right = chance.random() < CHANCES[trial.arm.strategy]
        trial.state, trial.finished_at = TrialState.DONE, timezone.now()
        trial.outcome = "correct" if right else "incorrect"
        trial.facts = msgspec.json.encode(_facts(steps, chance)).decode()
        trial.trace = msgspec.json.encode(_trace(steps)).decode()
    lost = ended[-1]
    lost.state, lost.outcome, lost.facts, lost.trace = TrialState.FAILED, "", "", ""
    lost.error_code, lost.error_message = "endpoint_unreachable", hostile or "The endpoint is gone."
    run = Run.objects.filter(workspace=made.workspace, trial=None).order_by("id").first()
    if run is not None:
        ended[0].run = run
    Trial.objects.bulk_update(
        ended,
        ["state", "finished_at", "outcome", "facts", "trace", "error_code", "error_message", "run"],
    )
    return len(ended)


def _facts(steps: int, chance: random.Random) -> Facts:
    return Facts(
        steps=steps,
        large_steps=steps // 2,
        switches=2,
        moves=steps - 1,
        latency_s=steps * chance.uniform(1, 2),
        input_tokens=900 * steps,
        output_tokens=60 * steps,
        large_output_tokens=20 * steps,
        cost_usd=0.001 * steps,
        model_calls=steps,
        checks=steps,
        stalls=1,
        simulated=True,
    )


def _trace(steps: int) -> Trace:
    return Trace(
        tiers=tuple(n % 2 for n in range(steps)),
        scopes=("",) * steps,
        latency_s=(1.5,) * steps,
        cumulative_s=tuple(1.5 * (n + 1) for n in range(steps)),
        output_tokens=(60,) * steps,
        decode_s=(1.0,) * steps,
        verdicts=(1,) * steps,
    )
