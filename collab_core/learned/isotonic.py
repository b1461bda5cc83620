"""From a margin to P(correct): isotonic calibration, or only a table of percentiles.

Source: margin sampling (arXiv 2405.02134) takes the threshold from a percentile of margins; UCCI
(arXiv 2605.18796) calibrates them by isotonic regression.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from collab_core.errors import InvalidInput
from collab_core.learned.dataset import Examples, Row, examples, need_both, places, split_tasks
from collab_core.learned.evaluation import NOT_INDEPENDENT, held_out_report, large_when_at_most
from collab_core.learned.logs import LoggedDraft, Logs
from collab_core.learned.scorers import ISOTONIC
from collab_core.learned.trainer import Fitted, Job, Trainer, TrainerOptions

Numbers = NDArray[np.float64]
Signal = Literal["first_token_margin", "decisive_margin", "mean_logprob"]


class IsotonicOptions(TrainerOptions):
    """Which number is calibrated, and how."""

    signal: Signal = Field(
        default="decisive_margin",
        title="Signal",
        description="first_token_margin: as published. decisive_margin: of the first token after the "
        "fixed tags. mean_logprob: mean over the whole draft.",
    )
    method: Literal["isotonic", "percentile"] = Field(
        default="isotonic",
        title="Method",
        description="isotonic: learn P(the run ends right). percentile: only the table from a share "
        "to a threshold; needs no scored runs.",
    )


def signal_of(draft: LoggedDraft, signal: Signal) -> float | None:
    """Return the draft's number, None where the server gave none."""
    value: float | None = getattr(draft, signal)
    return value


def fit(job: Job) -> Fitted:
    """Train on logged runs whose lower tiers gave log-probabilities."""
    options: IsotonicOptions = job.options
    data = _examples(job.source.need_logs(), options)
    splits = split_tasks(data.groups, seed=job.seed)
    seen = _signals(splits.of(data, "calibration"))
    sizes, tasks = splits.sizes(data), len(splits.part_of)
    job.progress(0.5, "Fitting")
    if options.method == "percentile":
        return Fitted(
            tensors={"x": np.array([0.0, 1.0]), "y": np.array([0.0, 1.0])},
            label=f"{options.signal}, uncalibrated",
            calibration=large_when_at_most(seen),
            splits=sizes,
            tasks=tasks,
        )
    train, held_out = splits.of(data, "train"), splits.of(data, "held_out")
    need_both(train, positive="ends right", negative="ends wrong")
    x, y = _knots(_signals(train), train.targets)
    judged = apply_knots(_signals(held_out), x, y)
    return Fitted(
        tensors={"x": x, "y": y},
        label=f"P(the run ends right | {options.signal} of a step)",
        report=held_out_report(judged, held_out.targets, held_out.groups, seed=job.seed),
        calibration=large_when_at_most(apply_knots(seen, x, y)),
        splits=sizes,
        tasks=tasks,
        notes=(NOT_INDEPENDENT,),
    )


def apply_knots(values: Numbers, x: Numbers, y: Numbers) -> Numbers:
    """Return the piecewise linear curve through the knots, flat outside of them."""
    return np.asarray(np.interp(values, x, y))


def _knots(values: Numbers, targets: Numbers) -> tuple[Numbers, Numbers]:
    # takes a second to import: only who trains pays
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

    model = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    model.fit(values, targets)
    return (
        np.asarray(model.X_thresholds_, dtype=np.float64),
        np.asarray(model.y_thresholds_, dtype=np.float64),
    )


def _signals(data: Examples) -> Numbers:
    # the number travels as text, as every example has one
    return np.array([float(text) for text in data.texts], dtype=np.float64)


def _examples(logs: Logs, options: IsotonicOptions) -> Examples:
    top = len(logs.ladder) - 1
    scored_only = options.method == "isotonic"
    rows: list[Row] = []
    for place in places(logs):
        if scored_only and place.run.correct is None:
            continue
        for draft in place.drafts:
            value = signal_of(draft, options.signal)
            # a discarded draft has no outcome of its own
            if value is None or draft.tier == top or (scored_only and not draft.accepted):
                continue
            target = float(bool(place.run.correct))
            rows.append(Row(repr(value), target, place.run.task_key, draft.tier))
    if not rows:
        raise InvalidInput(
            f"No step of a lower tier in {logs.source} has a {options.signal}.",
            field="logs",
            hint="Log-probabilities are asked for by the strategy margin: run it on some tasks "
            "(threshold 0 keeps every draft); isotonic needs scored runs as well.",
        )
    return examples(rows)


TRAINER = Trainer(
    kind=ISOTONIC,
    title="Margin calibration",
    summary="From a margin or a mean log-probability to P(the run ends right), or a table of "
    "percentiles.",
    options=IsotonicOptions,
    fit=fit,
    needs_encoder=False,
)
