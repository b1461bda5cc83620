"""The columns of a table: each is a ratio of two sums over trials, with its unit and its words.

docs/experiments-figures.md says the same for people; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np

from collab_core.experiments.frame import Frame
from collab_core.experiments.resampling import Numbers

Unit = Literal["frac", "percent", "points", "count", "s", "times", "tokens", "usd"]
"""frac: 0..1. percent: 0..100 (Eq. 5 is one). times: of the baseline. points: of the task set."""
Better = Literal["more", "less", ""]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """What a column says; ``digits`` are shown behind the point (of the percentage, for frac)."""

    name: str
    title: str
    unit: Unit
    better: Better = ""
    digits: int = 1
    meaning: str
    """One sentence for people: the formula in words and what is left out."""


class Terms(msgspec.Struct, frozen=True):
    """Numerator and denominator, one number a trial; NaN = the trial does not count here."""

    above: Numbers
    below: Numbers


Maker = Callable[[Frame, str], Terms]
"""From a frame and the baseline's name ("" = none)."""


def _mean(name: str) -> Maker:
    """A mean over finished trials; one that is unknown makes the mean unknown (see ``REFUSES``)."""

    def make(frame: Frame, _: str) -> Terms:
        return _counted(frame, frame.facts[name], np.ones(len(frame.arm)))

    return make


def _share(above: str, below: str, *, times: float = 1.0) -> Maker:
    """A ratio of two sums over finished trials (a micro-average); trials with unknowns are out."""

    def make(frame: Frame, _: str) -> Terms:
        return _counted(frame, times * frame.facts[above], frame.facts[below])

    return make


def _counted(frame: Frame, above: Numbers, below: Numbers) -> Terms:
    counts = frame.finished & np.isfinite(above) & np.isfinite(below)
    return Terms(np.where(counts, above, np.nan), np.where(counts, below, np.nan))


def _accuracy(frame: Frame, _: str) -> Terms:
    return _counted(frame, frame.correct, np.ones(len(frame.arm)))


def _accuracy_all(frame: Frame, _: str) -> Terms:
    """Failed runs are wrong answers, provided that anything in the frame was scored at all."""
    scored = frame.finished & np.isfinite(frame.correct)
    lost = frame.having("failed") & bool(scored.any())
    above = np.where(scored, frame.correct, np.where(lost, 0.0, np.nan))
    return Terms(above, np.where(scored | lost, 1.0, np.nan))


def _score(frame: Frame, _: str) -> Terms:
    return _counted(frame, frame.score, np.ones(len(frame.arm)))


def _speedup(frame: Frame, baseline: str) -> Terms:
    nothing = np.full(len(frame.arm), np.nan)
    if not baseline:
        return Terms(nothing, nothing)
    own_s = np.where(frame.finished, frame.facts["latency_s"], np.nan)
    other_s = frame.of_baseline(own_s, baseline)
    both = np.isfinite(own_s) & np.isfinite(other_s)
    return Terms(np.where(both, other_s, np.nan), np.where(both, own_s, np.nan))


def _unusable(frame: Frame, _: str) -> Terms:
    lost = frame.facts["checks_unusable"]
    return _counted(frame, lost, lost + frame.facts["checks"])


def _false_progress(frame: Frame, _: str) -> Terms:
    labelled = frame.labels > 0
    wrong = np.where(labelled, frame.false_progress, np.nan)
    return Terms(wrong, np.where(labelled, frame.labels, np.nan))


REFUSES = frozenset({"cost_usd"})
"""Columns that one unknown among the finished trials makes unknown: a sum without it is too small."""

_ALL: tuple[tuple[Column, Maker], ...] = (
    (
        Column(
            name="accuracy",
            title="Accuracy",
            unit="frac",
            better="more",
            meaning="Correct over scored, of finished runs; unscored and failed ones are left out.",
        ),
        _accuracy,
    ),
    (
        Column(
            name="accuracy_all",
            title="Accuracy, failed counted",
            unit="frac",
            better="more",
            meaning="Correct over scored and failed: a run that failed is a wrong answer "
            "(intention to treat).",
        ),
        _accuracy_all,
    ),
    (
        Column(
            name="score",
            title="Score",
            unit="points",
            better="more",
            digits=2,
            meaning="Mean score of finished runs that have one, on the task set's own scale.",
        ),
        _score,
    ),
    (
        Column(
            name="steps",
            title="Steps",
            unit="count",
            better="less",
            digits=2,
            meaning="Mean finished steps of a finished run, over all its agents.",
        ),
        _mean("steps"),
    ),
    (
        Column(
            name="latency_s",
            title="Latency",
            unit="s",
            better="less",
            meaning="Mean end-to-end seconds of a finished run, along its longest path.",
        ),
        _mean("latency_s"),
    ),
    (
        Column(
            name="speedup",
            title="Speedup",
            unit="times",
            better="more",
            digits=2,
            meaning="Total latency of the baseline over the arm's, on the tasks and seeds that both "
            "finished.",
        ),
        _speedup,
    ),
    (
        Column(
            name="switching_ratio",
            title="Switching ratio",
            unit="percent",
            meaning="Switches over moves, summed over all runs (AgentCollab Eq. 5, micro-average); "
            "each agent instance is a trajectory of its own.",
        ),
        _share("switches", "moves", times=100.0),
    ),
    (
        Column(
            name="large_step_share",
            title="Large steps",
            unit="frac",
            better="less",
            meaning="Steps on the top tier over all steps.",
        ),
        _share("large_steps", "steps"),
    ),
    (
        Column(
            name="large_token_ratio",
            title="Large tokens",
            unit="frac",
            better="less",
            meaning="Tokens generated by the top tier over all generated tokens (section 3.4).",
        ),
        _share("large_output_tokens", "output_tokens"),
    ),
    (
        Column(
            name="input_tokens",
            title="Tokens in",
            unit="tokens",
            better="less",
            digits=0,
            meaning="Mean prompt tokens of a finished run, cached ones included.",
        ),
        _mean("input_tokens"),
    ),
    (
        Column(
            name="output_tokens",
            title="Tokens out",
            unit="tokens",
            better="less",
            digits=0,
            meaning="Mean generated tokens of a finished run, drafts and checks included.",
        ),
        _mean("output_tokens"),
    ),
    (
        Column(
            name="cached_share",
            title="Cached",
            unit="frac",
            better="more",
            meaning="Cached over all prompt tokens, of the runs whose servers told.",
        ),
        _share("cached_tokens", "input_tokens"),
    ),
    (
        Column(
            name="cost_usd",
            title="Cost",
            unit="usd",
            better="less",
            digits=4,
            meaning="Mean cost of a finished run; unknown as soon as one run's is.",
        ),
        _mean("cost_usd"),
    ),
    (
        Column(
            name="model_calls",
            title="Model calls",
            unit="count",
            better="less",
            meaning="Mean model calls of a finished run, checks and drafts included.",
        ),
        _mean("model_calls"),
    ),
    (
        Column(
            name="escalations",
            title="Escalations",
            unit="count",
            digits=2,
            meaning="Mean moves up the ladder in a finished run.",
        ),
        _mean("escalations"),
    ),
    (
        Column(
            name="stall_share",
            title="Stalls",
            unit="frac",
            meaning="Verdicts of no progress over all usable verdicts.",
        ),
        _share("stalls", "checks"),
    ),
    (
        Column(
            name="unusable_share",
            title="Verdicts unusable",
            unit="frac",
            better="less",
            meaning="Missing and malformed verdicts over all that were asked for.",
        ),
        _unusable,
    ),
    (
        Column(
            name="false_progress",
            title="False progress",
            unit="frac",
            better="less",
            meaning="Labelled steps whose verdict was a false progress, over all labelled steps; not "
            "weighted by how likely each was to be drawn for labelling.",
        ),
        _false_progress,
    ),
)

COLUMNS: dict[str, Column] = {column.name: column for column, _ in _ALL}
MAKERS: dict[str, Maker] = {column.name: make for column, make in _ALL}
