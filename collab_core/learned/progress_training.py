"""Learning P(progress) from people's labels: weights for ``agentcollab-calibrated``.

Labels are dear, so none is set aside: the groups (tasks, or runs where there are few tasks) are dealt
into folds, the report is made of what a model trained on the other folds says of each fold, and the
weights that are kept are trained on all of them.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from collab_core.domain import StepRecord
from collab_core.errors import InvalidInput
from collab_core.learned.evidence import Tracker
from collab_core.learned.logs import LoggedRun, Logs
from collab_core.learned.progress_model import (
    AS_OFTEN_KEY,
    CALIBRATED,
    FEATURES_KEY,
    LOGPROB,
    NAMES,
    ProgressModel,
    features,
)
from collab_core.learned.progress_report import Judged, as_often_threshold, figures, points, tables
from collab_core.learned.trainer import Fitted, Job, Trainer, TrainerOptions
from collab_core.review.labels import Label
from collab_core.review.settle import settle

Numbers = NDArray[np.float64]

LEAST_OF_EACH = 10
"""Labels "progress" and labels "no progress"; below, a fold may have none of a kind."""
LEAST_TASKS = 5
LEAST_RUNS = 5
FEW_FALSE = 10
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)


class CalibratedOptions(TrainerOptions):
    """How the model is fitted."""

    strength: float = Field(
        default=1.0, gt=0.0, le=1e6, title="Regularisation", description="L2; larger = simpler."
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none",
        title="Class weights",
        description="none: probabilities as they are. balanced: both answers weigh the same in "
        "sum, which sharpens rare ones and bends the probabilities.",
    )
    sampling_weights: bool = Field(
        default=True,
        title="Sampling weights",
        description="Weigh each label with one over its probability of being drawn, so that the "
        "model is of all steps, not of those drawn.",
    )
    folds: int = Field(
        default=5, ge=2, le=20, title="Folds", description="Parts of the cross-fitted report."
    )


@dataclass(frozen=True, kw_only=True)
class _Data:
    rows: Numbers
    logprob_known: NDArray[np.bool_]
    targets: Numbers
    """1 = a person says it made progress."""
    weights: Numbers
    """One over the probability of being drawn; mean 1."""
    verdicts: Numbers
    """1 or 0; NaN = no usable one."""
    heard: NDArray[np.bool_]
    """Not of a warm-up, whose verdicts count for nothing."""
    tasks: tuple[str, ...]
    runs: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.targets)


def fit(job: Job) -> Fitted:
    """Train on the labelled steps of logged runs."""
    options: CalibratedOptions = job.options
    labels = _settled(job.source.labels)
    job.progress(0.1, "Reading the labelled steps")
    data, notes = _data(job.source.need_logs(), labels)
    _need_enough(data)
    split_by = "task" if len(set(data.tasks)) >= LEAST_TASKS else "run"
    groups = data.tasks if split_by == "task" else data.runs
    fold_of = _folds(groups, options.folds, seed=job.seed)
    job.progress(0.3, "Fitting and judging fold by fold")
    judged = Judged(
        probability=_cross_fitted(data, fold_of, options),
        progress=data.targets,
        weights=data.weights if options.sampling_weights else np.ones(len(data)),
        verdicts=data.verdicts,
        groups=groups,
    )
    heard = judged.only(data.heard if data.heard.any() else ~data.heard)
    job.progress(0.7, "Fitting on all labels")
    model = _fitted(data, np.ones(len(data), dtype=bool), options)
    return Fitted(
        tensors=model.tensors(),
        label="P(the step moved the task meaningfully forward), by people's labels",
        report=figures(judged, seed=job.seed),
        calibration=points(heard),
        splits={"cross_fitted": len(data)},
        split_by=split_by,
        tasks=len(set(data.tasks)),
        run_ids=sorted(set(data.runs)),
        notes=(*notes, *_warnings(judged)),
        tables=tables(judged, heard, model),
        learned={FEATURES_KEY: list(NAMES), AS_OFTEN_KEY: as_often_threshold(heard)},
    )


def _settled(labels: Sequence[Label]) -> dict[UUID, dict[int, Label]]:
    if not labels:
        raise InvalidInput(
            "This trainer learns from people's labels.",
            field="labels",
            hint="Give --labels with an exported label set (.jsonl or .csv), or choose one.",
        )
    found: dict[UUID, dict[int, Label]] = defaultdict(dict)
    for label in settle(labels):
        found[label.run_id].setdefault(label.step, label)
    return found


def _data(logs: Logs, labels: dict[UUID, dict[int, Label]]) -> tuple[_Data, list[str]]:
    kept: list[tuple[Numbers, bool, Label, LoggedRun, StepRecord]] = []
    left_out: Counter[str] = Counter()
    matched = 0
    for run in logs.runs:
        own = labels.get(_uuid_of(run), {})
        matched += bool(own)
        for record, row, last in _steps(run):
            label = own.get(record.index)
            if label is None:
                continue
            if label.made_progress is None:
                left_out["nobody could tell or reviewers were split"] += 1
            elif last:
                left_out["it is its agent's last step, after which nothing is decided"] += 1
            else:
                kept.append((row, record.mean_logprob is not None, label, run, record))
    if not matched:
        raise InvalidInput(
            f"None of the {len(logs.runs)} runs is one of the {len(labels)} labelled ones.",
            field="labels",
            hint="A log file must be named after its run, <run id>.jsonl, as a workspace writes it.",
        )
    said = "; ".join(f"{count}: {why}" for why, count in sorted(left_out.items()))
    notes = [f"Labelled steps left out: {said}."] if said else []
    sets = {label.label_set for _, _, label, _, _ in kept}
    if len(sets) > 1:
        notes.append(f"Labels of {len(sets)} label sets are pooled; their draws may differ.")
    weights = np.array([1.0 / label.probability for _, _, label, _, _ in kept])
    return (
        _Data(
            rows=np.array([row for row, *_ in kept]).reshape(len(kept), len(NAMES)),
            logprob_known=np.array([known for _, known, *_ in kept], dtype=bool),
            targets=np.array([float(bool(one.made_progress)) for _, _, one, _, _ in kept]),
            weights=weights / weights.mean() if kept else weights,
            verdicts=np.array([_number(record.check.indicator) for *_, record in kept]),
            heard=np.array([record.decision.reason != "warm_up" for *_, record in kept]),
            tasks=tuple(run.task_key for *_, run, _ in kept),
            runs=tuple(run.run_id for *_, run, _ in kept),
        ),
        notes,
    )


def _number(indicator: int | None) -> float:
    return float("nan") if indicator is None else float(indicator)


def _uuid_of(run: LoggedRun) -> UUID:
    match = _UUID.search(run.run_id)
    return UUID(match.group()) if match else UUID(int=0)


def _steps(run: LoggedRun) -> Iterator[tuple[StepRecord, Numbers, bool]]:
    for branch in run.branches:
        tracker = Tracker()
        for at, step in enumerate(branch, start=1):
            row = features(step.record, tracker.add(step.record))
            yield step.record, row, at == len(branch) and not step.record.tool_name


def _need_enough(data: _Data) -> None:
    yes = int(data.targets.sum())
    no = len(data) - yes
    if min(yes, no) < LEAST_OF_EACH:
        raise InvalidInput(
            f"There are {yes} labels of progress and {no} of no progress on steps of these runs; "
            f"{LEAST_OF_EACH} of each are the least.",
            field="labels",
            hint="Label more steps; a queue drawn most suspicious first finds the rarer kind sooner.",
        )
    if len(set(data.runs)) < LEAST_RUNS:
        raise InvalidInput(
            f"The labels are of {len(set(data.runs))} runs; {LEAST_RUNS} are the least.",
            field="labels",
            hint="Label steps of more runs: steps of one run are alike.",
        )


def _folds(groups: Sequence[str], count: int, *, seed: int) -> NDArray[np.int64]:
    """Return each example's fold; no group is in two, and folds have about as many groups."""
    names = sorted(set(groups))
    random.Random(seed).shuffle(names)
    count = min(count, len(names))
    fold_of = {name: place % count for place, name in enumerate(names)}
    return np.array([fold_of[group] for group in groups], dtype=np.int64)


def _cross_fitted(data: _Data, fold_of: NDArray[np.int64], options: CalibratedOptions) -> Numbers:
    found = np.zeros(len(data))
    for fold in range(int(fold_of.max()) + 1):
        here = fold_of == fold
        model = _fitted(data, ~here, options)
        found[here] = model.probabilities(data.rows[here], data.logprob_known[here])
    return found


def _fitted(data: _Data, chosen: NDArray[np.bool_], options: CalibratedOptions) -> ProgressModel:
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second to import

    rows, targets = data.rows[chosen], data.targets[chosen]
    if targets.min() == targets.max():
        raise InvalidInput(
            "All labels outside of one fold say the same; nothing can be learned from them.",
            field="labels",
            hint="Label steps of more runs, or try another seed or fewer folds.",
        )
    known = data.logprob_known[chosen]
    means, scales = rows.mean(axis=0), rows.std(axis=0)
    means[LOGPROB] = rows[known, LOGPROB].mean() if known.any() else 0.0
    scales[LOGPROB] = rows[known, LOGPROB].std() if known.any() else 0.0
    scales = np.where(scales > 1e-9, scales, 0.0)
    empty = np.zeros(len(NAMES))
    blank = ProgressModel(weights=empty, means=means, scales=scales, bias=0.0)
    fitting = LogisticRegression(
        C=1.0 / options.strength,
        class_weight="balanced" if options.class_weights == "balanced" else None,
        max_iter=5_000,
    )
    weights = data.weights[chosen] if options.sampling_weights else None
    fitting.fit(blank.standard(rows, known), targets > 0.5, sample_weight=weights)
    return ProgressModel(
        weights=np.where(scales > 0, fitting.coef_[0], 0.0),
        means=means,
        scales=scales,
        bias=float(fitting.intercept_[0]),
    )


def _warnings(judged: Judged) -> list[str]:
    notes = [
        "Every figure is cross-fitted: each step is judged by a model that saw none of its group.",
        "Intervals resample whole groups; with fewer than 5 there is none.",
    ]
    false = int(judged.false_progress.sum())
    if false < FEW_FALSE:
        notes.append(
            f"Only {false} of the labels are a false progress: what catching them takes is hardly "
            "known."
        )
    return notes


TRAINER = Trainer(
    kind=CALIBRATED,
    title="Calibrated progress",
    summary="A logistic model of P(progress), learned from people's labels on steps.",
    options=CalibratedOptions,
    fit=fit,
    needs_encoder=False,
    needs_labels=True,
    least_of_each=LEAST_OF_EACH,
)
