"""The cheapest honest learned rival: a linear probe on the embedded trajectory.

Source: the ridge variant of MTRouter (arXiv 2604.23530) and the logistic router of TwinRouterBench
(arXiv 2605.18859), reduced to one question: does the lowest tier need help now?
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from collab_core.learned.dataset import (
    Examples,
    Place,
    Row,
    examples,
    need_both,
    places,
    scored,
    split_tasks,
)
from collab_core.learned.evaluation import NOT_INDEPENDENT, held_out_report, large_when_at_least
from collab_core.learned.heads import encode_all, logistic, ridge
from collab_core.learned.logs import Logs
from collab_core.learned.rendering import trajectory
from collab_core.learned.scorers import PROBE
from collab_core.learned.trainer import Fitted, Job, Trainer, TrainerOptions

Target = Literal["outcome", "progress"]


class ProbeOptions(TrainerOptions):
    """What the probe predicts, and with which head."""

    head: Literal["logistic", "ridge"] = Field(
        default="logistic",
        title="Head",
        description="logistic: a probability. ridge: least squares, not bound to 0..1.",
    )
    target: Target = Field(
        default="outcome",
        title="Predicts",
        description="outcome: the run ends wrong. progress: the coming step makes no progress, by "
        "the agent's own verdict.",
    )
    lowest_only: bool = Field(
        default=True,
        title="Lowest tier's steps only",
        description="Learn from steps that the lowest tier ran: what happens if it goes on.",
    )
    strength: float = Field(
        default=1.0, gt=0.0, le=1e6, title="Regularisation", description="L2; larger = simpler."
    )


LABELS: dict[Target, str] = {
    "outcome": "need of help: the run ends wrong (outcome of the whole run, given to each step)",
    "progress": "need of help: the coming step makes no progress (the agent's own verdict)",
}


def fit(job: Job) -> Fitted:
    """Train on logged runs."""
    options: ProbeOptions = job.options
    logs = job.source.need_logs()
    logs = scored(logs) if options.target == "outcome" else logs
    data = _examples(logs, options)
    splits = split_tasks(data.groups, seed=job.seed)
    parts = [splits.of(data, part) for part in ("train", "calibration", "held_out")]
    train, calibration, held_out = parts
    need_both(train, positive="needs help", negative="goes well")
    texts = [text for part in parts for text in part.texts]
    vectors = encode_all(job.encoding(), texts, job.progress, between=(0.05, 0.8))
    ends = (len(train), len(train) + len(calibration))
    job.progress(0.85, "Fitting the probe")
    fitting = logistic if options.head == "logistic" else ridge
    head = fitting(vectors[: ends[0]], train.targets, strength=options.strength)
    score = head.probability if options.head == "logistic" else head.raw
    return Fitted(
        tensors={"weights": head.weights[None, :], "biases": np.array([head.bias])},
        label=LABELS[options.target],
        report=held_out_report(
            score(vectors[ends[1] :]), held_out.targets, held_out.groups, seed=job.seed
        ),
        calibration=large_when_at_least(score(vectors[ends[0] : ends[1]])),
        splits=splits.sizes(data),
        tasks=len(splits.part_of),
        notes=(NOT_INDEPENDENT,),
    )


def _examples(logs: Logs, options: ProbeOptions) -> Examples:
    rows = [
        Row(trajectory(place.run.task, place.before), target, place.run.task_key, tier)
        for place in places(logs)
        if (target := _target(place, options.target)) is not None
        and ((tier := place.record.decision.tier) == 0 or not options.lowest_only)
    ]
    return examples(rows)


def _target(place: Place, target: Target) -> float | None:
    if target == "outcome":
        return 1.0 - float(bool(place.run.correct))
    indicator = place.record.check.indicator
    return None if indicator is None else 1.0 - indicator


TRAINER = Trainer(
    kind=PROBE,
    title="Probe",
    summary="A logistic or ridge probe on the embedded trajectory: does the lowest tier need help?",
    options=ProbeOptions,
    fit=fit,
)
