from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core import metrics


def test_eq5_by_hand() -> None:
    # 1->1, 1->0, 0->0, 0->1 | 0->0 : 2 switches of 5 moves
    assert metrics.switching_ratio([[1, 1, 0, 0, 1], [0, 0], [1]]) == pytest.approx(40.0)


def test_unknown_is_none_not_zero() -> None:
    assert metrics.switching_ratio([[1]]) is None
    assert metrics.large_step_share([[]], top=1) is None
    assert metrics.large_token_ratio([0, 0]) is None
    assert metrics.speedup(0.0, 1.0) is None
    assert metrics.wilson(0, 0) is None


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion(case: tuple[int, int]) -> None:
    successes, trials = case
    interval = metrics.wilson(successes, trials)
    assert interval is not None
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1


def test_bootstrap_of_a_constant_ratio_is_that_ratio() -> None:
    interval = metrics.bootstrap_speedup([3.0, 6.0, 9.0], [2.0, 4.0, 6.0])
    assert interval == pytest.approx((1.5, 1.5))


def test_bootstrap_needs_pairs() -> None:
    with pytest.raises(ValueError, match="2 baseline"):
        metrics.bootstrap_speedup([1.0, 2.0], [1.0])
