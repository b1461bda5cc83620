"""What a training learns from: finished runs of its workspace, or an uploaded log."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from webapp.learning.models import Training
from webapp.runs import reads
from webapp.runs.models import Collection, Run, Status
from webapp.teams.models import Workspace
from webapp.tiers.models import Ladder

MAX_RUNS = 5_000
MAX_UPLOAD_BYTES = 64 * 1024**2
UPLOAD = "upload.jsonl"


class RunSource(NamedTuple):
    """A choice of runs, fixed when the training is submitted."""

    ids: list[int]
    words: str


def work_folder(training: Training) -> Path:
    """Return where a training keeps its log files and its unfinished weights."""
    return Path(settings.DATA_DIR) / "trainings" / str(training.uuid)


def finished_runs(
    workspace: Workspace,
    ladder: Ladder,
    *,
    collection: Collection | None = None,
    most: int = MAX_RUNS,
) -> list[int]:
    """Return the ids of the newest finished runs on exactly the tiers that the ladder has now."""
    tiers = [(rung.tier_name, rung.endpoint.model) for rung in ladder.ordered_rungs()]
    runs = Run.objects.filter(workspace=workspace, status=Status.FINISHED, ladder=ladder)
    if collection is not None:
        runs = runs.filter(collection=collection)
    found = []
    for pk, used in runs.order_by("-id").values_list("pk", "tiers").iterator(chunk_size=500):
        if [(tier["name"], tier["model"]) for tier in used] == tiers:
            found.append(pk)
            if len(found) == most:
                break
    return found


def write_logs(training: Training, folder: Path) -> int:
    """Write the log of each of the training's runs as ``<uuid>.jsonl``; return how many.

    Runs of other workspaces are never read, whatever the stored ids say.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ids: Iterable[int] = training.source.get("runs", [])
    runs = Run.objects.filter(pk__in=list(ids), workspace_id=training.workspace_id)
    written = 0
    for run in runs.order_by("pk").iterator(chunk_size=100):
        with (folder / f"{run.uuid}.jsonl").open("wb") as file:
            file.writelines(reads.log_lines(run))
        written += 1
    return written
