"""Trials by hand and by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from collab_core.experiments.records import Facts, Trial


def trial(arm: str, task: int | str, outcome: str = "correct", **more: Any) -> Trial:
    """A finished trial; what is no field of ``Trial`` is one of its ``Facts``."""
    own = {name: more.pop(name) for name in Trial.__struct_fields__ if name in more}
    facts = Facts(**{"steps": 1, "latency_s": 1.0, "cost_usd": 0.0, **more})
    fields = {"seed": 0, "status": "finished", "outcome": outcome, "facts": facts, **own}
    return Trial(arm=arm, task_id=str(task), **fields)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    steps = draw(st.integers(0, 20))
    moves = draw(st.integers(0, max(0, steps - 1)))
    switches = draw(st.integers(0, moves))
    output = draw(st.integers(0, 5_000))
    checks = draw(st.integers(0, steps))
    return Facts(
        steps=steps,
        large_steps=draw(st.integers(0, steps)),
        moves=moves,
        switches=switches,
        escalations=draw(st.integers(0, switches)),
        latency_s=draw(st.integers(0, 500_000)) / 1_000,
        input_tokens=draw(st.integers(1, 10**6)),
        cached_tokens=draw(st.none() | st.integers(0, 1)),
        output_tokens=output,
        large_output_tokens=draw(st.integers(0, output)),
        cost_usd=draw(st.none() | st.integers(0, 30).map(float) | st.just(0.25)),
        model_calls=draw(st.integers(0, 50)),
        checks=checks,
        stalls=draw(st.integers(0, checks)),
        simulated=draw(st.booleans()),
    )


@st.composite
def experiments(draw: st.DrawFn, *, arms: Sequence[str] = ("large", "small", "mix")) -> list[Trial]:
    """Any part of any experiment: cells are missing, failed, running, unscored."""
    cells = [(a, t, s) for a in arms for t in range(6) for s in range(2)]
    chosen = draw(st.lists(st.sampled_from(cells), unique=True, max_size=30))
    made = []
    for arm, task, seed in chosen:
        status = draw(st.sampled_from(["finished"] * 4 + ["failed", "cancelled", "running"]))
        outcomes = ["correct", "incorrect", "unscored"]
        made.append(
            Trial(
                arm=arm,
                task_id=f"t{task}",
                seed=seed,
                status=status,
                outcome=draw(st.sampled_from(outcomes)) if status == "finished" else "unscored",
                facts=None if status == "running" else draw(facts()),
            )
        )
    return made


def random_trials(
    arms: Sequence[str], *, tasks: int, seeds: int = 1, chance: int = 0
) -> list[Trial]:
    """A full experiment whose arms share each task's difficulty."""
    rng = random.Random(chance)
    hard = [rng.random() for _ in range(tasks)]
    made = []
    for number, arm in enumerate(arms):
        for task in range(tasks):
            for seed in range(seeds):
                steps = 2 + int(10 * hard[task]) + rng.randint(0, 4)
                large = rng.randint(0, steps)
                made.append(
                    trial(
                        arm,
                        task,
                        "correct" if rng.random() > 0.3 + 0.5 * hard[task] else "incorrect",
                        seed=seed,
                        steps=steps,
                        large_steps=large,
                        moves=steps - 1,
                        switches=rng.randint(0, steps - 1),
                        latency_s=steps * (3.0 - number) * rng.uniform(0.5, 1.5),
                        input_tokens=1_000 * steps,
                        output_tokens=100 * steps,
                        large_output_tokens=100 * large,
                        cost_usd=0.01 * steps,
                    )
                )
    return made
