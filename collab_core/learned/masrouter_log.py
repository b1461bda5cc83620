"""Logged runs of MasRouter read back into episodes: hostile text in, checked numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from collab_core import events as ev
from collab_core.learned.explored import Unusable
from collab_core.learned.logs import LoggedRun
from collab_core.learned.masrouter import (
    EXPERT_INDEX,
    EXPERTS,
    MAX_AGENTS,
    MODE_INDEX,
    MODES,
    Seat,
    Team,
    read_mode_scores,
    read_seat_scores,
    size_log_probability,
)
from collab_core.learned.masrouter_episodes import TeamEpisode
from collab_core.learned.oi_mas_log import queued_parameters

STRATEGY = "masrouter"
_MISFIT = "runs whose log does not fit together"


class _StageArguments(msgspec.Struct):
    """What the record of a stage says of the team."""

    mode: str
    roles: list[str]
    tiers: list[str]


def read_episode(
    run: LoggedRun, *, need_costs: bool = True, need_draws: bool = True
) -> TeamEpisode:
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
    if need_draws and not queued_parameters(run.events).get("explore", False):
        raise Unusable("runs without explore")
    if run.cost_usd is None and need_costs:
        raise Unusable("runs on tiers without prices")
    scored = [e.values for e in run.events if isinstance(e, ev.ScorerReturned) and not e.scope]
    tiers = [tier.name for tier in run.ladder]
    team = _team(_first_stage(run.events), tiers)
    blocked, chance = _likelihood(team, scored, len(tiers))
    return TeamEpisode(
        question=run.task.question,
        team=team,
        blocked=blocked,
        cost_usd=run.cost_usd or 0.0,
        reward=float(run.correct),
        drawn_with=chance,
    )


def _first_stage(events: Sequence[ev.AnyEvent]) -> _StageArguments:
    for event in events:
        if isinstance(event, ev.ToolReturned) and event.delegated and not event.scope:
            try:
                return msgspec.json.decode(event.arguments, type=_StageArguments)
            except msgspec.DecodeError as error:
                raise Unusable(_MISFIT) from error
    raise Unusable(_MISFIT)


def _team(stage: _StageArguments, tiers: Sequence[str]) -> Team:
    if not 1 <= len(stage.roles) <= MAX_AGENTS or len(stage.roles) != len(stage.tiers):
        raise Unusable(_MISFIT)
    try:
        seats = tuple(
            Seat(EXPERT_INDEX[role], tiers.index(tier))
            for role, tier in zip(stage.roles, stage.tiers, strict=True)
        )
        return Team(MODE_INDEX[stage.mode], seats)
    except (KeyError, ValueError) as error:
        raise Unusable(_MISFIT) from error


def _likelihood(
    team: Team, scored: Sequence[Sequence[float]], tiers: int
) -> tuple[tuple[int, ...], float]:
    """Return the roles that were blocked, and the log-probability of the team."""
    sizes = [2 * len(MODES)] + [len(EXPERTS) * (1 + tiers)] * len(team.seats)
    if [len(values) for values in scored] != sizes:
        raise Unusable(_MISFIT)
    modes = read_mode_scores(scored[0])
    seats = [read_seat_scores(values) for values in scored[1:]]
    chances: list[Any] = [modes.modes[team.mode]]
    for found, seat in zip(seats, team.seats, strict=True):
        chances += [found.experts[seat.expert], found.tiers[seat.expert, seat.tier]]
    if not all(0.0 < chance <= 1.0 for chance in chances):
        raise Unusable(_MISFIT)
    total = sum(math.log(chance) for chance in chances)
    total += size_log_probability(float(modes.sizes[team.mode]), len(team.seats))
    blocked = tuple(int(role) for role in np.flatnonzero(seats[0].experts == 0.0))
    return blocked, total
