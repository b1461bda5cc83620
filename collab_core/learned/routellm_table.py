"""Thresholds for a published RouteLLM classifier: its scores on our own steps, nothing is trained.

Source: RouteLLM's calibration (arXiv 2406.18665; its code takes the (1 - share) quantile of stored win
rates). A published router is out of distribution on an agent's steps: look at the report.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from collab_core.errors import InvalidInput
from collab_core.learned.base import Scorer
from collab_core.learned.dataset import Splits, places, split_tasks
from collab_core.learned.evaluation import NOT_INDEPENDENT, held_out_report, large_when_at_least
from collab_core.learned.logs import Logs
from collab_core.learned.rendering import Reading, render
from collab_core.learned.routellm_mf import contests_of
from collab_core.learned.scorers import ROUTELLM_TABLE
from collab_core.learned.store import Figure
from collab_core.learned.trainer import Fitted, Job, Progress, Trainer, TrainerOptions

Numbers = NDArray[np.float64]
BATCH = 64


class TableOptions(TrainerOptions):
    """What the classifier reads."""

    reading: Reading = Field(
        default="last_message",
        title="Reading",
        description="What the router reads of a step: the last message (as published), or a bounded "
        "rendering of the trajectory (adapted).",
    )


def fit(job: Job) -> Fitted:
    """Score the logs' steps; the held-out report needs scored runs on single tiers, the table none."""
    options: TableOptions = job.options
    logs, classifier = job.source.need_logs(), job.source.classifier
    if classifier is None:
        raise InvalidInput(
            "This calibrates a published classifier.",
            field="classifier",
            hint="Name its folder with --classifier.",
        )
    splits = split_tasks([run.task_key for run in logs.runs], seed=job.seed)
    texts = [
        render(place.run.task, place.before, options.reading)
        for place in places(logs)
        if splits.part_of[place.run.task_key] == "calibration"
    ]
    scores = _scores(classifier, texts, job.progress, between=(0.05, 0.7))
    report, judged = _report(job, logs, splits, classifier, options)
    return Fitted(
        tensors={"scores": np.sort(scores)},
        label="P(the top tier wins over the lowest), as published",
        report=report,
        calibration=large_when_at_least(scores),
        splits={"train": 0, "calibration": len(texts), "held_out": judged},
        tasks=len(splits.part_of),
        notes=("The classifier was not trained here, only its thresholds.", NOT_INDEPENDENT),
        learned={"classifier": classifier.name, "classifier_digest": classifier.digest},
    )


def _report(
    job: Job, logs: Logs, splits: Splits, classifier: Scorer, options: TableOptions
) -> tuple[dict[str, Figure], int]:
    top = len(logs.ladder) - 1
    contests = [
        contest
        for contest in contests_of(logs, reading=options.reading, prefixes=True)
        if (contest.a, contest.b) == (top, 0) and splits.part_of[contest.group] == "held_out"
    ]
    scores = _scores(classifier, [c.text for c in contests], job.progress, between=(0.7, 0.95))
    needed = np.array([float(c.share > 0.5) for c in contests])
    groups = [contest.group for contest in contests]
    return held_out_report(scores, needed, groups, seed=job.seed), len(contests)


def _scores(
    classifier: Scorer, texts: list[str], progress: Progress, *, between: tuple[float, float]
) -> Numbers:
    low, high = between
    found: list[float] = []
    for start in range(0, len(texts), BATCH):
        progress(low + (high - low) * start / len(texts), f"Scoring {start} of {len(texts)} steps")
        found += classifier.score(tuple(texts[start : start + BATCH]))
    return np.array(found, dtype=np.float64)


TRAINER = Trainer(
    kind=ROUTELLM_TABLE,
    title="RouteLLM, thresholds of a published classifier",
    summary="The table from a large-step share to a threshold for a classifier from elsewhere.",
    options=TableOptions,
    fit=fit,
    needs_encoder=False,
    needs_classifier=True,
)
