"""How good the estimates are: predict one arm from another's logs, and look at what it really did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from collab_core.errors import InvalidInput
from collab_core.strategies.base import NO_RESOURCES, Resources
from collab_core.whatif.predict import DEFAULT, NAMES, Options, what_if
from collab_core.whatif.recorded import RecordedRun
from collab_core.whatif.replay import Replayed, replayed
from collab_core.whatif.results import Figure, WhatIf
from collab_core.whatif.wanted import wanted


class FigureError(msgspec.Struct, frozen=True, kw_only=True):
    """A predicted figure beside the real one; means over runs."""

    name: str
    predicted: Figure
    real: float
    error: float
    """Predicted less real."""
    covered: bool
    """The real mean is inside the interval; for latency give or take the engine's own time."""
    runs_covered: float | None
    """Share of runs whose own figure is inside its interval; None for accuracy."""
    runs_error: float
    """Mean absolute error of a run's figure; for accuracy the Brier score."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One arm predicted from another."""

    recorded_strategy: str
    strategy: str
    parameters: dict[str, object]
    pairs: int
    """Runs of the same task and seed in both."""
    prefixes_confirmed: int
    """Pairs whose real run has the tiers that were called exact, the wanted one included."""
    errors: tuple[FigureError, ...]
    """Empty where nothing was estimated."""
    predicted: WhatIf


class _Pair(NamedTuple):
    recorded: RecordedRun
    real: RecordedRun


def measure(
    recorded: Sequence[RecordedRun],
    real: Sequence[RecordedRun],
    *,
    pool: Sequence[RecordedRun] | None = None,
    resources: Resources = NO_RESOURCES,
    options: Options = DEFAULT,
) -> Measurement:
    """Predict the real runs from the recorded ones of the same tasks and seeds.

    Raises:
        InvalidInput: the real runs are of several strategies, or no task and seed is in both.
    """
    strategy, parameters = _only_strategy(real)
    pairs = _pairs(recorded, real)
    if pool is None:
        pool = recorded
    runs = [pair.recorded for pair in pairs]
    predicted = what_if(runs, strategy, parameters, pool=pool, resources=resources, options=options)
    done = [replayed(run, wanted(run, strategy, parameters, resources)) for run in runs]
    confirmed = sum(_confirmed(one, pair.real) for one, pair in zip(done, pairs, strict=True))
    return Measurement(
        recorded_strategy=recorded[0].queued.strategy,
        strategy=strategy,
        parameters=dict(parameters),
        pairs=len(pairs),
        prefixes_confirmed=confirmed,
        errors=tuple(_errors(predicted, pairs)),
        predicted=predicted,
    )


def _only_strategy(real: Sequence[RecordedRun]) -> tuple[str, Mapping[str, object]]:
    if not real:
        raise InvalidInput("There are no runs to compare with.", field="logs")
    first = real[0].queued
    for run in real:
        if (run.queued.strategy, run.queued.parameters) != (first.strategy, first.parameters):
            raise InvalidInput(
                "The runs to compare with are of several strategies or parameters.",
                field="logs",
                hint="Give the logs of one strategy with the same parameters.",
            )
    return first.strategy, first.parameters


def _pairs(recorded: Sequence[RecordedRun], real: Sequence[RecordedRun]) -> list[_Pair]:
    by_key = {(run.logged.task_key, run.queued.seed): run for run in real}
    pairs = [
        _Pair(run, by_key[key])
        for run in recorded
        if (key := (run.logged.task_key, run.queued.seed)) in by_key
    ]
    if not pairs:
        raise InvalidInput(
            "The two sets of logs share no task with the same seed.",
            field="logs",
            hint="Run both strategies on the same tasks under the same seeds.",
        )
    return pairs


def _confirmed(one: Replayed, real: RecordedRun) -> bool:
    exact = [decision.tier for decision in one.report.decisions if decision.exact]
    tiers = [step.begun.tier for _, step in real.steps]
    whole = one.resume is not None or len(tiers) == len(exact)
    return whole and tiers[: len(exact)] == exact


def _errors(predicted: WhatIf, pairs: Sequence[_Pair]) -> list[FigureError]:
    if predicted.row is None:
        return []
    found = []
    for name in NAMES:
        figure: Figure | None = getattr(predicted.row.figures, name)
        reals = [_real(pair.real, name) for pair in pairs]
        values = [value for value in reals if value is not None]
        owns = [getattr(one.figures, name) for one in predicted.estimates]
        if figure is None or len(values) < len(reals):
            continue
        real = sum(values) / len(values)
        off = [own.mean - value for own, value in zip(owns, values, strict=True)]
        slack = [_own_time_s(pair) if name == "latency_s" else 0.0 for pair in pairs]
        inside = [_inside(*of) for of in zip(owns, values, slack, strict=True)]
        accuracy = name == "accuracy"
        found.append(
            FigureError(
                name=name,
                predicted=figure,
                real=real,
                error=figure.mean - real,
                covered=_inside(figure, real, sum(slack) / len(slack)),
                runs_covered=None if accuracy else sum(inside) / len(inside),
                runs_error=sum(o * o if accuracy else abs(o) for o in off) / len(off),
            )
        )
    return found


def _inside(figure: Figure, value: float, slack: float) -> bool:
    near = slack + 1e-6 * max(1.0, abs(value))
    return figure.low - near <= value <= figure.high + near


def _own_time_s(pair: _Pair) -> float:
    """Return what the engine itself took in both runs: no policy decides that, so it is no error."""
    return sum(step.finished.latency.overhead_s for run in pair for _, step in run.steps)


def _real(run: RecordedRun, name: str) -> float | None:
    steps = [step for _, step in run.steps]
    top = len(run.tiers) - 1
    totals = run.end.totals
    if name == "accuracy":
        return None if run.logged.correct is None else float(run.logged.correct)
    if name == "large_steps":
        return float(sum(step.tier == top for step in steps))
    if name == "cost_usd":
        return totals.cost_usd
    return float({"latency_s": totals.latency_s, "steps": totals.steps}.get(name, totals.switches))
