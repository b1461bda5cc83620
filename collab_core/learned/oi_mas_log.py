"""Logged runs of OI-MAS read back into episodes: hostile text in, checked numbers out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from collab_core import events as ev
from collab_core.learned.logs import LoggedRun
from collab_core.learned.oi_mas import (
    EARLY_STOP,
    ROLE_INDEX,
    ROLES,
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

    cost_usd: float | None
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


class Unusable(Exception):
    """The run cannot be learned from; its text says why, in words that are counted."""


def read_episode(run: LoggedRun, rules: Rules) -> Episode:
    """Return the episode of a scored run that drew its roles and tiers.

    Raises:
        Unusable: it is another strategy's, was not scored, did not explore, has no prices, or its
            log does not fit together.
    """
    if run.strategy != STRATEGY:
        raise Unusable("runs of another strategy")
    if run.correct is None:
        raise Unusable("runs that were not scored")
    _check_switches(run.events, rules)
    spent = spent_by_instance(run.events)
    tiers = {tier.name: place for place, tier in enumerate(run.ladder)}
    turns: list[PlayedTurn] = []
    lines: list[str] = []
    extra = 0.0
    for reading in _turns(run.events):
        if reading.started is None or reading.plan is None:
            raise Unusable("runs whose log does not fit together")
        if reading.started.reason == "last_answer":
            extra += _known(spent["generator-last"]).cost_usd or 0.0
            continue
        if reading.started.reason not in DRAWN:
            raise Unusable("runs without explore")
        turns.append(_played(reading, "\n".join(lines)[-CONTEXT_CHARS:], spent, tiers, rules))
        lines.append(reading.observation)
    if not turns:
        raise Unusable("runs whose log does not fit together")
    return Episode(
        question=run.task.question, turns=tuple(turns), reward=float(run.correct), extra_usd=extra
    )


def spent_by_instance(events: Sequence[ev.AnyEvent]) -> Mapping[str, Spent]:
    """Return what the model calls of each agent instance cost; log-probabilities are weighed by
    tokens."""
    costs: dict[str, float | None] = defaultdict(float)
    sums: dict[str, float] = defaultdict(float)
    tokens: dict[str, int] = defaultdict(int)
    for event in events:
        if not isinstance(event, ev.ModelReplied):
            continue
        before = costs[event.scope]
        known = before is not None and event.cost_usd is not None
        costs[event.scope] = before + event.cost_usd if known else None  # type: ignore[operator]
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
    chance = log_probability(found, plan, rules)
    if not math.isfinite(chance):
        raise Unusable("runs whose log does not fit together")
    each = (
        []
        if plan.stops
        else [_known(spent[f"{name}-{arguments.turn}"]) for name in arguments.roles]
    )
    return PlayedTurn(
        context=context,
        blocked=tuple(int(role) for role in np.flatnonzero(found.roles == 0.0)),
        plan=plan,
        costs_usd=tuple(one.cost_usd or 0.0 for one in each),
        mean_logprobs=tuple(one.mean_logprob for one in each),
        drawn_with=chance,
    )


def _plan(reading: _Reading, arguments: _TurnArguments, tiers: Mapping[str, int]) -> TurnPlan:
    try:
        roles = tuple(ROLE_INDEX[name] for name in arguments.roles)
        on = tuple(tiers[name] for name in arguments.tiers)
    except KeyError as error:
        raise Unusable("runs whose log does not fit together") from error
    stops = reading.started is not None and reading.started.reason == "sampled_stop"
    if len(set(roles)) != len(roles) or stops != (EARLY_STOP in roles):
        raise Unusable("runs whose log does not fit together")
    if len(on) != (0 if stops else len(roles)):
        raise Unusable("runs whose log does not fit together")
    return TurnPlan(roles, on)


def _known(spent: Spent) -> Spent:
    if spent.cost_usd is None:
        raise Unusable("runs on tiers without prices")
    return spent
