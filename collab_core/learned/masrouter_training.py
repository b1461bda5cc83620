"""Training MasRouter's cascade by REINFORCE, in a world or on logged runs.

Source: MasRouter's public code as described in the method reference: utility = solved - cost_rate *
cost in US dollars, Adam with 0.01, batches of 16, no baseline. Its task cross-entropy and its
variational loss are left out with the parts they belong to.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import autograd.numpy as anp
import numpy as np

from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.encoders import Encoder
from collab_core.learned.masrouter import (
    EXPERTS,
    MAX_AGENTS,
    MODES,
    Array,
    Cascade,
    Seat,
    Team,
    before_vector,
    draw_mode,
    draw_seat,
    draw_size,
    embed,
    expert_logits,
    fresh_parameters,
    mode_logits,
    size_logits,
    tier_logits,
)
from collab_core.learned.masrouter_episodes import TeamEpisode, TeamWorld, utility
from collab_core.learned.masrouter_options import MasRouterOptions
from collab_core.learned.oi_mas_episodes import Embeddings
from collab_core.learned.reinforce import (
    History,
    Loss,
    MovingAverage,
    Progress,
    descend,
    fading,
    importance_weights,
    log_softmax,
    weigh,
)

BLOCKED = -1e9
MAX_IMPORTANCE = 5.0


class Chooser:
    """The present networks at work; ``seed`` None = always the most probable."""

    def __init__(self, cascade: Cascade, embeddings: Embeddings, seed: int | None) -> None:
        self.cascade, self._embeddings = cascade, embeddings
        self._chance = None if seed is None else random.Random(seed)

    @property
    def draws(self) -> bool:
        """True = it explores."""
        return self._chance is not None

    def team(self, question: str, *, blocked: Sequence[int] = ()) -> Team:
        vector = self._embeddings.of([question])[0]
        found = self.cascade.look_at_modes(vector)
        mode = draw_mode(found, self._chance)
        size = draw_size(float(found.sizes[mode]), self._chance, explore=True)
        seats: list[Seat] = []
        for _ in range(size):
            before = [seat.expert for seat in seats]
            scores = self.cascade.look_at_seat(vector, mode, before, blocked)
            seats.append(draw_seat(scores, self._chance))
        return Team(mode, tuple(seats))


@dataclass(frozen=True, kw_only=True)
class TeamBatch:
    """Decisions as arrays: N episodes, A seats."""

    question: Array
    """(N, D)."""
    mode: Array
    """(N, 6), one-hot."""
    size: Array
    """(N,) int."""
    seat_of: Array
    """(A,) int: whose seat."""
    before: Array
    """(A, D)."""
    expert: Array
    """(A, E), one-hot."""
    blocked: Array
    """(A, E): 0, or a large negative number."""
    tier: Array
    """(A, M), one-hot."""


def pack(
    episodes: Sequence[TeamEpisode], embeddings: Embeddings, experts: Array, tiers: int
) -> TeamBatch:
    """Return the episodes as arrays; ``experts`` (E, D)."""
    seats = [
        (number, [s.expert for s in e.team.seats[:place]], seat, e.blocked)
        for number, e in enumerate(episodes)
        for place, seat in enumerate(e.team.seats)
    ]
    blocked = np.zeros((len(seats), len(EXPERTS)))
    for row, (_, _, _, names) in enumerate(seats):
        blocked[row, list(names)] = BLOCKED
    return TeamBatch(
        question=embeddings.of([e.question for e in episodes]),
        mode=np.eye(len(MODES))[[e.team.mode for e in episodes]],
        size=np.array([len(e.team.seats) for e in episodes], dtype=np.intp),
        seat_of=np.array([number for number, *_ in seats], dtype=np.intp),
        before=np.stack([before_vector(experts, before) for _, before, _, _ in seats]),
        expert=np.eye(len(EXPERTS))[[seat.expert for _, _, seat, _ in seats]],
        blocked=blocked,
        tier=np.eye(tiers)[[seat.tier for _, _, seat, _ in seats]],
    )


def team_terms(
    params: Any, batch: TeamBatch, modes: Array, experts: Array, xp: Any
) -> tuple[Any, Any]:
    """Return the log-probability of each team, (N,), and the entropy of what it drew from, (N,)."""
    logs = log_softmax(mode_logits(params, batch.question, modes, xp), xp)
    total = xp.sum(batch.mode * logs, axis=1)
    entropy = -xp.sum(xp.exp(logs) * logs, axis=1)
    chosen = batch.mode @ modes
    total = total + _size_logs(size_logits(params, batch.question, chosen, xp), batch.size, xp)
    at = batch.seat_of
    owner = np.asarray(np.arange(len(batch.size))[:, None] == at[None, :], dtype=np.float64)
    logits = expert_logits(params, batch.question[at], chosen[at], batch.before, experts, xp)
    by_tier = tier_logits(params, batch.question[at], chosen[at], batch.expert @ experts, xp)
    for raw, picked in ((logits + batch.blocked, batch.expert), (by_tier, batch.tier)):
        logs = log_softmax(raw, xp)
        total = total + xp.dot(owner, xp.sum(picked * logs, axis=1))
        entropy = entropy - xp.dot(owner, xp.sum(xp.exp(logs) * logs, axis=1))
    return total, entropy


def _size_logs(logits: Any, size: Array, xp: Any) -> Any:
    """Return log P(size): binomial of 6, with 0 and 1 taken together; see
    ``masrouter.size_log_probability``."""
    there = -xp.logaddexp(0.0, -logits)
    absent = -xp.logaddexp(0.0, logits)
    counts = np.maximum(size, 1)
    ways = np.array([1, 6, 15, 20, 15, 6, 1])[counts]
    usual = np.log(ways) + counts * there + (MAX_AGENTS - counts) * absent
    # P(0) + P(1) = (1 - p)^5 * (1 + 5 p)
    single = (MAX_AGENTS - 1) * absent + xp.log(1.0 + (MAX_AGENTS - 1) * xp.exp(there))
    return xp.where(size == 1, single, usual)


def reinforce_loss(
    batch: TeamBatch, modes: Array, experts: Array, weights: Array, *, entropy: float = 0.0
) -> Loss:
    """Return ``params -> -(1/N) sum_i weights_i * log pi(team_i)``, less the entropy bonus."""

    def loss(params: Any) -> Any:
        log_probability, spread = team_terms(params, batch, modes, experts, anp)
        return -(anp.sum(weights * log_probability) + entropy * anp.sum(spread)) / len(weights)

    return loss


@dataclass(frozen=True, kw_only=True)
class TrainedCascade:
    """What a training made; ``params``, ``modes`` and ``experts`` are what a weights folder holds."""

    params: Mapping[str, Array]
    modes: Array
    experts: Array
    embeddings: Embeddings
    history: History

    def chooser(self, *, seed: int | None = None) -> Chooser:
        """Return the router at work; without a seed it takes the most probable."""
        return Chooser(Cascade(self.params, self.modes, self.experts), self.embeddings, seed)


def train_in_world(
    world: TeamWorld,
    indices: Sequence[int],
    *,
    encoder: Encoder,
    tiers: Sequence[TierSnapshot],
    options: MasRouterOptions,
    seed: int,
    progress: Progress = lambda fraction, text: None,
) -> TrainedCascade:
    """Train on the world's questions with these numbers; each batch is drawn by the present weights.

    Raises:
        InvalidInput: no questions, or the training diverged.
    """
    _need(indices, "questions to train on")
    chance = random.Random(seed)

    def play(cascade: Cascade, embeddings: Embeddings, step: int) -> Sequence[TeamEpisode]:
        chooser = Chooser(cascade, embeddings, seed * 1_000_003 + step)
        drawn = chance.choices(indices, k=options.batch)
        return world.play(drawn, chooser, seed=chance.getrandbits(32))

    return _train(play, encoder, len(tiers), options, seed, progress, logged=False)


def train_on_episodes(
    episodes: Sequence[TeamEpisode],
    *,
    encoder: Encoder,
    tiers: Sequence[TierSnapshot],
    options: MasRouterOptions,
    seed: int,
    progress: Progress = lambda fraction, text: None,
) -> TrainedCascade:
    """Train on runs that other weights drew; each is weighed by ``options.importance``.

    Raises:
        InvalidInput: no episodes, one whose likelihood is not known, or the training diverged.
    """
    _need(episodes, "runs to train on")
    if options.importance == "clipped" and any(e.drawn_with is None for e in episodes):
        raise InvalidInput(
            "A run does not say how likely its decisions were.",
            field="importance",
            hint="Set importance = none, or use runs of the strategy masrouter with explore on.",
        )
    chance = random.Random(seed)

    def draw(cascade: Cascade, embeddings: Embeddings, step: int) -> Sequence[TeamEpisode]:
        return chance.choices(episodes, k=options.batch)

    return _train(draw, encoder, len(tiers), options, seed, progress, logged=True)


class _Draw(Protocol):
    def __call__(
        self, cascade: Cascade, embeddings: Embeddings, step: int
    ) -> Sequence[TeamEpisode]: ...


def _train(
    draw: _Draw,
    encoder: Encoder,
    tiers: int,
    options: MasRouterOptions,
    seed: int,
    progress: Progress,
    *,
    logged: bool,
) -> TrainedCascade:
    modes, experts = embed(encoder, MODES), embed(encoder, EXPERTS)
    embeddings, history = Embeddings(encoder), History()
    baseline = MovingAverage() if options.baseline else None

    def loss_of(params: dict[str, Array], step: int) -> Loss:
        episodes = draw(Cascade(params, modes, experts), embeddings, step)
        batch = pack(episodes, embeddings, experts, tiers)
        importance = None
        if logged and options.importance == "clipped":
            now, _ = team_terms(params, batch, modes, experts, np)
            then = np.array([e.drawn_with for e in episodes], dtype=np.float64)
            importance = importance_weights(now, then, largest=MAX_IMPORTANCE).tolist()
        earned = [utility(e, options.cost_rate) for e in episodes]
        history.rewards.append(float(np.mean([e.reward for e in episodes])))
        history.penalties.append(history.rewards[-1] - float(np.mean(earned)))
        weights = weigh(earned, baseline, importance)
        return reinforce_loss(
            batch, modes, experts, weights, entropy=fading(options.entropy, step, options.steps)
        )

    params = descend(
        fresh_parameters(encoder.dim, tiers, seed=seed),
        loss_of,
        steps=options.steps,
        learning_rate=options.learning_rate,
        progress=progress,
        history=history,
    )
    return TrainedCascade(
        params=params, modes=modes, experts=experts, embeddings=embeddings, history=history
    )


def _need(given: Sequence[object], what: str) -> None:
    if not given:
        raise InvalidInput(f"There are no {what}.", field="logs")
