from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from collab_core.whatif import logistic
from collab_core.whatif.logistic import fit


def test_the_example_holds() -> None:
    assert doctest.testmod(logistic).failed == 0
    assert doctest.testmod(logistic).attempted > 0


def test_without_a_penalty_the_coefficients_are_log_odds() -> None:
    x = np.asarray([[1.0, 0.0]] * 4 + [[1.0, 1.0]] * 4)
    y = np.asarray([1.0, 0, 0, 0, 1, 1, 1, 0])
    (beta,) = fit(x, y, np.ones((1, 8)), ridge=1e-9)
    # by hand: odds 1/3 and 3
    assert beta[0] == pytest.approx(math.log(1 / 3), abs=1e-2)
    assert beta.sum() == pytest.approx(math.log(3), abs=1e-2)


def test_a_weight_of_two_is_a_row_twice() -> None:
    x = np.column_stack([np.ones(4), [0.0, 1.0, 2.0, 3.0]])
    y = np.asarray([0.0, 1.0, 0.0, 1.0])
    weighted = fit(x, y, np.asarray([[2.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]]), ridge=1.0)
    rows = [0, 0, 1, 2]
    assert weighted[0] == pytest.approx(fit(x[rows], y[rows], np.ones((1, 4)), ridge=1.0)[0])


def test_separable_rows_stay_finite() -> None:
    x = np.column_stack([np.ones(4), [0.0, 0.0, 1.0, 1.0]])
    assert np.isfinite(fit(x, np.asarray([0.0, 0.0, 1.0, 1.0]), np.ones((1, 4)), ridge=1.0)).all()
