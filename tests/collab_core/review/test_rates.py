from __future__ import annotations

import doctest

import numpy as np
import pytest

from benchmarks.false_progress_rates import coverage
from collab_core.review import rates as module
from collab_core.review.rates import KEYS, rates, rates_by, weighted_rate
from tests.collab_core.review.labelled import label


def test_examples() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_each_denominator_counts_what_its_name_says() -> None:
    # 4 right "progress", 1 false; 2 right stalls, 3 missed; 1 unsure, 1 without a verdict
    kinds = [(True, 1)] * 4 + [(False, 1)] + [(False, 0)] * 2 + [(True, 0)] * 3
    several = [label(*kind, of_run=n) for n, kind in enumerate(kinds)]  # type: ignore[arg-type]
    several += [label(None, 1, of_run=20), label(True, None, of_run=21)]
    found = rates(several)
    assert found.false_of_progress.value == pytest.approx(1 / 5)
    assert found.false_of_checks.value == pytest.approx(1 / 10)
    assert found.false_of_stagnant.value == pytest.approx(1 / 3)
    assert found.missed_of_stalls.value == pytest.approx(3 / 5)
    assert found.missed_of_checks.value == pytest.approx(3 / 10)
    assert found.missed_of_advancing.value == pytest.approx(3 / 7)
    assert found.correct_of_checks.value == pytest.approx(6 / 10)
    assert (found.items, found.usable, found.unsure, found.no_verdict) == (12, 10, 1, 1)


def test_a_step_drawn_with_half_the_probability_weighs_twice() -> None:
    found = rates(
        [
            label(False, 1, probability=1.0),
            label(True, 1, of_run=2, probability=0.5),
            label(True, 1, of_run=3, probability=0.5),
        ]
    ).false_of_progress
    assert found.value == pytest.approx(1 / 5)
    assert found.unweighted == pytest.approx(1 / 3)
    assert (found.wrong, found.n, found.runs) == (1, 3, 3)


def test_the_interval_by_hand() -> None:
    # even weights, a step a run: V = R (1 - R) / (n - 1), so n_eff = 99, shrunk by
    # (1.959964 / 1.984217) ** 2 = 0.975704 to 96.5947; Wilson with 0.1 and that
    found = weighted_rate([True] * 10 + [False] * 90, [1.0] * 100, range(100))
    assert found.effective_n == pytest.approx(96.5947, abs=1e-3)
    assert (found.low, found.high) == pytest.approx((0.054666, 0.175932), abs=2e-6)


def test_steps_of_a_run_that_say_the_same_count_once() -> None:
    wrong = [n % 10 == 0 for n in range(40)]
    alone = weighted_rate(wrong, [1.0] * 40, range(40))
    fourfold = weighted_rate(wrong * 4, [1.0] * 160, [*range(40)] * 4)
    assert fourfold.effective_n == pytest.approx(alone.effective_n)
    assert (fourfold.low, fourfold.high) == pytest.approx((alone.low, alone.high))
    assert fourfold.unweighted_high < alone.unweighted_high  # type: ignore[operator]


def test_linearisation_agrees_with_resampling_whole_runs() -> None:
    rng = np.random.default_rng(3)
    runs = np.repeat(np.arange(80), 6)
    wrong = rng.random(480) < np.repeat(rng.beta(1, 6, 80), 6)
    weights = 1 / rng.uniform(0.1, 1.0, 480)
    found = weighted_rate(wrong.tolist(), weights.tolist(), runs.tolist())
    a = np.bincount(runs, weights * wrong)
    b = np.bincount(runs, weights)
    picks = rng.integers(0, 80, (4_000, 80))
    spread = (a[picks].sum(axis=1) / b[picks].sum(axis=1)).std()
    value = found.value or 0.0
    shrink = (1.959964 / 1.990450) ** 2
    assert value * (1 - value) / spread**2 * shrink == pytest.approx(found.effective_n, rel=0.08)


def test_nothing_wrong_is_not_taken_for_certain() -> None:
    # Clopper-Pearson: 1 - 0.025 ** (1 / 20)
    found = weighted_rate([False] * 20, [1.0] * 20, range(20))
    assert (found.value, found.low, found.method) == (0.0, 0.0, "exact")
    assert found.high == pytest.approx(0.168433, abs=1e-6)
    # twenty steps of four runs say no more than four
    assert weighted_rate([False] * 20, [1.0] * 20, [0, 1, 2, 3] * 5).high == pytest.approx(0.602365)
    assert weighted_rate([True] * 20, [1.0] * 20, range(20)).low == pytest.approx(
        1 - 0.168433, abs=1e-6
    )


def test_one_run_and_no_step_at_all() -> None:
    single = weighted_rate([True, False, False, False], [1.0] * 4, [0] * 4)
    assert single.effective_n == pytest.approx(4.0)
    assert weighted_rate([], [], []).value is None
    assert rates([]).false_of_progress.low is None


def test_groups_are_made_of_any_key() -> None:
    several = [
        label(False, 1, tier_name="small", step_position=2),
        label(True, 1, tier_name="large", of_run=2, step_position=9),
    ]
    by_tier = rates_by(several, KEYS["tier"])
    assert list(by_tier) == ["large", "small"]
    assert by_tier["small"].false_of_progress.value == 1.0
    assert list(rates_by(several, KEYS["step_position"])) == ["1-3", "9-15"]


def test_two_reviewers_of_a_step_count_once() -> None:
    found = rates([label(False, 1), label(False, 1, reviewer="bob")])
    assert (found.items, found.labels, found.false_of_progress.n) == (1, 2, 1)


def test_a_decision_is_no_label() -> None:
    decision = label(False, 1, reviewer="zoe (adjudicator)", adjudicated=True)
    found = rates([label(True, 1), label(False, 1, reviewer="bob"), decision])
    assert (found.items, found.labels, found.false_of_progress.n) == (1, 2, 1)


@pytest.mark.parametrize("design", ["random", "stratified", "suspicious"])
def test_the_interval_covers_a_planted_seven_per_cent(design: str) -> None:
    found = coverage(design, rate=0.07, size=200, runs=150, between=0.02, trials=250)
    # 95 % plus or minus three standard errors of 250 trials
    assert 0.909 <= found["coverage"] <= 0.991
    assert found["mean_estimate"] == pytest.approx(0.07, abs=0.004)
    if design == "suspicious":
        assert found["mean_unweighted"] > 0.1
