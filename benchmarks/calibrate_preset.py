"""Fit a preset so that its small and its large model, each alone, come near given figures.

    python -m benchmarks.calibrate_preset ddv2-7b-38b --accuracy 18.3 34.6 --speedup 1.54 \
        --agent react --worlds 11 12 13 14 15 16 17 18 --out fitted.json

Three knobs are fitted, nothing else: ``comprehension`` of each model to its accuracy, then the small
model's times, all by one factor, to the speedup. Only runs of one model alone are made, by the
engine itself, on generated worlds that share no task with the shipped one (seed 7). What AgentCollab
or any other mixture makes of the pair is neither measured nor looked at here.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from collab_core import events as ev
from collab_core.benchmarks.tasks import TASKS_FILE, load_tasks
from collab_core.domain import Ladder, Task, Tier
from collab_core.experiments.definition import trial_seed
from collab_core.experiments.local import SHIPPED_SEED, world_folder
from collab_core.experiments.setting import NOWHERE, standing_still
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.simulator.direct import DirectBackend
from collab_core.simulator.presets import Preset, SimulatedModel, load_preset
from collab_core.simulator.speed import Speed
from collab_core.tools.registry import build_tools

NEAR_POINTS = 0.3
MOST_TRIES = 7
_SLOPE = 1.0
"""First guess: so many points of accuracy for 0.01 of comprehension."""


class Alone(NamedTuple):
    """What one model alone does."""

    accuracy: float
    """In %."""
    latency_s: float
    steps: float
    runs: int


async def _solve(model: SimulatedModel, agent: str, folder: Path) -> list[tuple[bool, float, int]]:
    tools, done = build_tools(folder / "world.sqlite3"), []
    tier = Tier(name="one", model=model.name, base_url=NOWHERE, context_tokens=model.context_tokens)
    for task in load_tasks(folder / TASKS_FILE):
        spec = RunSpec(
            task=Task(question=task.question),
            gold=task.answers,
            strategy="small",
            parameters={"agent": agent},
            ladder=Ladder(name="alone", tiers=(tier,)),
            seed=trial_seed(0, f"{folder.name}/{task.id}"),
        )
        backend = DirectBackend((model,))
        end = await execute(
            spec, MemoryJournal(), backend=backend, tools=tools, clock=standing_still
        )
        if not isinstance(end, ev.RunFinished):
            raise TypeError(f"{task.id}: {end}")
        done.append((end.outcome == "correct", end.totals.latency_s, end.totals.steps))
    return done


def _in_world(model: SimulatedModel, agent: str, folder: Path) -> list[tuple[bool, float, int]]:
    return asyncio.run(_solve(model, agent, folder))


def measure(
    model: SimulatedModel, agent: str, worlds: list[Path], pool: ProcessPoolExecutor
) -> Alone:
    """Run one model alone over every task of the worlds."""
    parts = pool.map(partial(_in_world, model, agent), worlds)
    right, latency_s, steps = zip(*(run for part in parts for run in part), strict=True)
    return Alone(
        100 * statistics.mean(right), statistics.mean(latency_s), statistics.mean(steps), len(right)
    )


def fit_accuracy(
    model: SimulatedModel, target: float, run: Callable[[SimulatedModel], Alone]
) -> tuple[SimulatedModel, Alone]:
    """Move ``comprehension`` until the accuracy is near the target; return the nearest seen."""
    best: tuple[float, SimulatedModel, Alone] | None = None
    seen: list[tuple[float, float]] = []
    value = model.skill.comprehension
    for _ in range(MOST_TRIES):
        value = min(1.0, max(0.0, round(value, 4)))
        tried = dataclasses.replace(
            model, skill=dataclasses.replace(model.skill, comprehension=value)
        )
        found = run(tried)
        print(f"{model.name} comprehension {value:.4f}: {_said(found)}", flush=True)
        off = abs(found.accuracy - target)
        if best is None or off < best[0]:
            best = (off, tried, found)
        if off <= NEAR_POINTS:
            break
        seen.append((value, found.accuracy))
        value = _next(seen, target)
    assert best is not None
    return best[1], best[2]


def _next(seen: list[tuple[float, float]], target: float) -> float:
    """Return where a line through the two nearest points on both sides meets the target."""
    low = max((p for p in seen if p[1] < target), key=lambda p: p[1], default=None)
    high = min((p for p in seen if p[1] > target), key=lambda p: p[1], default=None)
    if low and high and low[0] < high[0]:
        return low[0] + (high[0] - low[0]) * (target - low[1]) / (high[1] - low[1])
    value, accuracy = seen[-1]
    return value + 0.01 * (target - accuracy) / _SLOPE


def slower(model: SimulatedModel, factor: float) -> SimulatedModel:
    """Return the model with all its times multiplied."""
    speed = model.speed
    return dataclasses.replace(
        model,
        speed=Speed(
            overhead_s=round(speed.overhead_s * factor, 6),
            prefill_s_per_token=round(speed.prefill_s_per_token * factor, 9),
            decode_s_per_token=round(speed.decode_s_per_token * factor, 7),
            load_factor=speed.load_factor,
            max_num_seqs=speed.max_num_seqs,
        ),
    )


def _said(found: Alone) -> str:
    return (
        f"accuracy {found.accuracy:.2f} %, {found.latency_s:.2f} s, {found.steps:.2f} steps a run, "
        f"{found.runs} runs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", help="where the search begins")
    parser.add_argument("--accuracy", type=float, nargs=2, required=True, metavar="PERCENT")
    parser.add_argument("--speedup", type=float, required=True)
    parser.add_argument("--agent", default="react", choices=("react", "planner-executor"))
    parser.add_argument("--worlds", type=int, nargs="+", default=list(range(11, 19)))
    parser.add_argument("--name", help="of the fitted preset; the models' names get its ending")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if SHIPPED_SEED in args.worlds:
        parser.error(f"world {SHIPPED_SEED} is the shipped one: it is for evaluation")
    small, large = load_preset(args.preset).models
    with (
        tempfile.TemporaryDirectory() as cache,
        ProcessPoolExecutor() as pool,
    ):
        worlds = [world_folder(f"world-{seed}", Path(cache)) for seed in args.worlds]
        run = partial(measure, agent=args.agent, worlds=worlds, pool=pool)
        small, of_small = fit_accuracy(small, args.accuracy[0], run)
        large, of_large = fit_accuracy(large, args.accuracy[1], run)
    speedup = of_large.latency_s / of_small.latency_s
    small = slower(small, speedup / args.speedup)
    print(f"speedup {speedup:.3f}; the small model's times x {speedup / args.speedup:.4f}")
    fitted = Preset(name=args.name or args.preset, models=(small, large))
    args.out.write_bytes(msgspec.json.format(msgspec.json.encode(fitted)) + b"\n")


if __name__ == "__main__":
    main()
