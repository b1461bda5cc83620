"""What the page of strategies shows of learned parts: trainers, weights, trainings."""

from __future__ import annotations

from typing import Any, NamedTuple

from collab_core.learned.trainer import Trainer
from collab_core.learned.training import TRAINERS
from collab_core.strategies.base import Strategy
from webapp.learning.models import Training, Weights
from webapp.learning.reports import strategies_for
from webapp.teams.models import Workspace

TRAININGS_SHOWN = 10
WEIGHTS_SHOWN = 100


class Trainable(NamedTuple):
    trainer: Trainer
    strategies: list[Strategy]


def learned(workspace: Workspace) -> dict[str, Any]:
    """Return the context of ``learning/_learned.html``."""
    weights = Weights.objects.filter(workspace=workspace).order_by("-id")
    trainings = Training.objects.filter(workspace=workspace).order_by("-id")
    return {
        "trainables": [Trainable(one, strategies_for(one.kind)) for one in TRAINERS.values()],
        "all_weights": list(weights[:WEIGHTS_SHOWN]),
        "trainings": list(trainings[:TRAININGS_SHOWN]),
    }
