from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as other_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

from collab_core.errors import InvalidInput
from collab_core.experiments.inference import Effect, compare, holm, mcnemar, newcombe_paired
from collab_core.experiments.records import Trial
from tests.collab_core.experiments.trials import random_trials, trial

few = st.integers(0, 40)


# statsmodels collects garbage at every call: few examples
@settings(max_examples=6, deadline=None)
@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20))
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])


@settings(max_examples=30, deadline=None)
@given(few, few)
def test_mcnemar_agrees_with_statsmodels(one: int, two: int) -> None:
    if one + two:
        other = other_mcnemar([[5, one], [two, 7]], exact=True).pvalue
        assert mcnemar(one, two) == pytest.approx(other)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 9))
def test_newcombe_of_unrelated_shares_is_that_of_independent_ones(k: int, a: int, b: int) -> None:
    """Where both * neither = only_one * only_two, phi is 0."""
    both, only_one, only_two, neither = k * a * b, k * a, k * b, k
    n = both + only_one + only_two + neither
    other = confint_proportions_2indep(both + only_one, n, both + only_two, n, method="newcomb")
    assert newcombe_paired(both, only_one, only_two, neither) == pytest.approx(other)


@settings(max_examples=50, deadline=None)
@given(few, few, few, few)
def test_newcombe_holds_the_difference_and_turns_with_it(a: int, b: int, c: int, d: int) -> None:
    n = a + b + c + d
    if not n:
        return
    low, high = newcombe_paired(a, b, c, d)
    assert -1 - 1e-9 <= low <= (b - c) / n <= high <= 1 + 1e-9
    assert newcombe_paired(a, c, b, d) == pytest.approx((-high, -low))


def only(trials: list[Trial], measure: str = "accuracy") -> Effect:
    (effect,) = compare(trials, measure=measure).effects
    return effect


def test_one_seed_right_or_wrong_by_hand() -> None:
    """10 tasks: both solve 4, only a 4, only b 1, neither 1."""
    a = "ccccccccii"
    b = "cccciiiici"
    word = {"c": "correct", "i": "incorrect"}
    trials = [
        trial(arm, n, word[o]) for arm, row in (("a", a), ("b", b)) for n, o in enumerate(row)
    ]
    effect = only([*trials, trial("a", 10), trial("b", 11, "unscored")])
    assert effect.difference == pytest.approx(0.3)
    assert (effect.only_arm, effect.only_other, effect.pairs) == (4, 1, 10)
    # P(X <= 1 or X >= 4), X ~ B(5, 1/2) = 2 (1 + 5) / 32
    assert effect.p == pytest.approx(12 / 32)
    assert (effect.test, effect.interval) == ("mcnemar_exact", "newcombe_paired")
    assert effect.low is not None
    assert effect.high is not None
    assert effect.low < 0.3 < effect.high


@pytest.mark.parametrize("tasks", [9, 40])
@pytest.mark.parametrize("measure", ["latency_s", "accuracy"])
def test_the_permutation_test_agrees_with_scipys(tasks: int, measure: str) -> None:
    trials = random_trials(["a", "b"], tasks=tasks, seeds=2, chance=tasks)
    effect = only(trials, measure)
    sums = np.zeros((2, tasks))
    for t in trials:
        assert t.facts is not None
        value = t.facts.latency_s if measure == "latency_s" else float(t.outcome == "correct")
        sums["ab".index(t.arm), int(t.task_id)] += value
    apart = sums[0] - sums[1]
    other = stats.permutation_test(
        (apart,),
        lambda x, axis: x.mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=9_999,
        rng=np.random.default_rng(3),
    )
    assert effect.test == ("permutation_exact" if tasks == 9 else "permutation")
    assert effect.difference == pytest.approx(apart.mean() / 2)
    assert effect.p == pytest.approx(other.pvalue, abs=0.012)


def test_the_interval_of_a_difference_agrees_with_scipys() -> None:
    trials = random_trials(["a", "b"], tasks=60, chance=4)
    effect = only(trials, "latency_s")
    latency = np.array([t.facts.latency_s for t in trials if t.facts]).reshape(2, 60)
    other = stats.bootstrap(
        (latency[0] - latency[1],),
        np.mean,
        n_resamples=4_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = other.high - other.low
    assert (effect.low, effect.high) == pytest.approx((other.low, other.high), abs=0.08 * width)


def test_all_pairs_are_corrected_together() -> None:
    comparison = compare(random_trials(["a", "b", "c"], tasks=30), measure="latency_s")
    assert [(e.arm, e.other) for e in comparison.effects] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert comparison.tests == 3
    assert [e.p_holm for e in comparison.effects] == holm([e.p or 0.0 for e in comparison.effects])


def test_arms_that_are_alike_do_not_differ() -> None:
    same = [trial(arm, n, latency_s=1.0 + n) for arm in "ab" for n in range(20)]
    latency, accuracy = only(same, "latency_s"), only(same)
    assert (latency.difference, latency.p, accuracy.p) == (0.0, 1.0, 1.0)
    assert accuracy.low is not None
    assert accuracy.low < 0 < (accuracy.high or 0)


def test_too_little_in_common_is_not_tested() -> None:
    apart = only([trial("a", 0), trial("b", 1)])
    assert (apart.difference, apart.p, apart.pairs) == (None, None, 0)
    four = [trial(arm, n, latency_s=1.0 + n * (arm == "a")) for arm in "ab" for n in range(4)]
    effect = only(four, "latency_s")
    assert (effect.difference, effect.p, effect.low) == (1.5, None, None)
    assert compare([]).effects == compare([trial("a", 0)]).effects == ()


def test_an_unknown_measure_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="cannot be tested"):
        compare([], measure="beauty")
