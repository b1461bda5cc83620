"""What weights say of themselves, in words and numbers for a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from collab_core.learned.progress_model import CALIBRATED
from collab_core.strategies.base import Strategy
from collab_core.strategies.registry import STRATEGIES
from webapp.learning.models import Weights
from webapp.learning.weights import weights_parameters
from webapp.runs.models import Run

WORDS = {
    "auc": "Area under the ROC curve",
    "brier": "Brier score (lower is better)",
    "ece": "Calibration error (lower is better)",
    "accuracy": "Accuracy",
    "base_rate": "Share of positives",
    "held_out_tasks": "Held-out tasks",
    "verdict_auc": "Area under the ROC curve, the agent's verdict",
    "verdict_brier": "Brier score, the agent's verdict",
    "auc_among_progress_verdicts": "Area under the ROC curve, among progress verdicts",
    "false_progress_labels": "Labels that say false progress",
    "missed_progress_labels": "Labels that say missed progress",
    "large_share": "Large-step share",
    "logged_accuracy": "Accuracy of the logged runs",
    "logged_cost_usd": "Cost of the logged runs, USD",
    "estimated_accuracy": "Accuracy with the new weights, est.",
    "estimated_cost_usd": "Cost with the new weights, USD, est.",
    "effective_runs": "Runs that the estimates rest on",
}
COUNTS = ("held_out_tasks", "false_progress_labels", "missed_progress_labels")
LISTED = ("features",)
"""Options that are no choice: they say what the tensors are."""
RUNS_SHOWN = 20


class Row(NamedTuple):
    name: str
    label: str
    value: str
    interval: str
    n: int


class RunLink(NamedTuple):
    uuid: str
    ref: str


class Judgement(NamedTuple):
    """Whether a model says more than the agent does itself."""

    words: str
    bad: bool


class Told(NamedTuple):
    """A manifest for a template."""

    manifest: Mapping[str, Any]
    judgement: Judgement | None
    """None where the report compares with nothing."""
    rows: list[Row]
    encoder: str
    runs: list[RunLink]
    runs_more: int
    options: list[tuple[str, Any]]
    splits: str
    curve: list[dict[str, float]]
    curve_title: str
    curve_words: str
    """What the curve gives for a threshold."""
    tables: list[tuple[str, Mapping[str, Any]]]


def told(weights: Weights) -> Told:
    """Return what a page shows of weights; text of a manifest is somebody else's and stays text."""
    manifest = weights.manifest
    trained = manifest.get("trained_on", {})
    runs = _runs(weights, trained.get("run_ids", []))
    stalls = weights.kind == CALIBRATED
    return Told(
        manifest=manifest,
        judgement=_judgement(manifest.get("report", {})),
        rows=[_row(name, figure) for name, figure in manifest.get("report", {}).items()],
        encoder=_encoder(manifest.get("encoder")),
        runs=runs[:RUNS_SHOWN],
        runs_more=max(0, int(trained.get("runs", 0)) - len(runs[:RUNS_SHOWN])),
        options=[
            (name, value)
            for name, value in manifest.get("options", {}).items()
            if name not in LISTED
        ],
        splits=", ".join(
            f"{part.replace('_', ' ')} {size}" for part, size in trained.get("splits", {}).items()
        ),
        curve=list(manifest.get("calibration", [])),
        curve_title="Steps under each threshold" if stalls else "Large steps by threshold",
        curve_words="of the labelled steps called stalls"
        if stalls
        else "of the steps on a higher tier",
        tables=[(title, _table(table)) for title, table in manifest.get("tables", {}).items()],
    )


def strategies_for(kind: str) -> list[Strategy]:
    """Return the strategies that can run with weights of this kind."""
    return [
        strategy
        for strategy in STRATEGIES.values()
        if any(kind in kinds for kinds in weights_parameters(strategy).values())
    ]


def _row(name: str, figure: Mapping[str, Any]) -> Row:
    value, low, high = figure.get("value"), figure.get("low"), figure.get("high")
    return Row(
        name=name,
        label=WORDS.get(name, name.replace("_", " ").capitalize()),
        value="unknown" if value is None else f"{value:g}" if name in COUNTS else _digits(value),
        interval="" if low is None or high is None else f"{_digits(low)} to {_digits(high)}",
        n=int(figure.get("n", 0)),
    )


def _judgement(report: Mapping[str, Mapping[str, Any]]) -> Judgement | None:
    ours, verdict = report.get("auc", {}), report.get("verdict_auc", {})
    value, other, low = ours.get("value"), verdict.get("value"), ours.get("low")
    if value is None or other is None:
        return None
    against = "than the agent's own verdict on the held-out labels"
    figures = f"Area under the ROC curve {_digits(value)} against {_digits(other)}."
    if _digits(value) == _digits(other):
        return Judgement(f"No better {against}: do not use it. {figures}", bad=True)
    if value < other:
        return Judgement(f"Worse {against}: do not use it. {figures}", bad=True)
    if low is None or low <= other:
        unsure = "but by less than chance may do: label more steps before relying on it"
        return Judgement(f"Better {against}, {unsure}. {figures}", bad=False)
    return Judgement(f"Better {against}. {figures}", bad=False)


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table with its numbers as words; a column of whole numbers holds counts."""
    columns, rows = table.get("columns", []), table.get("rows", [])
    numbers = [
        [row[place] for row in rows if place < len(row) and isinstance(row[place], int | float)]
        for place in range(len(columns))
    ]
    counts = [all(float(one).is_integer() for one in column) for column in numbers]
    return {
        "columns": columns,
        "rows": [
            [_cell(cell, whole=whole) for cell, whole in zip(row, counts, strict=False)]
            for row in rows
        ],
    }


def _cell(cell: str | float | None, *, whole: bool) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return f"{cell:,.0f}" if whole else _digits(cell)


def _digits(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1_000 else f"{value:,.0f}"


def _encoder(used: Mapping[str, Any] | None) -> str:
    if not used:
        return "none: it reads numbers"
    return f"{used['name']}, {used['dim']} numbers a text, {str(used['digest'])[:12]}"


def _runs(weights: Weights, ids: list[str]) -> list[RunLink]:
    """Return those of the runs that are still there; only ever the workspace's own."""
    wanted = [one for one in ids[: 4 * RUNS_SHOWN] if _is_uuid(one)]
    found = Run.objects.filter(workspace_id=weights.workspace_id, uuid__in=wanted).order_by("-id")
    return [RunLink(str(run.uuid), run.ref) for run in found.only("uuid", "number")]


def _is_uuid(text: str) -> bool:
    return len(text) == 36 and text.replace("-", "").isalnum() and text.isascii()
