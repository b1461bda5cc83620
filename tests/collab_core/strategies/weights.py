"""Weights for the strategies that load them: each maker writes tiny ones and gives the parameters.

A strategy that needs weights adds its maker to ``MAKERS``; the tests over all strategies then run it.
The numbers are drawn, so that a run sees both sides of every threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from collab_core.domain import Ladder
from collab_core.learned.progress_model import AS_OFTEN_KEY, CALIBRATED, FEATURES_KEY, NAMES
from tests.collab_core.policies.routes import DIM, store_weights

Maker = Callable[[Path, Ladder], dict[str, Any]]
"""Writes weights for the ladder into a folder; returns parameters that name them inside it."""


def _drawn(*shape: int) -> np.ndarray[Any, Any]:
    return 4.0 * np.random.default_rng(7).standard_normal(shape)


def _routellm(folder: Path, rungs: Ladder) -> dict[str, Any]:
    fields = {
        "models": [[0.0], [1.0]],
        "projection": _drawn(DIM, 1),
        "bias": [0.0],
        "classifier": [1.0],
    }
    options = {"reading": "trajectory"}
    store_weights(folder / "w", "routellm-mf", fields, rungs=rungs, options=options)
    return {"weights": "w", "choose_by": "threshold", "threshold": 0.5, "reading": "trajectory"}


def _frugalgpt(folder: Path, rungs: Ladder) -> dict[str, Any]:
    chained = len(rungs.tiers) - 1
    fields = {
        "weights": _drawn(chained, DIM),
        "biases": [0.0] * chained,
        "quantiles": [list(np.linspace(0.0, 1.0, 101))] * chained,
    }
    store_weights(folder / "w", "frugalgpt", fields, rungs=rungs)
    return {"weights": "w"}


def _probe(folder: Path, rungs: Ladder) -> dict[str, Any]:
    fields = {"weights": _drawn(1, DIM), "biases": [0.0]}
    store_weights(folder / "w", "probe", fields, rungs=rungs, options={"head": "logistic"})
    return {"weights": "w", "choose_by": "threshold", "threshold": 0.5}


def _calibrated(folder: Path, rungs: Ladder) -> dict[str, Any]:
    fields = {
        "weights": _drawn(len(NAMES)),
        "means": [0.5] * len(NAMES),
        "scales": [1.0] * len(NAMES),
        "bias": [0.0],
    }
    options = {FEATURES_KEY: list(NAMES), AS_OFTEN_KEY: 0.5}
    store_weights(folder / "w", CALIBRATED, fields, rungs=rungs, options=options)
    return {"weights": "w"}


MAKERS: dict[str, Maker] = {
    "routellm": _routellm,
    "frugalgpt": _frugalgpt,
    "probe": _probe,
    "agentcollab-calibrated": _calibrated,
}
