from __future__ import annotations

import math

import pytest

from collab_core.learned.confidence import ConfidenceRules, ConfidenceScale


def test_the_first_state_of_a_model_counts_by_its_mean_token_probability() -> None:
    assert ConfidenceScale(1).adjusted(0, math.log(0.5)) == pytest.approx(0.5)


def test_a_model_is_judged_more_and_more_on_its_own_scale() -> None:
    scale = ConfidenceScale(1, ConfidenceRules(low_percentile=0, high_percentile=100, half_trust=2))
    for value in (-1.0, -0.2):
        scale.adjusted(0, value)
    # two states, half trust: w = 1/2; own scale (-0.4 + 1) / 0.8 = 0.75; exp(-0.4) = 0.67032
    assert scale.adjusted(0, -0.4) == pytest.approx(0.5 * 0.75 + 0.5 * 0.67032, abs=1e-5)


def test_models_with_other_scales_become_comparable() -> None:
    scale = ConfidenceScale(2, ConfidenceRules(half_trust=1))
    for step in range(200):
        scale.adjusted(0, -0.01 * (step % 10))
        scale.adjusted(1, -1.0 * (step % 10))
    assert scale.adjusted(0, -0.045) == pytest.approx(scale.adjusted(1, -4.5), abs=0.02)


def test_confidence_stays_in_range_and_grows_with_the_log_probability() -> None:
    scale = ConfidenceScale(1)
    for value in (-3.0, -2.0, -1.0, -0.5):
        scale.adjusted(0, value)
    found = [scale.adjusted(0, value) for value in (-9.0, -2.5, -0.7, 0.0)]
    assert found == sorted(found)
    assert 0.0 <= found[0] <= found[-1] <= 1.0


@pytest.mark.parametrize("value", [None, float("nan"), float("-inf")])
def test_without_log_probabilities_costs_count_in_full_and_that_is_counted(
    value: float | None,
) -> None:
    scale = ConfidenceScale(1)
    assert scale.adjusted(0, value) == 1.0
    assert scale.unknown == 1


def test_old_states_are_forgotten() -> None:
    short = ConfidenceScale(1, ConfidenceRules(window=2, low_percentile=0, high_percentile=100))
    for value in (-9.0, -1.0, 0.0):
        short.adjusted(0, value)
    # only -1 and 0 are left: (-0.25 + 1) / 1 = 0.75, weight 2/22
    wanted = 20 / 22 * math.exp(-0.25) + 2 / 22 * 0.75
    assert short.adjusted(0, -0.25) == pytest.approx(wanted)
