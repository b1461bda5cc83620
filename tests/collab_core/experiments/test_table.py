from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from collab_core.errors import InvalidInput
from collab_core.experiments.columns import COLUMNS
from collab_core.experiments.records import Trial
from collab_core.experiments.table import Row, Table, table
from tests.collab_core.experiments.independent import figures
from tests.collab_core.experiments.trials import experiments, random_trials, trial

LARGE = [trial("large", n, latency_s=s) for n, s in enumerate((30.0, 10.0, 20.0, 40.0, 50.0))]


def row(made: Table, arm: str) -> Row:
    return next(row for row in made.rows if row.arm == arm)


def value(made: Table, arm: str, name: str) -> float | None:
    return row(made, arm).figure(name).value


def test_a_table_by_hand() -> None:
    mixed = [
        trial("mix", 0, "correct", latency_s=10.0, steps=4, large_steps=1, moves=3, switches=2),
        trial("mix", 1, "incorrect", latency_s=5.0, steps=2, large_steps=2, moves=1, switches=0),
        trial("mix", 2, "unscored", latency_s=15.0, steps=3, large_steps=0, moves=2, switches=1),
        trial("mix", 3, status="failed", outcome="unscored", latency_s=99.0),
    ]
    made = table([*LARGE, *mixed], baseline="large")
    mix = row(made, "mix")
    assert (mix.trials, mix.finished, mix.failed, mix.missing_tasks) == (4, 3, 1, 2)
    assert (mix.correct, mix.scored, mix.unscored) == (1, 2, 1)
    assert made.notes[:3] == (
        "mix: 1 unscored run is not in its accuracy.",
        "mix: 1 failed run is not in its accuracy; the column with failed ones counts it as wrong.",
        "mix: 2 tasks have no finished run.",
    )
    assert value(made, "mix", "accuracy") == 1 / 2
    assert value(made, "mix", "accuracy_all") == 1 / 3
    assert value(made, "mix", "steps") == 3.0
    assert value(made, "mix", "latency_s") == 10.0
    # 30 + 10 + 20 of the baseline on the same three tasks, over 10 + 5 + 15
    assert value(made, "mix", "speedup") == 2.0
    assert value(made, "mix", "switching_ratio") == 50.0
    assert value(made, "mix", "large_step_share") == 3 / 9
    assert mix.spent_s == 129.0


def test_the_baseline_is_once_as_fast_as_itself() -> None:
    speedup = row(table(LARGE, baseline="large"), "large").figure("speedup")
    assert (speedup.value, speedup.low, speedup.method) == (1.0, None, "definition")


def test_a_speedup_is_over_the_same_seeds() -> None:
    trials = [
        trial("large", 0, seed=1, latency_s=8.0),
        trial("large", 0, seed=2, latency_s=100.0),
        trial("mix", 0, seed=1, latency_s=4.0),
        trial("mix", 0, seed=3, latency_s=100.0),
    ]
    speedup = row(table(trials, baseline="large"), "mix").figure("speedup")
    assert (speedup.value, speedup.n) == (2.0, 1)


@settings(max_examples=80, deadline=None)
@given(trials=experiments())
def test_every_value_agrees_with_plain_python(trials: list[Trial]) -> None:
    arms = {trial.arm for trial in trials}
    baseline = "large" if "large" in arms else ""
    made = table(trials, baseline=baseline, samples=20)
    runs = {
        (t.arm, t.task_id, t.seed): {"status": t.status, "outcome": t.outcome}
        | (msgspec.to_builtins(t.facts) if t.facts else {})
        for t in trials
    }
    expected = figures(runs, baseline=baseline)
    assert [row.arm for row in made.rows] == list(expected)
    scored = any(t.status == "finished" and t.outcome != "unscored" for t in trials)
    for row_ in made.rows:
        for name, figure in expected[row_.arm].items():
            unknown = name == "accuracy_all" and not scored
            wanted = None if unknown else pytest.approx(figure)
            assert row_.figure(name).value == wanted, (row_.arm, name)


@settings(max_examples=50, deadline=None)
@given(trials=experiments())
def test_every_table_holds_together(trials: list[Trial]) -> None:
    made = table(trials, samples=50)
    again = msgspec.json.decode(msgspec.json.encode(made), type=Table)
    assert again == made == table(trials, samples=50)
    for row_ in made.rows:
        assert row_.finished + row_.failed + row_.cancelled + row_.open == row_.trials
        for name, figure in row_.figures.items():
            assert (figure.method in {"", "definition"}) == (figure.low is None), name
            if figure.low is not None and figure.high is not None and figure.value is not None:
                assert figure.low <= figure.high
                if COLUMNS[name].unit == "frac":
                    assert 0 <= figure.low <= figure.high <= 1


def test_accuracy_with_one_seed_has_wilsons_interval() -> None:
    trials = random_trials(["a"], tasks=57)
    accuracy = row(table(trials, level=0.9), "a").figure("accuracy")
    correct = sum(t.outcome == "correct" for t in trials)
    low, high = proportion_confint(correct, 57, alpha=0.1, method="wilson")
    assert accuracy.method == "wilson"
    assert (accuracy.low, accuracy.high) == pytest.approx((low, high))


@pytest.mark.parametrize("name", ["accuracy", "steps", "speedup", "switching_ratio"])
def test_the_bootstrap_agrees_with_scipys(name: str) -> None:
    trials = random_trials(["large", "mix"], tasks=80, seeds=3)
    figure = row(table(trials, baseline="large", samples=4_000), "mix").figure(name)
    above, below = np.zeros(80), np.zeros(80)
    for t in trials:
        assert t.facts is not None
        terms = {
            "accuracy": (t.outcome == "correct", 1),
            "steps": (t.facts.steps, 1),
            "switching_ratio": (100 * t.facts.switches, t.facts.moves),
        }
        task = int(t.task_id)
        if name == "speedup":
            (above if t.arm == "large" else below)[task] += t.facts.latency_s
        elif t.arm == "mix":
            above[task] += terms[name][0]
            below[task] += terms[name][1]
    other = stats.bootstrap(
        (above, below),
        lambda a, b, axis: a.sum(axis) / b.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=4_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert figure.method == ("paired_bootstrap" if name == "speedup" else "bootstrap")
    assert figure.value == pytest.approx(above.sum() / below.sum())
    width = other.high - other.low
    assert (figure.low, figure.high) == pytest.approx((other.low, other.high), abs=0.08 * width)


def test_the_same_share_of_every_task_leaves_no_doubt() -> None:
    trials = [*LARGE, *(trial("mix", t.task_id, latency_s=t.facts.latency_s / 4) for t in LARGE)]  # type: ignore[union-attr]
    speedup = row(table(trials, baseline="large"), "mix").figure("speedup")
    assert (speedup.low, speedup.high) == pytest.approx((4.0, 4.0))


@pytest.mark.parametrize("outcome", ["correct", "incorrect"])
def test_certainty_over_several_seeds_keeps_an_interval_by_task(outcome: str) -> None:
    trials = [trial("a", n, outcome, seed=s) for n in range(20) for s in range(5)]
    accuracy = row(table(trials), "a").figure("accuracy")
    sure = 20 if outcome == "correct" else 0
    assert (accuracy.method, accuracy.n, accuracy.tasks) == ("wilson_by_task", 100, 20)
    low, high = proportion_confint(sure, 20, method="wilson")
    assert (accuracy.low, accuracy.high) == pytest.approx((low, high))


def test_few_tasks_have_no_bootstrap() -> None:
    figure = row(table([trial("a", n, latency_s=n) for n in range(4)]), "a").figure("latency_s")
    assert (figure.value, figure.low, figure.method, figure.tasks) == (1.5, None, "", 4)


def test_an_unknown_cost_makes_the_mean_unknown_and_says_so() -> None:
    made = table([trial("a", 0, cost_usd=1.0), trial("a", 1, cost_usd=None)])
    assert value(made, "a", "cost_usd") is None
    assert row(made, "a").spent_usd is None
    assert "a: the cost of 1 run is unknown." in made.notes


def test_servers_that_do_not_tell_are_left_out_of_the_cached_share() -> None:
    told = trial("a", 0, input_tokens=100, cached_tokens=40)
    silent = trial("a", 1, input_tokens=1_000, cached_tokens=None)
    cached = row(table([told, silent]), "a").figure("cached_share")
    assert (cached.value, cached.n) == (0.4, 1)
    assert value(table([silent]), "a", "cached_share") is None


def test_false_progress_counts_labels() -> None:
    trials = [trial("a", n, labels=10, false_progress=n % 2) for n in range(10)]
    figure = row(table([*trials, trial("a", 10)]), "a").figure("false_progress")
    assert (figure.value, figure.n, figure.tasks) == (5 / 100, 100, 10)
    nothing = row(table([trial("a", n, labels=10) for n in range(10)]), "a").figure(
        "false_progress"
    )
    assert (nothing.value, nothing.method) == (0.0, "wilson_by_task")
    assert nothing.high == pytest.approx(proportion_confint(0, 10, method="wilson")[1])


def test_scores_are_no_accuracy() -> None:
    made = table([trial("a", n, "unscored", score=float(s)) for n, s in enumerate((4, 5, 9))])
    assert value(made, "a", "score") == 6.0
    assert value(made, "a", "accuracy") is None
    assert "accuracy" not in made.columns
    assert made.notes == ()


def test_nothing_done_is_no_figure() -> None:
    waiting = Trial(arm="a", task_id="0", seed=0)
    made = table([waiting], baseline="a")
    assert made.columns == ()
    assert (row(made, "a").open, row(made, "a").missing_tasks) == (1, 1)
    assert made.notes[0] == "a: 1 task has no finished run."
    assert table([]).rows == ()


def test_an_arm_without_the_baselines_tasks_has_no_speedup() -> None:
    made = table([trial("large", 0), trial("mix", 1)], baseline="large")
    assert value(made, "mix", "speedup") is None
    assert any("over the 0 of 1 runs" in note for note in made.notes)


def test_an_arm_of_failures_is_all_wrong() -> None:
    trials = [*LARGE, *(trial("mix", n, "unscored", status="failed") for n in range(5))]
    made = table(trials)
    assert (value(made, "mix", "accuracy"), value(made, "mix", "accuracy_all")) == (None, 0.0)


def test_cancelled_runs_are_nobodys_fault() -> None:
    made = table([*LARGE, trial("large", 9, "unscored", status="cancelled", latency_s=7.0)])
    assert value(made, "large", "accuracy_all") == 1.0
    assert row(made, "large").spent_s == 157.0


def test_arms_are_chosen_and_ordered() -> None:
    trials = [trial(arm, 0) for arm in ("a", "b", "c")]
    assert [row.arm for row in table(trials, arms=("c", "a", "c", "new")).rows] == ["c", "a", "new"]


def test_marks_are_kept() -> None:
    made = table([trial("a", 0, simulated=True), trial("b", 0, stand_in=True)])
    assert (made.simulated, made.stand_in) == (True, True)
    assert (row(made, "a").simulated, row(made, "a").stand_in) == (True, False)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="two trials on task '0' with seed 0"):
        table([trial("a", 0), trial("a", 0)])
    with pytest.raises(InvalidInput, match="'large' is not among the arms"):
        table([trial("a", 0)], baseline="large")
