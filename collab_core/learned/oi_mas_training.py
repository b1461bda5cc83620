"""Training OI-MAS's conductor by REINFORCE, in a world or on logged runs.

Source: OI-MAS, Eq. 5: minimise E[-r + sum_t lambda * Conf_adj * C]. The text names no estimator; ours
is the one of the code it extends (MaAS): minimise the mean over queries of
``-(sum_t log pi_t) * (r - lambda * sum_t sg[Conf_adj_t] * C_t)``, sg = held constant. A moving-average
baseline may be taken off the return.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np

from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.confidence import ConfidenceScale
from collab_core.learned.encoders import Encoder
from collab_core.learned.oi_mas import (
    Array,
    Rules,
    embed_roles,
    fresh_parameters,
    role_logits,
    tier_logits,
)
from collab_core.learned.oi_mas_episodes import (
    Batch,
    Embeddings,
    Episode,
    OIMasWorld,
    Player,
    pack,
    penalty,
)
from collab_core.learned.oi_mas_options import OIMasOptions
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

TINY = 1e-12
"""Keeps a logarithm finite when theta lets every role be taken."""
BLOCKED = -1e9
"""Instead of minus infinity, whose product with 0 is no number."""


MAX_IMPORTANCE = 5.0


@dataclass(frozen=True, kw_only=True)
class TrainedConductor:
    """What a training made; ``params`` and ``roles`` are what a weights folder holds."""

    params: Mapping[str, Array]
    roles: Array
    rules: Rules
    embeddings: Embeddings
    history: History
    unknown_confidence: int
    """Activations whose server gave no log-probabilities; they were charged in full."""

    def player(self, *, seed: int | None = None) -> Player:
        """Return the conductor as it would run; with a seed it draws instead."""
        return Player(self.params, self.roles, self.embeddings, self.rules, seed)


class PlanTerms(NamedTuple):
    """Of each turn, (S,): the log-probability of its plan, and the entropy of what it drew from."""

    log_probability: Any
    entropy: Any


def plan_terms(params: Any, batch: Batch, roles: Array, rules: Rules, xp: Any) -> PlanTerms:
    """Return what the loss needs of each turn; see ``oi_mas.log_probability`` for its law."""
    total = entropy = xp.zeros(len(batch.turn_episode))
    if rules.role_router:
        blocked = np.maximum(batch.blocked, BLOCKED)
        logits = role_logits(params, batch.question, batch.context, roles, xp) + blocked
        logs = log_softmax(logits, xp)
        mass = xp.zeros(len(batch.turn_episode))
        for chosen in batch.chosen:
            taken = chosen.sum(axis=1)
            total = (
                total + xp.sum(chosen * logs, axis=1) - taken * xp.log(1.0 - mass * taken + TINY)
            )
            mass = mass + xp.sum(chosen * xp.exp(logs), axis=1)
        entropy = entropy - xp.sum(xp.exp(logs) * logs, axis=1)
    if rules.model_router and len(batch.turn_of):
        at = batch.turn_of
        logits = tier_logits(params, batch.question[at], batch.context[at], batch.role, xp)
        logs = log_softmax(logits, xp)
        turn_of = _membership(at, len(batch.turn_episode))
        total = total + xp.dot(turn_of, xp.sum(batch.tier * logs, axis=1))
        entropy = entropy - xp.dot(turn_of, xp.sum(xp.exp(logs) * logs, axis=1))
    return PlanTerms(total, entropy)


def episode_log_probabilities(
    params: Mapping[str, Array], batch: Batch, roles: Array, rules: Rules
) -> Array:
    """Return the log-probability of all decisions of each episode, (episodes,)."""
    each = plan_terms(params, batch, roles, rules, np).log_probability
    return np.asarray(_membership(batch.turn_episode, batch.episodes) @ each)


def reinforce_loss(
    batch: Batch, roles: Array, rules: Rules, weights: Array, *, entropy: float = 0.0
) -> Loss:
    """Return ``params -> -(1/N) sum_i weights_i * log pi(episode_i)``; ``weights`` (N,) constant.

    ``entropy`` times the mean entropy of all that was drawn is taken off (0 = the paper's loss).
    """

    def loss(params: Any) -> Any:
        terms = plan_terms(params, batch, roles, rules, anp)
        gain = weights[batch.turn_episode] * terms.log_probability
        return -(anp.sum(gain) + entropy * anp.sum(terms.entropy)) / batch.episodes

    return loss


def _membership(owner: Array, owners: int) -> Array:
    """Return (owners, n): 1 where column n belongs to the row."""
    return np.asarray(np.arange(owners)[:, None] == owner[None, :], dtype=np.float64)


@dataclass(kw_only=True)
class _Run:
    """What both ways of training share."""

    options: OIMasOptions
    roles: Array
    embeddings: Embeddings
    tiers: int
    history: History = field(default_factory=History)

    @classmethod
    def of(cls, options: OIMasOptions, encoder: Encoder, tiers: int) -> _Run:
        return cls(
            options=options,
            roles=embed_roles(encoder),
            embeddings=Embeddings(encoder),
            tiers=tiers,
        )

    def baseline(self) -> MovingAverage | None:
        return MovingAverage() if self.options.baseline else None

    def pack(self, episodes: Sequence[Episode]) -> Batch:
        return pack(episodes, self.embeddings, self.roles, self.tiers)

    def earned(self, episodes: Sequence[Episode], scale: ConfidenceScale) -> list[float]:
        """Return r - lambda * sum Conf_adj * C of each, and note the means."""
        charged = [
            penalty(
                episode,
                scale,
                cost_weight=self.options.effective_cost_weight,
                confidence=self.options.confidence,
            )
            for episode in episodes
        ]
        self.history.rewards.append(float(np.mean([episode.reward for episode in episodes])))
        self.history.penalties.append(float(np.mean(charged)))
        return [e.reward - p for e, p in zip(episodes, charged, strict=True)]

    def start(self, dim: int, seed: int) -> dict[str, Array]:
        hidden = (self.options.hidden_roles, self.options.hidden_tiers)
        return fresh_parameters(dim, self.tiers, seed=seed, hidden=hidden)

    def done(self, params: Mapping[str, Array], scale: ConfidenceScale) -> TrainedConductor:
        return TrainedConductor(
            params=params,
            roles=self.roles,
            rules=self.options.rules,
            embeddings=self.embeddings,
            history=self.history,
            unknown_confidence=scale.unknown,
        )


def train_in_world(
    world: OIMasWorld,
    indices: Sequence[int],
    *,
    encoder: Encoder,
    tiers: Sequence[TierSnapshot],
    options: OIMasOptions,
    seed: int,
    progress: Progress = lambda fraction, text: None,
) -> TrainedConductor:
    """Train on the world's questions with these numbers; each batch is drawn by the present weights.

    Raises:
        InvalidInput: no questions, or the training diverged.
    """
    _need(indices, "questions to train on")
    run = _Run.of(options, encoder, len(tiers))
    scale, baseline, chance = ConfidenceScale(len(tiers)), run.baseline(), random.Random(seed)

    def play(params: dict[str, Array], step: int) -> Loss:
        player = Player(params, run.roles, run.embeddings, options.rules, seed * 1_000_003 + step)
        drawn = chance.choices(indices, k=options.batch)
        episodes = world.play(drawn, player, seed=chance.getrandbits(32))
        weights = weigh(run.earned(episodes, scale), baseline)
        return reinforce_loss(
            run.pack(episodes),
            run.roles,
            options.rules,
            weights,
            entropy=fading(options.entropy, step, options.steps),
        )

    params = descend(
        run.start(encoder.dim, seed),
        play,
        steps=options.steps,
        learning_rate=options.learning_rate,
        progress=progress,
        history=run.history,
    )
    return run.done(params, scale)


def train_on_episodes(
    episodes: Sequence[Episode],
    *,
    encoder: Encoder,
    tiers: Sequence[TierSnapshot],
    options: OIMasOptions,
    seed: int,
    progress: Progress = lambda fraction, text: None,
) -> TrainedConductor:
    """Train on runs that other weights drew; each is weighed by ``options.importance``.

    Confidence statistics follow the order of ``episodes``.

    Raises:
        InvalidInput: no episodes, or the training diverged.
    """
    _need(episodes, "runs to train on")
    run = _Run.of(options, encoder, len(tiers))
    scale, baseline, chance = ConfidenceScale(len(tiers)), run.baseline(), random.Random(seed)
    earned = run.earned(episodes, scale)

    def draw(params: dict[str, Array], step: int) -> Loss:
        picked = chance.choices(range(len(episodes)), k=options.batch)
        batch = run.pack([episodes[at] for at in picked])
        importance = None
        if options.importance == "clipped":
            now = episode_log_probabilities(params, batch, run.roles, options.rules)
            then = np.array([drawn_with(episodes[at]) for at in picked])
            importance = importance_weights(now, then, largest=MAX_IMPORTANCE).tolist()
        weights = weigh([earned[at] for at in picked], baseline, importance)
        return reinforce_loss(
            batch,
            run.roles,
            options.rules,
            weights,
            entropy=fading(options.entropy, step, options.steps),
        )

    params = descend(
        run.start(encoder.dim, seed),
        draw,
        steps=options.steps,
        learning_rate=options.learning_rate,
        progress=progress,
        history=run.history,
    )
    return run.done(params, scale)


def drawn_with(episode: Episode) -> float:
    """Return the log-probability of the episode's decisions under the weights that drew them.

    Raises:
        InvalidInput: it is not known.
    """
    known = [turn.drawn_with for turn in episode.turns]
    if any(value is None for value in known):
        raise InvalidInput(
            "A run does not say how likely its decisions were.",
            field="importance",
            hint="Set importance = none, or use runs of the strategy oi-mas with explore on.",
        )
    return float(sum(value for value in known if value is not None))


def _need(given: Sequence[object], what: str) -> None:
    if not given:
        raise InvalidInput(f"There are no {what}.", field="logs")
