"""AgentCollab beside Small and Large on the shipped tasks, over HTTP, on simulated tiers.

Accuracy with its Wilson interval, mean steps, speedup over Large (total latencies, paired bootstrap
by task), switching ratio (Eq. 5) and the share of large steps. Every figure is *simulated*: only the
small-only and large-only behaviour of a preset was calibrated, AgentCollab's comes out of the
mechanism.

    python -m benchmarks.strategies --preset ddv2-7b-38b --tasks 300
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.report import write_result
from collab_core import events as ev
from collab_core import metrics
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.benchmarks.tasks import load_tasks, write_world
from collab_core.benchmarks.world import generate
from collab_core.domain import Task
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.simulator.presets import ladder
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import build_tools

STRATEGIES = ("large", "small", "agentcollab", "agentcollab-static")


async def run_all(
    strategy: str, options: argparse.Namespace, url: str, tasks: list[Any], index: Path
) -> list[MemoryJournal]:
    """Run every task once under one strategy, ``--workers`` at a time (the paper used four)."""
    backend, tools = OpenAICompatible(), build_tools(index)
    gate = asyncio.Semaphore(options.workers)

    async def one(task: Any) -> MemoryJournal:
        journal = MemoryJournal()
        spec = RunSpec(
            task=Task(question=task.question, task_id=task.id),
            gold=tuple(task.answers),
            strategy=strategy,
            parameters={},
            ladder=ladder(options.preset, url),
            seed=options.seed,
            run_id=f"{strategy}-{task.id}",
        )
        async with gate:
            await execute(spec, journal, backend=backend, tools=tools)
        return journal

    try:
        return await asyncio.gather(*(one(task) for task in tasks))
    finally:
        await backend.aclose()


def summarise(journals: list[MemoryJournal], baseline_s: list[float]) -> dict[str, Any]:
    """Return the row of one strategy."""
    ends = [journal.records[-1].event for journal in journals]
    finished = [end for end in ends if isinstance(end, ev.RunFinished)]
    if len(finished) != len(ends):
        raise SystemExit(f"{len(ends) - len(finished)} runs did not finish: {ends[:3]}")
    paths = [
        [r.event.tier for r in journal.records if isinstance(r.event, ev.StepFinished)]
        for journal in journals
    ]
    latencies = [end.totals.latency_s for end in finished]
    correct = sum(end.outcome == "correct" for end in finished)
    verdicts = [end.totals for end in finished]
    return {
        "tasks": len(finished),
        "accuracy": correct / len(finished),
        "accuracy_interval": metrics.wilson(correct, len(finished)),
        "steps": sum(map(len, paths)) / len(paths),
        "latency_s": sum(latencies),
        "speedup": metrics.speedup(sum(baseline_s or latencies), sum(latencies)),
        "speedup_interval": metrics.bootstrap_speedup(baseline_s or latencies, latencies),
        "switching_ratio": metrics.switching_ratio(paths),
        "large_step_share": metrics.large_step_share(paths, top=1),
        "checks_missing": sum(t.checks_missing for t in verdicts),
        "latencies": latencies,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="ddv2-7b-38b")
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--time-scale", type=float, default=0.05)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    write_world(generate(), folder)
    index_folder(folder / "documents", folder / "world.sqlite")
    tasks = load_tasks(folder / "tasks.jsonl")[: options.tasks]
    command = [sys.executable, "-m", "collab_core", "simulate-tiers", "--port", "0"]
    command += ["--preset", options.preset, "--exit-with-stdin"]
    command += ["--time-scale", str(options.time_scale)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if "http" in word).rstrip(":,")
        rows: dict[str, Any] = {}
        for strategy in STRATEGIES:
            journals = asyncio.run(
                run_all(strategy, options, url, list(tasks), folder / "world.sqlite")
            )
            rows[strategy] = summarise(journals, rows.get("large", {}).get("latencies", []))
            show(strategy, rows[strategy])
    finally:
        server.communicate(timeout=10)
    for row in rows.values():
        del row["latencies"]
    write_result(f"strategies-{options.preset}", {"simulated": True, "seed": options.seed} | rows)


def show(strategy: str, row: dict[str, Any]) -> None:
    low, high = row["accuracy_interval"]
    ratio = row["switching_ratio"]
    print(
        f"{strategy:20} accuracy {row['accuracy']:.1%} [{low:.1%}, {high:.1%}]  steps"
        f" {row['steps']:.2f}  speedup {row['speedup']:.2f}x"
        f" [{row['speedup_interval'][0]:.2f}, {row['speedup_interval'][1]:.2f}]"
        f"  switching {ratio:.1f} %  large steps {row['large_step_share']:.1%}   (simulated)"
    )


if __name__ == "__main__":
    main()
