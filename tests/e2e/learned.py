"""Trainings in every state and weights, as the database knows them; there are no files behind them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from webapp.learning.models import Training, TrainingStatus, Weights
from webapp.teams.models import User, Workspace

MANIFEST: dict[str, Any] = {
    "kind": "probe",
    "code_version": "0.1.0",
    "encoder": {"name": "hashed", "dim": 1024, "digest": "5" * 64, "stand_in": True},
    "ladder": [{"name": "small", "model": "ddv2-7b"}, {"name": "large", "model": "ddv2-38b"}],
    "trained_on": {"runs": 60, "tasks": 30, "splits": {"train": 200, "held_out": 60}},
    "label": "need of help: the run ends wrong",
    "seed": 3,
    "options": {"head": "logistic", "strength": 1.0},
    "report": {
        "auc": {"value": 0.81, "low": 0.64, "high": 0.93, "n": 60},
        "brier": {"value": 0.12, "low": None, "high": None, "n": 60},
    },
    "calibration": [{"threshold": t / 50, "large_share": 1 - t / 50} for t in range(51)],
    "notes": ["Made with the hashed bag-of-words stand-in, not with a sentence encoder."],
}


def plant_learned(room: Workspace, *, name: str, by: User, hostile: str = "") -> dict[str, str]:
    """Return the UUIDs of what was planted by what it shows; ``hostile`` goes wherever text does."""
    manifest = MANIFEST | {"label": hostile or MANIFEST["label"], "notes": [hostile or "A note."]}
    weights = Weights.objects.create(
        workspace=room, reference=f"planted-{room.pk}", name=name[:80], kind="probe",
        digest="7" * 32, stand_in=True, simulated=True, manifest=manifest, created_by=by,
    )  # fmt: skip
    found = {"weights": str(weights.uuid)}
    for status in TrainingStatus.values:
        training = Training.objects.create(
            workspace=room, submitted_by=by, kind="probe", name=name[:80], encoder="hashed",
            source={"words": hostile or "60 finished runs on ddv2-7b-38b"}, status=status,
            fraction=0.4, message=(hostile or "Fitting the head")[:300],
            error={"message": hostile or "Only one class.", "hint": hostile or "Run more tasks."},
            weights=weights if status == "finished" else None,
        )  # fmt: skip
        found[f"training-{status}"] = str(training.uuid)
    _leave_alone()
    return found


def _leave_alone() -> None:
    """No worker shall take the waiting and running ones."""
    now = timezone.now()
    Training.objects.alive().update(enqueued_at=now, lease_until=now + timedelta(seconds=1_800))
