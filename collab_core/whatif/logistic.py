"""Ridge logistic regressions, many at once: one for each set of weights on the same rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 25
_LIMIT = 30.0
"""Of a linear predictor: beyond it a probability is 0 or 1 in every sense."""


def sigmoid(x: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)).

    >>> [round(float(p), 3) for p in sigmoid(np.array([-1.0, 0.0]))]
    [0.269, 0.5]
    """
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -_LIMIT, _LIMIT))))


def fit(x: Floats, y: Floats, weights: Floats, *, ridge: float) -> Floats:
    """Return one row of coefficients for each row of ``weights`` (sets x rows of ``x``).

    The first column of ``x`` is the constant and is not penalised; the penalty is
    ``ridge / 2 * sum(coefficient squared)``. Newton's method.
    """
    sets, features = len(weights), x.shape[1]
    beta = np.zeros((sets, features))
    penalty = np.full(features, ridge)
    penalty[0] = 1e-3
    for _ in range(STEPS):
        p = sigmoid(beta @ x.T)
        gradient = (weights * (y - p)) @ x - beta * penalty
        curvature = weights * p * (1.0 - p)
        hessian = np.matmul(x.T[None, :, :] * curvature[:, None, :], x)
        hessian += np.diag(penalty)
        move = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        beta += np.clip(move, -5.0, 5.0)
        if float(np.abs(move).max()) < 1e-4:
            break
    return beta
