"""Plain AgentCollab beside the calibrated one on simulated models with planted false progress.

    python -m benchmarks.calibrated_escalation [--preset websailor-7b-32b] [--labels 600] [--seeds 3]
        [--draws 5]

Half of the shipped tasks are run under plain AgentCollab; of their steps a number is drawn, most
suspicious first, and labelled with what the simulated model knew (``simulator/truth.py``). From these
labels P(progress) is learned. The other half of the tasks is then run under both. Nothing of the second half is learned from.

A step's signal is *false* if the strategy took it for progress and there was none, by what the model
knew. Step 1 judges nothing and the last one decides nothing; neither counts.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import msgspec
import numpy as np

from benchmarks.report import write_result
from collab_core import events as ev
from collab_core.benchmarks.tasks import DOCUMENTS_FOLDER, write_world
from collab_core.benchmarks.world import WorldTask, generate
from collab_core.domain import Task
from collab_core.learned.evidence import Tracker
from collab_core.learned.logs import Logs, collect
from collab_core.learned.progress_model import AS_OFTEN_KEY, CALIBRATED
from collab_core.learned.store import Manifest
from collab_core.learned.trainer import Source
from collab_core.learned.training import train
from collab_core.metrics import wilson
from collab_core.review.labels import Label
from collab_core.review.rates import rates
from collab_core.review.sampling import draw_suspicious
from collab_core.review.suspicion import suspicion
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.runtime.opening import queued
from collab_core.simulator.presets import ladder, load_preset, preset_names
from collab_core.simulator.truth import KnowingBackend
from collab_core.strategies.base import Resources
from collab_core.tools.base import Tool
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import build_tools

SPACE = UUID("6a1d0d0e-7d44-4f3b-9a57-2f4f0c1f5a10")
PLAIN = "agentcollab"
CALIBRATED_NAME = "agentcollab-calibrated"
SHARES = (0.3, 0.5, 0.6)


@dataclass(frozen=True, kw_only=True)
class Played:
    """One run with what its models knew; ``truth[i]`` is of step i + 1."""

    run_id: UUID
    task: WorldTask
    records: tuple[ev.Recorded, ...]
    truth: tuple[bool | None, ...]

    @property
    def end(self) -> ev.RunFinished:
        last = self.records[-1].event
        if not isinstance(last, ev.RunFinished):
            raise RuntimeError(f"{self.task.id}: {last}")
        return last


@dataclass(frozen=True, kw_only=True)
class Stage:
    preset: str
    tools: tuple[Tool, ...]
    weights: Path


async def play(
    stage: Stage, strategy: str, parameters: Mapping[str, Any], task: WorldTask, seed: int
) -> Played:
    """Run one task; the same seed gives the same draws under every strategy."""
    run_id = uuid5(SPACE, f"{strategy}|{sorted(parameters.items())}|{task.id}|{seed}")
    spec = RunSpec(
        task=Task(question=task.question, task_id=task.id),
        gold=task.answers,
        strategy=strategy,
        parameters=parameters,
        ladder=ladder(stage.preset, "http://127.0.0.1:9/v1"),
        seed=seed,
        run_id=f"{task.id}-{seed}",
    )
    journal, backend = MemoryJournal(), KnowingBackend(load_preset(stage.preset).models)
    await journal.append([queued(spec)])
    journal = MemoryJournal(journal.records)
    await execute(
        spec,
        journal,
        backend=backend,
        tools=stage.tools,
        resources=Resources(folder=stage.weights),
    )
    return Played(
        run_id=run_id, task=task, records=tuple(journal.records), truth=tuple(backend.truths)
    )


def play_all(
    stage: Stage,
    strategy: str,
    parameters: Mapping[str, Any],
    tasks: Sequence[WorldTask],
    seeds: Sequence[int],
) -> list[Played]:
    """Run every task under every seed."""

    async def all_of_them() -> list[Played]:
        return [
            await play(stage, strategy, parameters, task, seed) for seed in seeds for task in tasks
        ]

    return asyncio.run(all_of_them())


def population(runs: Sequence[Played], logs: Logs) -> list[tuple[float, Label]]:
    """Return suspicion and true label of every step that judges something and decides something."""
    truth = {str(run.run_id): run.truth for run in runs}
    found: list[tuple[float, Label]] = []
    for run in logs.runs:
        tracker, steps = Tracker(), run.branches[0]
        for at, step in enumerate(steps, start=1):
            record = step.record
            score = suspicion(record, tracker.add(record)).score
            known = truth[run.run_id][at - 1]
            if known is None or at == len(steps):
                continue
            label = Label(
                run_id=UUID(run.run_id),
                step=record.index,
                label_set="truth",
                reviewer="simulator",
                made_progress=known,
                at=0.0,
                verdict=record.check.indicator,
                check=record.check.status,
                tier=record.decision.tier,
                strategy=run.strategy,
                step_position=at,
                simulated=True,
            )
            found.append((score, label))
    return found


def drawn_labels(steps: Sequence[tuple[float, Label]], count: int, *, seed: int) -> list[Label]:
    """Draw most suspicious first."""
    drawn = draw_suspicious([score for score, _ in steps], count, seed=seed)
    return [
        msgspec.structs.replace(steps[place][1], probability=float(probability))
        for place, probability in zip(drawn.places, drawn.probability, strict=True)
    ]


def signals(run: Played) -> list[tuple[bool, bool]]:
    """Return (taken for progress, was progress) of each step whose signal the strategy listened to."""
    steps = [r.event for r in run.records if isinstance(r.event, ev.StepFinished)]
    started = [r.event for r in run.records if isinstance(r.event, ev.StepStarted)]
    found: list[tuple[bool, bool]] = []
    for at, (step, following) in enumerate(zip(steps, started[1:], strict=False)):
        known = run.truth[at]
        if known is None or step.reason == "warm_up":
            continue
        believed = step.indicator != 0
        if following.score is not None and following.threshold is not None:
            believed = following.score >= following.threshold
        found.append((believed, known))
    return found


def summary(runs: Sequence[Played], plain: Sequence[Played] | None) -> dict[str, Any]:
    """Return an arm's figures; ``plain`` is the same tasks and seeds under plain AgentCollab."""
    count = len(runs)
    correct = sum(run.end.outcome == "correct" for run in runs)
    interval = wilson(correct, count)
    heard = [signals(run) for run in runs]
    pairs = [pair for one in heard for pair in one]
    false = [sum(taken and not was for taken, was in one) for one in heard]
    latency = [run.end.totals.latency_s for run in runs]
    figures: dict[str, Any] = {
        "runs": count,
        "accuracy": correct / count,
        "accuracy_interval": interval,
        "mean_latency_s": float(np.mean(latency)),
        "mean_steps": float(np.mean([run.end.totals.steps for run in runs])),
        "large_share": float(
            np.mean([r.end.totals.steps_by_tier[-1] / r.end.totals.steps for r in runs])
        ),
        "mean_cost_usd": float(np.mean([run.end.totals.cost_usd or 0.0 for run in runs])),
        "false_progress_steps_a_run": float(np.mean(false)),
        "false_share_of_signals": sum(taken and not was for taken, was in pairs) / len(pairs),
        "missed_share_of_signals": sum(was and not taken for taken, was in pairs) / len(pairs),
        "stall_share_of_signals": sum(not taken for taken, _ in pairs) / len(pairs),
    }
    if plain is not None:
        figures |= _beside(runs, plain, false)
    return figures


def _beside(
    runs: Sequence[Played], plain: Sequence[Played], false: Sequence[int]
) -> dict[str, Any]:
    """Return paired differences with 95 % intervals, resampling tasks."""
    before = [sum(taken and not was for taken, was in signals(run)) for run in plain]
    own_s, plain_s = (
        np.array([run.end.totals.latency_s for run in several]) for several in (runs, plain)
    )
    right, plain_right = (
        np.array([run.end.outcome == "correct" for run in several], dtype=float)
        for several in (runs, plain)
    )
    names = sorted({run.task.id for run in runs})
    of_task = np.array([names.index(run.task.id) for run in runs])
    picks = np.random.default_rng(0).integers(0, len(names), (2_000, len(names)))

    def sums(values: Any) -> Any:
        return np.bincount(of_task, np.asarray(values, dtype=float))[picks].sum(axis=1)

    def ratio(above: Any, below: Any) -> dict[str, float]:
        drawn_below = np.maximum(sums(below), 1e-9)
        low, high = np.quantile(sums(above) / drawn_below, [0.025, 0.975]).tolist()
        return {"value": float(np.sum(above) / max(1e-9, np.sum(below))), "low": low, "high": high}

    low, high = np.quantile(sums(right - plain_right) / len(runs), [0.025, 0.975]).tolist()
    gain = {"value": float(np.mean(right - plain_right)), "low": low, "high": high}
    return {
        "latency_over_plain": ratio(own_s, plain_s),
        "false_progress_over_plain": ratio(false, before),
        "accuracy_less_plain": gain,
    }


def learn(
    stage: Stage, runs: Sequence[Played], count: int, *, draw: int
) -> tuple[Manifest, dict[str, Any]]:
    """Draw labels, learn from them, and return what the labels say beside the truth."""
    logs = collect(((str(run.run_id), run.records) for run in runs), source="plain runs")
    everything = population(runs, logs)
    labels = drawn_labels(everything, count, seed=draw)
    source = Source.of_logs(logs, labels=labels)
    manifest = train(CALIBRATED, source, stage.weights / f"draw-{draw}", {}, seed=0)
    sampled, whole = rates(labels), rates(label for _, label in everything)
    said = {
        name: {
            "true": getattr(whole, name).value,
            "estimate": getattr(sampled, name).value,
            "interval": (getattr(sampled, name).low, getattr(sampled, name).high),
            "unweighted": getattr(sampled, name).unweighted,
        }
        for name in (
            "false_of_stagnant",
            "false_of_progress",
            "false_of_checks",
            "missed_of_stalls",
        )
    }
    return manifest, {"steps": len(everything), "labels": len(labels), "rates": said}


def measure(preset: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run the whole comparison on one preset."""
    world = generate()
    tasks = list(world.tasks)
    random.Random(0).shuffle(tasks)
    tasks = tasks[: args.tasks]
    half = len(tasks) // 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_world(world, folder / "world")
        index_folder(folder / "world" / DOCUMENTS_FOLDER, folder / "world.db")
        stage = Stage(preset=preset, tools=build_tools(folder / "world.db"), weights=folder / "w")
        seen = play_all(stage, PLAIN, {}, tasks[:half], range(100, 102))
        plain = play_all(stage, PLAIN, {}, tasks[half:], range(args.seeds))
        learned: dict[str, Any] = {}
        figures: dict[str, Any] = {PLAIN: summary(plain, None)}
        for draw in range(1, args.draws + 1):
            manifest, said = learn(stage, seen, args.labels, draw=draw)
            learned[f"draw {draw}"] = {"labels": said, "model": _told(manifest)}
            for title, parameters in _arms(draw).items():
                played = play_all(
                    stage, CALIBRATED_NAME, parameters, tasks[half:], range(args.seeds)
                )
                figures[title] = summary(played, plain)
                print(title, figures[title], flush=True)
    return {"learned": learned, "arms": figures}


def _arms(draw: int) -> dict[str, dict[str, Any]]:
    """Return the parameters of what is run with the weights of a draw; shares with the first only."""
    weights = {"weights": f"draw-{draw}"}
    found: dict[str, dict[str, Any]] = {f"as often, draw {draw}": weights}
    for share in SHARES if draw == 1 else ():
        chosen = {**weights, "choose_by": "target_share", "target_share": share}
        found[f"share {share:g}, draw {draw}"] = chosen
    return found


def _told(manifest: Manifest) -> dict[str, Any]:
    return {
        "report": {name: figure.model_dump() for name, figure in manifest.report.items()},
        "tables": {title: table.model_dump() for title, table in manifest.tables.items()},
        "as_often_threshold": manifest.options[AS_OFTEN_KEY],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--preset", action="append", choices=preset_names())
    parser.add_argument("--labels", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--draws", type=int, default=5, help="of labels, each learned from")
    args = parser.parse_args()
    found = {preset: measure(preset, args) for preset in args.preset or ["websailor-7b-32b"]}
    print(write_result("calibrated_escalation", found))


if __name__ == "__main__":
    main()
