"""The table of an experiment: CPU of all its figures, beside scipy's bootstrap of a single one.

python -m benchmarks.tables
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.report import write_result
from collab_core.experiments.inference import compare
from collab_core.experiments.records import Facts, Trial
from collab_core.experiments.table import SAMPLES, table

SHAPES = ((300, 1, 6), (1_667, 1, 6), (1_000, 10, 6), (10_000, 1, 6))
"""Tasks, seeds, arms."""


def trials(tasks: int, seeds: int, arms: int) -> list[Trial]:
    rng = random.Random(0)
    made = []
    for arm, task, seed in np.ndindex(arms, tasks, seeds):
        steps = rng.randint(2, 30)
        facts = Facts(
            steps=steps,
            large_steps=rng.randint(0, steps),
            switches=rng.randint(0, steps - 1),
            moves=steps - 1,
            latency_s=rng.expovariate(1 / (30 + arm)),
            input_tokens=rng.randint(100, 100_000),
            cached_tokens=50,
            output_tokens=rng.randint(10, 5_000),
            large_output_tokens=5,
            cost_usd=rng.random(),
            model_calls=steps,
            checks=steps,
            stalls=rng.randint(0, steps),
        )
        made.append(
            Trial(
                arm=f"arm {arm}",
                task_id=f"t{task}",
                seed=seed,
                status="finished",
                outcome=rng.choice(("correct", "incorrect")),
                facts=facts,
            )
        )
    return made


def cpu_ms(work: Callable[[], Any], rounds: int = 3) -> float:
    """Return the CPU time of the best round."""
    taken = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return round(1_000 * min(taken), 1)


def scipys(tasks: int) -> None:
    """Bootstrap one ratio of sums by task."""
    rng = np.random.default_rng(0)
    stats.bootstrap(
        (rng.random(tasks), rng.random(tasks)),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=SAMPLES,
        method="percentile",
        rng=rng,
    )


def main() -> None:
    figures = {}
    for tasks, seeds, arms in SHAPES:
        given = trials(tasks, seeds, arms)
        whole = cpu_ms(lambda given=given: table(given, baseline="arm 0"))
        one = cpu_ms(lambda tasks=tasks: scipys(tasks))
        row = {
            "trials": len(given),
            "table_cpu_ms": whole,
            "all_pairs_latency_cpu_ms": cpu_ms(
                lambda given=given: compare(given, measure="latency_s"), rounds=1
            ),
            "scipy_one_figure_cpu_ms": one,
            "times_one_figure": round(whole / one, 2),
        }
        figures[f"{tasks} tasks x {seeds} seeds x {arms} arms"] = row
        print(tasks, seeds, arms, row)
    write_result("tables", figures)


if __name__ == "__main__":
    main()
