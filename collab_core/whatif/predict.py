"""Many runs under another policy: the exact part, the estimate behind it, and what both come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from collab_core.errors import InvalidInput
from collab_core.learned.store import ladder_used
from collab_core.strategies.base import NO_RESOURCES, Resources
from collab_core.whatif.caught import Labels, caught
from collab_core.whatif.driving import Start
from collab_core.whatif.model import LEAST_NEAR, STALLS, Model, fit_model
from collab_core.whatif.pool import LEAST_STEPS, Pool, comparable
from collab_core.whatif.recorded import RecordedRun
from collab_core.whatif.replay import Replayed, replayed
from collab_core.whatif.results import (
    Figure,
    Figures,
    Row,
    RunEstimate,
    Support,
    WhatIf,
)
from collab_core.whatif.simulate import FIGURES, Drawn, simulate
from collab_core.whatif.situation import Floats
from collab_core.whatif.wanted import wanted

MOST_THIN = 0.4
"""Share of estimated steps without anything near in the pool: above it nothing is estimated."""
WIDER = 1.0
"""Every estimated interval is wider by this than the draws say: measured, docs/what-if.md."""
WIDER_THIN = 2.0
"""Intervals are wider by 1 + this x the thin share: there the model reaches beyond its data."""
_BATCH = {True: 40_000, False: 8_000}
"""Continuations at a time; fewer where each one keeps whole steps in memory."""
NAMES = ("accuracy", "latency_s", "steps", "large_steps", "switches", "cost_usd")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much is drawn. A run has ``sets * each`` continuations."""

    level: float = 0.95
    """Of every interval, 0..1."""
    sets: int = 40
    """Fits of the model, each on another bootstrap sample of the pool's tasks."""
    each: int = 5
    seed: int = 0


DEFAULT = Options()


class Refused(Exception):
    """There is an exact part and no estimate, for this reason."""


def what_if(
    runs: Sequence[RecordedRun],
    strategy: str,
    parameters: Mapping[str, Any],
    *,
    pool: Sequence[RecordedRun] | None = None,
    resources: Resources = NO_RESOURCES,
    labels: Labels | None = None,
    options: Options = DEFAULT,
) -> WhatIf:
    """Return what the runs would have come to under the strategy.

    ``pool``: what estimates are made from; None = the runs themselves.

    Raises:
        InvalidInput: there are no runs, or a run's log cannot decide what this strategy does.
    """
    if not runs:
        raise InvalidInput("There are no runs to replay.", field="logs")
    done = [replayed(run, wanted(run, strategy, parameters, resources)) for run in runs]
    starts = [Start(one, one.resume) for one in done if one.resume is not None]
    drawn, model, refused = None, None, ""
    if starts:
        try:
            drawn, model = _drawn(starts, runs if pool is None else pool, options)
        except Refused as reason:
            refused = str(reason)
    table = None if refused else _Table(done, drawn, options, _thin(drawn, model))
    row = table.row() if table is not None else None
    return WhatIf(
        strategy=strategy,
        parameters=done[0].asked.parameters.model_dump(mode="json"),
        level=options.level,
        simulated=any(one.report.simulated for one in done),
        runs=len(done),
        exact_runs=sum(one.report.exact for one in done),
        steps=sum(one.report.recorded.steps for one in done),
        exact_steps=sum(one.report.prefix.steps for one in done),
        divergences=tuple(one.report.divergence for one in done),
        recorded=_recorded(done),
        row=row,
        refused=refused,
        estimates=table.estimates() if table is not None else (),
        support=_support(drawn, model),
        caught=caught(done, labels, row) if labels is not None else None,
    )


def _drawn(
    starts: Sequence[Start], pool_runs: Sequence[RecordedRun], options: Options
) -> tuple[Drawn, Model]:
    _check(starts)
    rule = starts[0].replayed.asked.parameters.missing_verdict
    try:
        pool = Pool.of(pool_runs, missing_progress=rule == "progress")
    except InvalidInput as error:
        raise Refused(f"{error.message} {error.hint}".strip()) from error
    if ladder_used(pool.tiers) != ladder_used(starts[0].replayed.run.tiers):
        raise Refused("The pool's runs are of another ladder.")
    model = fit_model(pool, sets=options.sets, seed=options.seed)
    batch = _BATCH[all(start.resume.policy.by_verdicts for start in starts)]
    size = max(1, batch // (options.sets * options.each))
    parts = [
        simulate(starts[at : at + size], model, each=options.each, seed=options.seed + at)
        for at in range(0, len(starts), size)
    ]
    figures = {name: np.concatenate([p.figures[name] for p in parts]) for name in FIGURES}
    drawn = Drawn(figures, sum((p.near for p in parts), np.zeros_like(model.near)))
    _check_support(drawn, model)
    return drawn, model


def _check(starts: Sequence[Start]) -> None:
    """Refuse what the model does not know.

    Raises:
        Refused: and why.
    """
    for start in starts:
        run, policy = start.replayed.run, start.resume.policy
        if policy.scorer is not None or policy.reviews_drafts:
            raise Refused(
                "Behind the divergence its scorer or its look at drafts would need texts that "
                "nobody wrote."
            )
        if getattr(start.replayed.asked.parameters, "warm_prefill", "off") != "off":
            raise Refused("What warming caches saves is not estimated: set warm_prefill = off.")
        if start.resume.divergence.kind == "warm_prefill":
            raise Refused("What warmed caches saved in the recorded runs cannot be taken away.")
        if not comparable(run):
            raise Refused(
                f"Run {run.run_id} diverges and is of several agents, or has shortened hand-overs; "
                "estimates are made for one agent with whole hand-overs."
            )


def _check_support(drawn: Drawn, model: Model) -> None:
    needed = drawn.near.sum(axis=(1, 2))
    held = model.near.sum(axis=(1, 2))
    for tier, name in enumerate(tier.name for tier in model.pool.tiers):
        if needed[tier] and held[tier] < LEAST_STEPS:
            raise Refused(
                f"It needs steps on {name}, and the pool holds {held[tier]}; an estimate needs "
                f"{LEAST_STEPS}. Add runs that use {name}."
            )
    share = _thin(drawn, model)
    if share > MOST_THIN:
        raise Refused(
            f"{share:.0%} of the estimated steps are in situations that the pool does not hold. Add "
            "runs of the strategy random: they have every tier everywhere."
        )


def _thin(drawn: Drawn | None, model: Model | None) -> float:
    if drawn is None or model is None:
        return 0.0
    return float(drawn.near[model.near < LEAST_NEAR].sum() / drawn.near.sum())


def _support(drawn: Drawn | None, model: Model | None) -> Support | None:
    if drawn is None or model is None:
        return None
    thin = [
        f"{model.pool.tiers[tier].name}, {_stalls(stalls)}, {('early', 'late')[late]}"
        for tier, stalls, late in np.argwhere((model.near < LEAST_NEAR) & (drawn.near > 0))
    ]
    return Support(
        pool_runs=len(model.pool.runs),
        pool_steps=len(model.pool.records),
        left_out=model.pool.left_out,
        thin_share=_thin(drawn, model),
        least=LEAST_NEAR,
        thin=tuple(thin),
    )


def _stalls(place: int) -> str:
    """Return a row of stalls in words."""
    if not place:
        return "after progress"
    least = STALLS[place - 1]
    return (
        f"{least} or more stalls" if place == len(STALLS) else f"{least}-{STALLS[place] - 1} stalls"
    )


class _Table:
    """Every run's figures in every continuation: (run, continuation); exact ones are constant."""

    def __init__(
        self, done: Sequence[Replayed], drawn: Drawn | None, options: Options, thin: float
    ) -> None:
        self.done = done
        self.level = options.level
        self.wider = WIDER * (1.0 + WIDER_THIN * thin)
        self.columns = {
            name: _column(done, drawn, name, options.sets * options.each) for name in _FIELDS
        }
        self.recorded_s = sum(one.report.recorded.latency_s for one in done)

    def row(self) -> Row:
        means = {name: column.mean(axis=0) for name, column in self.columns.items()}
        steps, latency = self.columns["steps"], self.columns["latency_s"]
        moves = self.columns["moves"].sum(axis=0)
        ratio = None
        if moves.all():
            ratio = self._figure(100.0 * self.columns["switches"].sum(axis=0) / moves, 100.0)
        share = self.columns["large_steps"].sum(axis=0) / steps.sum(axis=0)
        speedup = self.recorded_s / np.maximum(1e-9, latency.sum(axis=0))
        return Row(
            figures=self._figures(means, chance="accuracy"),
            speedup=self._figure(speedup),
            switching_ratio=ratio,
            large_step_share=self._figure(share, 1.0),
        )

    def estimates(self) -> tuple[RunEstimate, ...]:
        return tuple(
            RunEstimate(
                run_id=one.run.run_id,
                figures=self._figures(
                    {name: column[place] for name, column in self.columns.items()}, chance="chance"
                ),
            )
            for place, one in enumerate(self.done)
        )

    def _figures(self, values: Mapping[str, Floats], *, chance: str) -> Figures:
        return Figures(
            accuracy=self._known(values[chance], 1.0),
            latency_s=self._figure(values["latency_s"]),
            steps=self._figure(values["steps"]),
            large_steps=self._figure(values["large_steps"]),
            switches=self._figure(values["switches"]),
            cost_usd=self._known(values["cost_usd"]),
        )

    def _known(self, values: Floats, most: float = np.inf) -> Figure | None:
        return None if np.isnan(values).any() else self._figure(values, most)

    def _figure(self, values: Floats, most: float = np.inf) -> Figure:
        if float(np.ptp(values)) == 0.0:
            return exact(float(values[0]))
        mean = float(values.mean())
        tail = (1.0 - self.level) / 2.0
        low, high = (float(edge) for edge in np.quantile(values, [tail, 1.0 - tail]))
        low, high = mean - self.wider * (mean - low), mean + self.wider * (high - mean)
        return Figure(mean=mean, low=max(0.0, min(low, mean)), high=min(most, max(high, mean)))


def exact(value: float) -> Figure:
    """Return a figure without an interval."""
    return Figure(mean=value, low=value, high=value)


class _Field(NamedTuple):
    """Where a figure comes from: the drawn one, and the same of an exact run."""

    drawn: str
    sums: str


_FIELDS = {
    "accuracy": _Field("correct", ""),
    "chance": _Field("chance", ""),
    "latency_s": _Field("latency_s", "latency_s"),
    "steps": _Field("steps", "steps"),
    "large_steps": _Field("large_steps", "large_steps"),
    "switches": _Field("switches", "switches"),
    "moves": _Field("steps", "moves"),
    "cost_usd": _Field("cost_usd", "cost_usd"),
}


def _column(done: Sequence[Replayed], drawn: Drawn | None, name: str, width: int) -> Floats:
    column = np.full((len(done), width), np.nan)
    source = _FIELDS[name]
    estimated = [place for place, one in enumerate(done) if one.resume is not None]
    if drawn is not None:
        column[estimated] = drawn.figures[source.drawn] - (name == "moves")
    for place, one in enumerate(done):
        if one.resume is None:
            column[place] = _exact_value(one, source)
    return column


def _exact_value(one: Replayed, source: _Field) -> float:
    if not source.sums:
        outcome = one.report.outcome
        return np.nan if outcome == "unscored" else float(outcome == "correct")
    value = getattr(one.report.prefix, source.sums)
    return np.nan if value is None else float(value)


def _recorded(done: Sequence[Replayed]) -> Figures:
    def mean(name: str) -> Figure | None:
        values = [getattr(one.report.recorded, name) for one in done]
        return None if None in values else exact(sum(values) / len(values))

    def known(name: str) -> Figure:
        return exact(sum(getattr(one.report.recorded, name) for one in done) / len(done))

    outcomes = [one.report.outcome for one in done]
    scored = "unscored" not in outcomes
    return Figures(
        accuracy=exact(outcomes.count("correct") / len(done)) if scored else None,
        latency_s=known("latency_s"),
        steps=known("steps"),
        large_steps=known("large_steps"),
        switches=known("switches"),
        cost_usd=mean("cost_usd"),
    )
