from __future__ import annotations

import doctest
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from collab_core.review import agreement as module
from collab_core.review.agreement import (
    CHANCE_IS_CERTAIN,
    NOTHING_SHARED,
    ONE_CATEGORY,
    agreement,
    cohen_kappa,
    krippendorff_alpha,
    percent_agreement,
)
from collab_core.review.labels import Label
from tests.collab_core.review.labelled import label


def test_examples() -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def _random_labels(seed: int, *, noise: float) -> tuple[np.ndarray, list[Label]]:
    """Return items x reviewers (NaN = none) and the same as labels."""
    rng = np.random.default_rng(seed)
    truth = rng.random(60) < rng.uniform(0.2, 0.9)
    table = np.where(rng.random((60, 4)) < noise, ~truth[:, None], truth[:, None]).astype(float)
    table[rng.random((60, 4)) < 0.3] = np.nan
    labels = [
        label(bool(table[i, j]), 1, step=i + 1, reviewer=f"r{j}", at=float(i))
        for i, j in zip(*np.nonzero(~np.isnan(table)), strict=True)
    ]
    return table, labels


@pytest.mark.parametrize("seed", range(25))
def test_alpha_and_kappa_are_those_of_independent_libraries(seed: int) -> None:
    table, labels = _random_labels(seed, noise=0.05 + 0.015 * seed)
    found = agreement(labels)
    wanted = krippendorff.alpha(reliability_data=table.T, level_of_measurement="nominal")
    assert found.alpha.value == pytest.approx(wanted)
    for pair, (a, b) in zip(found.pairs, combinations(range(4), 2), strict=True):
        both = ~np.isnan(table[:, a]) & ~np.isnan(table[:, b])
        assert (pair.first, pair.second) == (f"r{a}", f"r{b}")
        assert pair.kappa.value == pytest.approx(cohen_kappa_score(table[both, a], table[both, b]))
        assert pair.percent.value == pytest.approx(np.mean(table[both, a] == table[both, b]))
        assert pair.percent.items == both.sum()


def test_the_bootstrap_is_one_by_item() -> None:
    rng = np.random.default_rng(0)
    answers = [
        [bool(x) for x in (rng.random(3) < (0.9 if good else 0.2))] for good in rng.random(80) < 0.6
    ]
    figure = krippendorff_alpha(answers)
    again = []
    for _ in range(800):
        picked = [answers[i] for i in rng.integers(0, 80, 80)]
        data = np.array(picked, dtype=float).T
        again.append(krippendorff.alpha(reliability_data=data, level_of_measurement="nominal"))
    assert (figure.low, figure.high) == pytest.approx(np.quantile(again, [0.025, 0.975]), abs=0.035)


def test_agreement_of_a_hundred_thousand_items_needs_no_more_memory_than_of_ten() -> None:
    figure = krippendorff_alpha([[True, True], [False, True]] * 50_000)
    assert figure.items == 100_000
    assert figure.low < figure.value < figure.high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        (krippendorff_alpha([]), NOTHING_SHARED),
        (krippendorff_alpha([[True], [False]]), NOTHING_SHARED),
        (krippendorff_alpha([[True, True], [True, True]]), ONE_CATEGORY),
        (cohen_kappa([(True, True)] * 9), CHANCE_IS_CERTAIN),
        (cohen_kappa([]), NOTHING_SHARED),
        (percent_agreement([[True]]), NOTHING_SHARED),
    ],
)
def test_what_is_not_defined_says_why(figure: module.Figure, reason: str) -> None:
    assert (figure.value, figure.low, figure.reason) == (None, None, reason)


def test_full_agreement_has_a_percentage_and_no_alpha() -> None:
    found = agreement([label(True, 1), label(True, 1, reviewer="bob")])
    assert (found.percent.value, found.percent.low, found.percent.high) == (1.0, 1.0, 1.0)
    assert found.alpha.reason == ONE_CATEGORY


def test_a_figure_of_two_items_has_no_interval_it_cannot_have() -> None:
    figure = krippendorff_alpha([[True, True], [False, False]])
    assert (figure.value, figure.low) == (1.0, None)
    assert "too few" in figure.reason


def test_cannot_tell_and_decisions_are_no_ratings() -> None:
    found = agreement(
        [
            label(True, 1),
            label(None, 1, reviewer="bob"),
            label(False, 1, reviewer="eve", adjudicated=True),
        ]
    )
    assert (found.answers, found.unsure, found.shared_items) == (1, 1, 0)
    assert found.percent.reason == NOTHING_SHARED


def test_disagreements_are_listed_undecided_and_latest_first() -> None:
    several = [
        label(answer, 1, step=step, reviewer=who, at=float(step))
        for step, answers in enumerate(
            [(True, False), (True, True), (False, True), (True, False)], 1
        )
        for who, answer in zip(("ann", "bob"), answers, strict=True)
    ]
    several.append(label(False, 1, step=4, reviewer="eve", adjudicated=True, at=9.0))
    found = agreement(several).disagreements
    assert [(one.step, one.decided, one.decision) for one in found] == [
        (3, False, None),
        (1, False, None),
        (4, True, False),
    ]
    assert found[0].answers == {"ann": False, "bob": True}


def test_drift_compares_stretches_of_time() -> None:
    # they agree on the first ten steps and on half of the next ten
    several = [
        label(answer, 1, step=step, reviewer=who, at=float(step))
        for step in range(1, 21)
        for who, answer in (("ann", step % 2 == 0), ("bob", step % 2 == 0 or (step > 10)))
    ]
    early, late = agreement(several, windows=2).drift
    assert (early.percent.value, late.percent.value) == (1.0, 0.5)
    assert (early.alpha.value, early.start, early.end) == (1.0, 1.0, 10.0)
    assert (early.progress_share, late.progress_share) == (0.5, 0.75)
