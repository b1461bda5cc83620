from __future__ import annotations

import numpy as np
import pytest

from collab_core.learned.cascade import Cascade, run_cascade, search


def cascade() -> Cascade:
    """Four queries on two tiers (cost 1 and 10); small is right on the first two, large always.

    By hand, with threshold t: accept small where score > t.
    """
    return Cascade(
        scores=np.array([[0.9], [0.7], [0.4], [0.2]]),
        correct=np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]),
        cost=np.array([[1.0, 10.0]] * 4),
    )


def test_a_query_that_climbs_pays_for_both() -> None:
    outcome = run_cascade(cascade(), np.array([0.5]))
    # accepted: 1, 1; climbed: 1 + 10 twice
    assert outcome == (1.0, (1 + 1 + 11 + 11) / 4, 0.5)


def test_the_search_takes_the_cheapest_of_the_most_accurate() -> None:
    found = search(cascade(), budget=100.0)
    assert found is not None
    assert 0.4 < found[0] < 0.7
    assert run_cascade(cascade(), found).accuracy == 1.0


@pytest.mark.parametrize(("budget", "accuracy"), [(1.0, 0.5), (3.5, 0.75), (6.0, 1.0)])
def test_the_budget_bounds_the_mean_cost(budget: float, accuracy: float) -> None:
    found = search(cascade(), budget=budget)
    assert found is not None
    outcome = run_cascade(cascade(), found)
    assert outcome.accuracy == accuracy
    assert outcome.mean_cost <= budget


def test_no_threshold_fits_a_budget_below_the_lowest_tier() -> None:
    assert search(cascade(), budget=0.5) is None


def test_three_tiers_have_a_threshold_each() -> None:
    # the middle tier is right on the third query, so that only the last one needs the top
    three = Cascade(
        scores=np.array([[0.9, 0.9], [0.8, 0.9], [0.3, 0.8], [0.2, 0.1]]),
        correct=np.array([[1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]], dtype=float),
        cost=np.array([[1.0, 3.0, 10.0]] * 4),
    )
    found = search(three, budget=100.0)
    assert found is not None
    # 1, 1, 1 + 3, 1 + 3 + 10
    assert run_cascade(three, found) == (1.0, 20 / 4, 0.25)
    assert 0.3 < found[0] < 0.8
    assert 0.1 < found[1] < 0.8
