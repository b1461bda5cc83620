from __future__ import annotations

import numpy as np
import pytest

from collab_core.experiments.resampling import distinct, percentiles, ratio, resampled_sums


@pytest.mark.parametrize("tasks", [1, 7, 2_500])
@pytest.mark.parametrize("samples", [1, 260])
def test_every_sample_has_as_many_tasks_as_there_are(tasks: int, samples: int) -> None:
    drawn = resampled_sums(np.ones((2, tasks)), samples=samples)
    assert drawn.shape == (2, samples)
    assert (drawn == tasks).all()


def test_samples_differ_and_are_the_same_every_time() -> None:
    sums = np.arange(20.0)[None, :]
    first = resampled_sums(sums, samples=600)
    assert len(np.unique(first)) > 100
    assert (resampled_sums(sums, samples=600) == first).all()
    # fewer samples are the first of many
    assert (resampled_sums(sums, samples=300) == first[:, :300]).all()
    assert (resampled_sums(sums, samples=600, seed=1) != first).any()


def test_the_mean_of_many_samples_is_the_sum() -> None:
    sums = np.array([[1.0, 2.0, 30.0, 4.0, 5.0]])
    drawn = resampled_sums(sums, samples=8_000)
    assert drawn.mean() == pytest.approx(42.0, rel=0.02)
    # the variance of a sum of n draws is n times that of one draw
    assert drawn.std() == pytest.approx(np.sqrt(5) * sums.std(), rel=0.03)


def test_percentiles_leave_out_what_does_not_exist() -> None:
    random = np.random.default_rng(0)
    resampled = random.random((3, 501))
    resampled[1, ::3] = np.nan
    resampled[2] = np.nan
    low, high = percentiles(resampled, level=0.9)
    places = [0.05, 0.95]
    assert (low[0], high[0]) == pytest.approx(tuple(np.quantile(resampled[0], places)))
    assert (low[1], high[1]) == pytest.approx(tuple(np.nanquantile(resampled[1], places)))
    assert np.isnan([low[2], high[2]]).all()


def test_nothing_over_nothing_is_unknown() -> None:
    found = ratio(np.array([6.0, 1.0]), np.array([3.0, 0.0]))
    assert found[0] == 2.0
    assert np.isnan(found[1])


def test_equal_rows_are_kept_once() -> None:
    rows = [np.array([1.0, 2.0]), np.array([0.0, 0.0]), np.array([1.0, 2.0])]
    kept, place = distinct(rows)
    assert kept.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    assert place.tolist() == [0, 1, 0]
