"""The paper's Table 2 on simulated models: who plans and who searches, on the planner-executor agent.

    python -m benchmarks.table2 [--preset ddv2-7b-38b] [--tasks 60] [--seeds 1] [--agent react]

The engine, the strategies and the tools are the real ones; the models are called directly, without
HTTP and without waiting, and their time is computed from the speed model of the simulated server. The
published figures are of other models on other tasks: they stand beside ours, they are not a target.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from collab_core import events as ev
from collab_core.benchmarks.tasks import DOCUMENTS_FOLDER, write_world
from collab_core.benchmarks.world import World, WorldTask, generate
from collab_core.domain import Ladder, Task
from collab_core.metrics import wilson
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.simulator.direct import DirectBackend
from collab_core.simulator.presets import ladder, load_preset, preset_names
from collab_core.tools.base import Tool
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import build_tools

PUBLISHED = {
    "large": (34.6, 1.00),
    "small": (18.3, 1.54),
    "large-planner": (24.6, 1.39),
    "large-executor": (27.3, 1.24),
    "agentcollab-static": (32.5, 1.32),
    "agentcollab": (33.9, 1.36),
}
"""Accuracy in % and speedup. Source: AgentCollab Table 2 (BrowseComp_zh); speedups second-hand."""


@dataclass(kw_only=True)
class Tally:
    correct: list[str] = field(default_factory=list)
    """Difficulties of the tasks that were solved."""
    latency_s: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    top_share: list[float] = field(default_factory=list)
    cost_usd: float = 0.0
    ended_by: list[str] = field(default_factory=list)


async def measure(
    strategy: str,
    agent: str,
    preset: str,
    tools: tuple[Tool, ...],
    tasks: list[WorldTask],
    seeds: int,
) -> Tally:
    tally = Tally()
    models = load_preset(preset).models
    rungs = ladder(preset, "http://127.0.0.1:9/v1")
    for seed in range(seeds):
        for task in tasks:
            spec = _spec(strategy, agent, rungs, task, seed)
            done = await execute(spec, MemoryJournal(), backend=DirectBackend(models), tools=tools)
            if not isinstance(done, ev.RunFinished):
                raise RuntimeError(f"{strategy} on {task.id}: {done}")
            _count(tally, task, done)
    return tally


def _spec(strategy: str, agent: str, rungs: Ladder, task: WorldTask, seed: int) -> RunSpec:
    by_role = strategy in ("large-planner", "large-executor")
    return RunSpec(
        task=Task(question=task.question),
        gold=task.answers,
        strategy=strategy,
        parameters={} if by_role else {"agent": agent},
        ladder=rungs,
        seed=seed,
        run_id=f"{task.id}-{seed}",
    )


def _count(tally: Tally, task: WorldTask, done: ev.RunFinished) -> None:
    totals = done.totals
    if done.outcome == "correct":
        tally.correct.append(task.difficulty)
    tally.latency_s.append(totals.latency_s)
    tally.steps.append(totals.steps)
    tally.top_share.append(totals.steps_by_tier[-1] / totals.steps)
    tally.cost_usd += totals.cost_usd or 0.0
    tally.ended_by.append(done.ended_by)


def report(tallies: dict[str, Tally], tasks: list[WorldTask]) -> None:
    large_s = statistics.mean(tallies["large"].latency_s)
    for name, tally in tallies.items():
        runs = len(tally.latency_s)
        interval = wilson(len(tally.correct), runs)
        assert interval is not None
        accuracy, speedup = PUBLISHED[name]
        each = {d: sum(t.difficulty == d for t in tasks) for d in ("easy", "medium", "hard")}
        solved = ", ".join(
            f"{d} {100 * tally.correct.count(d) * len(tasks) / max(1, n * runs):.0f}"
            for d, n in each.items()
        )
        print(
            f"{name:19s} {100 * len(tally.correct) / runs:5.1f} % "
            f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}] (published {accuracy})  "
            f"{large_s / statistics.mean(tally.latency_s):.2f}x (published {speedup})  "
            f"steps {statistics.mean(tally.steps):.1f}  top-tier share "
            f"{100 * statistics.mean(tally.top_share):.0f} %  ${tally.cost_usd / runs:.4f} a run  "
            f"solved in %: {solved}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="ddv2-7b-38b", choices=preset_names())
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--agent", default="planner-executor", choices=("planner-executor", "react")
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = generate()
        write_world(world, Path(folder))
        target = Path(folder, "world.db")
        index_folder(Path(folder, DOCUMENTS_FOLDER), target)
        tools, tasks = build_tools(target), _sample(world, args.tasks)
        tallies = {
            name: asyncio.run(measure(name, args.agent, args.preset, tools, tasks, args.seeds))
            for name in PUBLISHED
            if args.agent == "planner-executor" or not name.startswith("large-")
        }
        report(tallies, tasks)


def _sample(world: World, count: int) -> list[WorldTask]:
    """Return as many of each difficulty, the same ones for every strategy."""
    tasks = list(world.tasks)
    random.Random(0).shuffle(tasks)
    kinds = ("easy", "medium", "hard")
    return [t for d in kinds for t in [t for t in tasks if t.difficulty == d][: count // 3]]


if __name__ == "__main__":
    main()
