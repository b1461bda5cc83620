from __future__ import annotations

from typing import Any

import pytest

from collab_core.errors import InvalidInput
from collab_core.experiments.records import Trace, Trial
from collab_core.experiments.trajectories import (
    Difficulty,
    by_difficulty,
    curves,
    solved_and_unsolved,
)
from tests.collab_core.experiments.trials import random_trials, trial


def trace(*latency_s: float, **more: Any) -> Trace:
    steps = len(latency_s)
    cumulative = tuple(sum(latency_s[: n + 1]) for n in range(steps))
    fields = {
        "tiers": (1,) * steps,
        "top": 1,
        "scopes": ("",) * steps,
        "latency_s": latency_s,
        "cumulative_s": cumulative,
        "output_tokens": (100,) * steps,
        "decode_s": (2.0,) * steps,
        "verdicts": (1,) * steps,
    }
    return Trace(**{**fields, **more})


def test_curves_by_step_count_who_came_so_far() -> None:
    runs = [
        (trial("a", 0), trace(1.0, 1.0, 4.0, tiers=(1, 0, 0), verdicts=(1, 0, None))),
        (trial("a", 1), trace(3.0, 3.0, decode_s=(2.0, 0.0))),
        (trial("a", 2, status="failed"), trace(99.0)),
    ]
    (curve,) = curves(runs)
    assert curve.positions == (1.0, 2.0, 3.0)
    assert [figure.value for figure in curve.latency_s] == [2.0, 4.0, 6.0]
    assert [figure.n for figure in curve.latency_s] == [2, 2, 1]
    assert [figure.value for figure in curve.large_share] == [1.0, 0.5, 0.0]
    # at step 2 one server told no seconds: its tokens have no speed
    assert [figure.value for figure in curve.tokens_per_s] == [50.0, 50.0, 50.0]
    assert [figure.value for figure in curve.stall_share] == [0.0, 0.5, None]


def test_curves_by_share_let_every_run_count_everywhere() -> None:
    runs = [(trial("a", 0), trace(1.0, 1.0, 1.0, 1.0)), (trial("a", 1), trace(10.0))]
    (curve,) = curves(runs, along="share", bins=6)
    assert curve.positions == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    # of four steps, six bins see 1 2 2 3 4 4
    assert [figure.value for figure in curve.latency_s] == [5.5, 6.0, 6.0, 6.5, 7.0, 7.0]
    assert [figure.n for figure in curve.latency_s] == [2] * 6


def test_agents_side_by_side_do_not_turn_time_back() -> None:
    parallel = trace(1.0, 5.0, 2.0, cumulative_s=(1.0, 6.0, 3.0))
    (curve,) = curves([(trial("a", 0), parallel)])
    assert [figure.value for figure in curve.latency_s] == [1.0, 6.0, 6.0]


def test_curves_have_intervals_from_five_tasks_on() -> None:
    runs = [(trial("a", n), trace(1.0 + n, 1.0)) for n in range(8)]
    (curve,) = curves(runs)
    first = curve.latency_s[0]
    assert (first.value, first.method, first.tasks) == (4.5, "bootstrap", 8)
    assert first.low is not None
    assert 1.0 <= first.low < 4.5 < (first.high or 0) <= 8.0
    (few,) = curves(runs[:4])
    assert few.latency_s[0].low is None


def test_without_the_ladders_top_nobody_knows_the_large_share() -> None:
    (curve,) = curves([(trial("a", 0), trace(1.0, top=None))])
    assert curve.large_share[0].value is None


def test_solved_and_unsolved_runs_stand_beside_each_other() -> None:
    trials = [
        trial("a", 0, "correct", steps=2),
        trial("a", 1, "correct", steps=4),
        trial("a", 2, "incorrect", steps=9, output_tokens=10, large_output_tokens=8),
        trial("a", 3, "unscored", steps=50),
        trial("a", 4, "unscored", status="failed", steps=50),
    ]
    (split,) = solved_and_unsolved(trials)
    assert (split.arm, split.solved.arm, split.unsolved.arm) == ("a", "a", "a")
    assert (split.solved.finished, split.unsolved.finished) == (2, 1)
    assert split.solved.figure("steps").value == 3.0
    assert split.unsolved.figure("large_token_ratio").value == 0.8
    assert "accuracy" not in split.solved.figures


def speedups(made: Difficulty, arm: str) -> list[float | None]:
    rows = [next(row for row in level.table.rows if row.arm == arm) for level in made.levels]
    return [row.figure("speedup").value for row in rows]


def test_difficulty_is_the_baselines_latency() -> None:
    large = [trial("large", n, latency_s=float(s)) for n, s in enumerate((9, 1, 5, 2, 8, 4))]
    half = [trial("mix", n, latency_s=s) for n, s in enumerate((3.0, 1.0, 2.5, 2.0, 1.0, 2.0))]
    made = by_difficulty([*large, *half], baseline="large")
    assert [(level.name, level.tasks, level.low, level.high) for level in made.levels] == [
        ("1 of 3", 2, 1.0, 2.0),
        ("2 of 3", 2, 4.0, 5.0),
        ("3 of 3", 2, 8.0, 9.0),
    ]
    assert speedups(made, "mix") == pytest.approx([3 / 3, 9 / 4.5, 17 / 4])
    assert "large" in made.how


def test_difficulty_is_the_tasks_label() -> None:
    trials = [
        trial("large", 0, latency_s=8.0),
        trial("large", 1, difficulty="hard", latency_s=6.0),
        trial("large", 2, difficulty="easy", latency_s=2.0),
        trial("mix", 0, latency_s=2.0),
        trial("mix", 1, difficulty="hard", latency_s=2.0),
        trial("mix", 2, difficulty="easy", latency_s=1.0),
    ]
    made = by_difficulty(trials, baseline="large", by="label")
    assert [level.name for level in made.levels] == ["easy", "hard", "not labelled"]
    assert speedups(made, "mix") == [2.0, 3.0, 4.0]


def test_all_tasks_of_a_whole_experiment_are_in_one_part() -> None:
    trials: list[Trial] = random_trials(["large", "mix"], tasks=10, seeds=2)
    made = by_difficulty(trials, baseline="large", by="steps")
    assert [level.tasks for level in made.levels] == [4, 3, 3]


def test_difficulty_needs_its_baseline() -> None:
    with pytest.raises(InvalidInput, match="'large' is not among the arms"):
        by_difficulty([trial("a", 0)], baseline="large")
