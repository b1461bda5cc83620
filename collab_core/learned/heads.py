"""Small heads on frozen vectors: fitted with scikit-learn, kept as plain numbers.

scikit-learn and scipy take a second to import, here and in the other trainers: only who trains pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collab_core.errors import InvalidInput
from collab_core.learned.encoders import Encoder
from collab_core.learned.trainer import Progress

Numbers = NDArray[np.float64]
BATCH = 256
MAX_EXAMPLES = 100_000


class Head(NamedTuple):
    """A linear function of a vector: ``vector @ weights + bias``."""

    weights: Numbers
    bias: float

    def raw(self, vectors: NDArray[np.float32]) -> Numbers:
        return np.asarray(vectors.astype(np.float64) @ self.weights + self.bias)

    def probability(self, vectors: NDArray[np.float32]) -> Numbers:
        return sigmoid(self.raw(vectors))


def sigmoid(x: Numbers) -> Numbers:
    """Return 1 / (1 + e^-x), without overflow.

    >>> sigmoid(np.array([0.0, -1e4, 1e4])).tolist()
    [0.5, 0.0, 1.0]
    """
    return np.asarray(np.exp(-np.logaddexp(0.0, -x)))


def logistic(vectors: NDArray[np.float32], targets: Numbers, *, strength: float) -> Head:
    """Return the L2-regularised logistic regression; ``strength`` = the inverse of C, at least 0."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - see above

    model = LogisticRegression(C=1.0 / max(strength, 1e-9), max_iter=2_000)
    model.fit(vectors, targets > 0.5)
    return Head(np.asarray(model.coef_[0], dtype=np.float64), float(model.intercept_[0]))


def ridge(vectors: NDArray[np.float32], targets: Numbers, *, strength: float) -> Head:
    """Return the ridge regression on targets 0..1."""
    from sklearn.linear_model import Ridge  # noqa: PLC0415 - see above

    model = Ridge(alpha=strength)
    model.fit(vectors.astype(np.float64), targets)
    return Head(np.asarray(model.coef_, dtype=np.float64).reshape(-1), float(model.intercept_))


def encode_all(
    encoder: Encoder,
    texts: Sequence[str],
    progress: Progress,
    *,
    between: tuple[float, float],
) -> NDArray[np.float32]:
    """Return the vectors of all texts, each different text encoded once.

    Raises:
        InvalidInput: there are more than 100,000 different texts.
    """
    distinct = list(dict.fromkeys(texts))
    if len(distinct) > MAX_EXAMPLES:
        raise InvalidInput(
            f"{len(distinct)} different texts are more than {MAX_EXAMPLES}.",
            field="logs",
            hint="Train on fewer runs.",
        )
    low, high = between
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(distinct), BATCH):
        share = start / max(1, len(distinct))
        progress(low + (high - low) * share, f"Encoding {start} of {len(distinct)} texts")
        rows.append(encoder.encode(distinct[start : start + BATCH]))
    if not rows:
        return np.zeros((0, encoder.dim), dtype=np.float32)
    place = {text: number for number, text in enumerate(distinct)}
    return np.asarray(np.concatenate(rows)[[place[text] for text in texts]])
