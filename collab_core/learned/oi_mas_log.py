"""Logged runs of OI-MAS read back into episodes: hostile text in, checked numbers out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from collab_core import events as ev
from collab_core.learned.explored import Unusable
from collab_core.learned.logs import LoggedRun
from collab_core.learned.oi_mas import (
    EARLY_STOP,
    ROLE_INDEX,
    ROLES,
    Distributions,
    Rules,
    TurnPlan,
    log_probability,
    read_scores,
)
from collab_core.learned.oi_mas_episodes import Episode, PlayedTurn

STRATEGY = "oi-mas"
CONTEXT_CHARS = 4_000
"""Of the work so far, the latest part: what the conductor reads."""
DRAWN = frozenset({"sampled", "sampled_stop"})


class Spent(NamedTuple):
    """What an agent instance's calls cost, and how sure they were; None = not known."""

    cost_usd: float
    mean_logprob: float | None


class _TurnArguments(msgspec.Struct):
    """What the record of a turn says of its plan."""

    turn: int
    roles: list[str]
    tiers: list[str]


@dataclass(kw_only=True)
class _Reading:
    """One turn of the main instance while its events are read."""

    scored: ev.ScorerReturned | None = None
    started: ev.StepStarted | None = None
    plan: _TurnArguments | None = None
    observation: str = ""


def read_episode(
    run: LoggedRun, rules: Rules, *, need_costs: bool = True, need_draws: bool = True
) -> Episode:
    """Return the episode of a scored run.

    ``need_costs`` off: unknown costs are 0. ``need_draws`` off: also runs that did not explore.

    Raises:
        Unusable: it is another strategy's, was not scored, did not explore, has no prices, or its
            log does not fit together.
    """
    if run.strategy != STRATEGY:
        raise Unusable("runs of another strategy")
    if run.correct is None:
        raise Unusable("runs that were not scored")
    _check_switches(run.events, rules)
    spent = spent_by_instance(run.events, need_costs=need_costs)
    tiers = {tier.name: place for place, tier in enumerate(run.ladder)}
    turns: list[PlayedTurn] = []
    lines: list[str] = []
    extra = 0.0
    for reading in _turns(run.events):
        if reading.started is None or reading.plan is None:
            raise Unusable("runs whose log does not fit together")
        if reading.started.reason == "last_answer":
            extra += spent["generator-last"].cost_usd
            continue
        if need_draws and reading.started.reason not in DRAWN:
            raise Unusable("runs without explore")
        turns.append(_played(reading, "\n".join(lines)[-CONTEXT_CHARS:], spent, tiers, rules))
        lines.append(reading.observation)
    if not turns:
        raise Unusable("runs whose log does not fit together")
    return Episode(
        question=run.task.question, turns=tuple(turns), reward=float(run.correct), extra_usd=extra
    )


def spent_by_instance(
    events: Sequence[ev.AnyEvent], *, need_costs: bool = True
) -> Mapping[str, Spent]:
    """Return what the model calls of each agent instance cost; log-probabilities are weighed by
    tokens.

    Raises:
        Unusable: a cost is not known and ``need_costs``.
    """
    costs: dict[str, float] = defaultdict(float)
    sums: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = defaultdict(int)
    for event in events:
        if not isinstance(event, ev.ModelReplied):
            continue
        if event.cost_usd is None and need_costs:
            raise Unusable("runs on tiers without prices")
        costs[event.scope] += event.cost_usd or 0.0
        if event.mean_logprob is not None and event.usage.output_tokens > 0:
            sums[event.scope] += event.mean_logprob * event.usage.output_tokens
            tokens[event.scope] += event.usage.output_tokens
    found = {
        scope: Spent(cost, sums[scope] / tokens[scope] if tokens[scope] else None)
        for scope, cost in costs.items()
    }
    return defaultdict(lambda: Spent(0.0, None), found)


def queued_parameters(events: Sequence[ev.AnyEvent]) -> Mapping[str, Any]:
    """Return the parameters a run was queued with."""
    queued = next((event for event in events if isinstance(event, ev.RunQueued)), None)
    return queued.parameters if queued else {}


def _check_switches(events: Sequence[ev.AnyEvent], rules: Rules) -> None:
    parameters = queued_parameters(events)
    for name in ("model_router", "role_router"):
        if bool(parameters.get(name, True)) != getattr(rules, name):
            raise Unusable(f"runs with another {name}")


def _turns(events: Sequence[ev.AnyEvent]) -> list[_Reading]:
    """Return the turns of the main instance, in order."""
    turns: list[_Reading] = []
    scored: ev.ScorerReturned | None = None
    for event in events:
        if getattr(event, "scope", "?"):
            continue
        if isinstance(event, ev.ScorerReturned):
            scored = event
        elif isinstance(event, ev.StepStarted):
            turns.append(_Reading(started=event, scored=scored))
            scored = None
        elif isinstance(event, ev.ToolReturned) and event.delegated and turns:
            turns[-1].plan = _arguments(event.arguments)
            turns[-1].observation = event.observation
    return turns


def _arguments(text: str) -> _TurnArguments:
    try:
        return msgspec.json.decode(text, type=_TurnArguments)
    except msgspec.DecodeError as error:
        raise Unusable("runs whose log does not fit together") from error


def _played(
    reading: _Reading,
    context: str,
    spent: Mapping[str, Spent],
    tiers: Mapping[str, int],
    rules: Rules,
) -> PlayedTurn:
    arguments, scored = reading.plan, reading.scored
    if arguments is None or scored is None:
        raise Unusable("runs whose log does not fit together")
    if len(scored.values) != len(ROLES) + EARLY_STOP * len(tiers):
        raise Unusable("runs whose log does not fit together")
    found = read_scores(scored.values)
    plan = _plan(reading, arguments, tiers)
    _check_drawable(found, plan)
    names = () if plan.stops else arguments.roles
    each = [spent[f"{name}-{arguments.turn}"] for name in names]
    return PlayedTurn(
        context=context,
        blocked=tuple(int(role) for role in np.flatnonzero(found.roles == 0.0)),
        plan=plan,
        costs_usd=tuple(one.cost_usd for one in each),
        mean_logprobs=tuple(one.mean_logprob for one in each),
        drawn_with=log_probability(found, plan, rules),
    )


def _check_drawable(found: Distributions, plan: TurnPlan) -> None:
    """The plan can have been drawn from these numbers."""
    acting = [] if plan.stops else list(zip(plan.roles, plan.tiers, strict=True))
    chances = [found.roles[role] for role in plan.roles]
    chances += [found.tiers[role, tier] for role, tier in acting]
    if not all(0.0 < chance <= 1.0 for chance in chances):
        raise Unusable("runs whose log does not fit together")


def _plan(reading: _Reading, arguments: _TurnArguments, tiers: Mapping[str, int]) -> TurnPlan:
    try:
        roles = tuple(ROLE_INDEX[name] for name in arguments.roles)
        on = tuple(tiers[name] for name in arguments.tiers)
    except KeyError as error:
        raise Unusable("runs whose log does not fit together") from error
    stops = reading.started is not None and reading.started.reason.endswith("_stop")
    if len(set(roles)) != len(roles) or stops != (EARLY_STOP in roles):
        raise Unusable("runs whose log does not fit together")
    if len(on) != (0 if stops else len(roles)):
        raise Unusable("runs whose log does not fit together")
    return TurnPlan(roles, on)
