"""How far what-if replay is off: predict one strategy's runs from another's, and look at the real ones.

    python -m benchmarks.whatif [--tasks 120]

Every strategy plays the same tasks under the same seeds on simulated models, in process. From the runs
of each source alone (they are also the pool) every other strategy is predicted and compared with what
it really did. Written down: errors, and how often the stated intervals cover; for means over all runs
and for single runs.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import write_result
from collab_core.benchmarks.tasks import DOCUMENTS_FOLDER, write_world
from collab_core.benchmarks.world import WorldTask, generate
from collab_core.domain import Task
from collab_core.experiments.definition import trial_seed
from collab_core.experiments.setting import standing_still
from collab_core.learned.logs import LoggedRun, read_run
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.runtime.opening import queued
from collab_core.simulator.direct import DirectBackend
from collab_core.simulator.presets import ladder, load_preset
from collab_core.tools.base import Tool
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import build_tools
from collab_core.whatif.measure import Measurement, measure
from collab_core.whatif.predict import NAMES, Options
from collab_core.whatif.recorded import RecordedRun, recorded

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "large": ("large", {}),
    "small": ("small", {}),
    "agentcollab": ("agentcollab", {}),
    "agentcollab-static": ("agentcollab-static", {}),
    "agentcollab, no warm-up": ("agentcollab", {"warm_up_steps": 0, "growth": 1.0}),
    "random": ("random", {}),
    "random-matched 0.3": ("random-matched", {"large_share": 0.3}),
    "period 3": ("period", {}),
    "one-way": ("one-way", {}),
}
SOURCES = (
    "agentcollab",
    "agentcollab-static",
    "agentcollab, no warm-up",
    "random",
    "period 3",
    "large",
)
PRESETS = ("ddv2-7b-38b", "websailor-7b-32b")


async def play(
    arm: str, preset: str, tasks: Sequence[WorldTask], tools: tuple[Tool, ...]
) -> list[RecordedRun]:
    """Run one strategy on every task."""
    strategy, parameters = ARMS[arm]
    models, rungs = load_preset(preset).models, ladder(preset, "http://127.0.0.1:9/v1")
    made = []
    for task in tasks:
        spec = RunSpec(
            task=Task(question=task.question, task_id=task.id),
            gold=tuple(task.answers),
            strategy=strategy,
            parameters=parameters,
            ladder=rungs,
            seed=trial_seed(0, task.id),
            run_id=task.id,
        )
        begun = MemoryJournal()
        await begun.append([queued(spec)])
        journal = MemoryJournal(begun.records)
        backend = DirectBackend(models)
        await execute(spec, journal, backend=backend, tools=tools, clock=standing_still)
        run = read_run(task.id, journal.records)
        if not isinstance(run, LoggedRun):
            raise RuntimeError(f"{arm} on {task.id}: {run}")
        made.append(recorded(run))
    return made


def compared(found: Measurement, arms: tuple[str, str], took_s: float) -> dict[str, Any]:
    """Return one pair of strategies as the result file holds it."""
    support = found.predicted.support
    return {
        "from": arms[0],
        "to": arms[1],
        "runs": found.pairs,
        "exact_runs": found.predicted.exact_runs,
        "exact_steps_share": round(found.predicted.exact_steps / found.predicted.steps, 3),
        "prefixes_confirmed": found.prefixes_confirmed,
        "refused": found.predicted.refused,
        "thin_share": round(support.thin_share, 3) if support else None,
        "seconds": round(took_s, 2),
        "figures": {
            one.name: {
                "predicted": [
                    _short(v) for v in (one.predicted.mean, one.predicted.low, one.predicted.high)
                ],
                "real": _short(one.real),
                "covered": one.covered,
                "runs_covered": one.runs_covered,
                "runs_error": _short(one.runs_error),
            }
            for one in found.errors
        },
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def summary(pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return stated against found, over all pairs; figures that cannot err (0 switches) are left out."""
    out: dict[str, Any] = {}
    for name in NAMES:
        all_of = [pair["figures"][name] for pair in pairs if name in pair["figures"]]
        figures = [one for one in all_of if one["predicted"][1] < one["predicted"][2]]
        error = [one["predicted"][0] - one["real"] for one in figures]
        half = [(one["predicted"][2] - one["predicted"][1]) / 2 for one in figures]
        relative = [
            abs(e) / max(1e-9, abs(one["real"])) for e, one in zip(error, figures, strict=True)
        ]
        runs = [one["runs_covered"] for one in figures if one["runs_covered"] is not None]
        out[name] = {
            "pairs": len(figures),
            "covered": round(sum(one["covered"] for one in figures) / len(figures), 3),
            "runs_covered": round(statistics.mean(runs), 3) if runs else None,
            "median_relative_error": round(statistics.median(relative), 3),
            "worst_relative_error": round(max(relative), 3),
            "rms_error_in_half_widths": round(
                math.sqrt(statistics.mean((e / h) ** 2 for e, h in zip(error, half, strict=True))),
                3,
            ),
            "mean_error": _short(statistics.mean(error)),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=120)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = generate()
        write_world(world, Path(folder))
        target = Path(folder, "world.db")
        index_folder(Path(folder, DOCUMENTS_FOLDER), target)
        tools, tasks = build_tools(target), list(world.tasks)
        random.Random(0).shuffle(tasks)
        figures = {preset: of_preset(preset, tasks[: args.tasks], tools) for preset in PRESETS}
    estimated = [p for one in figures.values() for p in one["pairs"] if not p["refused"]]
    whole = {"level": Options().level, "all": summary(estimated), **figures}
    print(write_result("whatif", whole))
    for name, row in whole["all"].items():
        print(name, row)


def of_preset(preset: str, tasks: Sequence[WorldTask], tools: tuple[Tool, ...]) -> dict[str, Any]:
    """Measure every pair on one pair of models."""
    runs = {arm: asyncio.run(play(arm, preset, tasks, tools)) for arm in ARMS}
    pairs = []
    for source in SOURCES:
        for target in ARMS:
            if source == target:
                continue
            began = time.perf_counter()
            found = measure(runs[source], runs[target])
            pairs.append(compared(found, (source, target), time.perf_counter() - began))
            print(preset, source, "->", target, pairs[-1]["refused"][:60], flush=True)
    return {
        "tasks": len(tasks),
        "summary": summary([pair for pair in pairs if not pair["refused"]]),
        "pairs": pairs,
    }


if __name__ == "__main__":
    main()
