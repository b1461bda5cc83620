"""Finished runs of a small world in a workspace's database, and ready-made weights."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from collab_core import events as ev
from collab_core.learned.encoders import HashedEncoder
from collab_core.learned.store import (
    CalibrationPoint,
    EncoderUsed,
    Figure,
    Manifest,
    TrainedOn,
    ladder_used,
    now,
    save,
)
from tests.collab_core.learned import worlds
from tests.webapp.personas import Room
from webapp.learning.models import Training, Weights
from webapp.learning.weights import adopt
from webapp.runs.models import Run, Status
from webapp.runs.services import _insert
from webapp.tiers.models import Ladder


def plant_runs(room: Room, tasks: int = 24, *, ladder: Ladder | None = None) -> list[Run]:
    """Each task on the lowest and on the top tier; which one is right can be read off it."""
    ladder = ladder or room.ladder
    tiers = ladder.to_core().snapshot()
    found = []
    for number in range(tasks):
        question = worlds.question(number, hard=number % 2 == 1)
        for tier in (0, len(tiers) - 1):
            right = tier > 0 or number % 2 == 0
            log = worlds.run(
                question, [tier, tier], correct=right, ladder_=tiers, margins=(0.9, 0.2 + tier)
            )
            run = room.submit(question=question, ladder=ladder, strategies=[("small", {})])
            events: list[ev.AnyEvent] = [recorded.event for recorded in log[1:]]
            _insert(run.pk, 1, 1.0, events)
            Run.objects.filter(pk=run.pk).update(
                status=Status.FINISHED, next_seq=len(log), steps=2, outcome="correct" if right else "incorrect"
            )  # fmt: skip
            found.append(run)
    return found


def make_weights(
    room: Room, *, kind: str = "isotonic", name: str = "made", ladder: Ladder | None = None
) -> Weights:
    """Weights that nobody has trained, stored as if somebody had."""
    folder = Path(tempfile.mkdtemp())
    tiers = ladder_used((ladder or room.ladder).to_core().snapshot())
    manifest = Manifest(
        kind=kind,
        name=name,
        created=now(),
        encoder=EncoderUsed.of(HashedEncoder()),
        ladder=tiers,
        trained_on=TrainedOn(source="a test", digest="0" * 64, runs=2, tasks=1, simulated=True),
        label="the run ends right",
        seed=3,
        report={"auc": Figure(value=0.75, low=0.6, high=0.9, n=20), "brier": Figure(value=None)},
        calibration=(
            CalibrationPoint(threshold=0.1, large_share=0.9),
            CalibrationPoint(threshold=0.8, large_share=0.2),
        ),
        notes=("made with <script>alert(1)</script> the stand-in",),
    )
    save(folder / "made", manifest, {"x": np.arange(3, dtype=np.float64)})
    row = adopt(room.workspace, folder / "made", user=room.users["bob"])
    shutil.rmtree(folder)
    return row


def make_training(room: Room, **columns: object) -> Training:
    """A training as the database knows it, without any files."""
    fields = {"kind": "isotonic", "name": "try", "encoder": "hashed", "source": {"words": "1 run"}}
    return Training.objects.create(
        workspace=room.workspace, submitted_by=room.users["bob"], **(fields | columns)
    )
