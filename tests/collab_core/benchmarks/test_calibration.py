from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.benchmarks.calibration import calibration_error


def test_bins_are_weighted_by_their_answers() -> None:
    # 0..0.2: 0.1, 0.1 -> 0 right, mean 0.1: distance 0.1, 2 of 5
    # 0.2..0.4: 0.2 -> right, distance 0.8, 1 of 5 (a bin begins with its lower end)
    # 0.8..1: 0.8, 1.0 -> 1 of 2 right, mean 0.9: distance 0.4, 2 of 5
    confidences = [0.1, 0.1, 0.2, 0.8, 1.0]
    correct = [False, False, True, True, False]
    expected = (2 * 0.1 + 1 * 0.8 + 2 * 0.4) / 5
    assert calibration_error(confidences, correct) == pytest.approx(expected)


def test_one_bin_is_the_distance_of_the_means() -> None:
    assert calibration_error([0.9, 0.1], [True, True], bins=1) == pytest.approx(0.5)


def test_who_is_always_sure_and_right_is_calibrated() -> None:
    assert calibration_error([1.0, 1.0], [True, True]) == 0.0


def test_without_answers_nothing_is_known() -> None:
    assert calibration_error([], []) is None


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_what_is_no_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"not in 0\.\.1"):
        calibration_error([confidence], [True])


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1))
def test_it_lies_between_0_and_1(pairs: list[tuple[int, bool]]) -> None:
    error = calibration_error([c / 100 for c, _ in pairs], [right for _, right in pairs])
    assert error is not None
    assert 0.0 <= error <= 1.0
