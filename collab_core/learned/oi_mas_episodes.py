"""What OI-MAS's conductor did on one task and what came of it: the material of its training."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from collab_core.learned.confidence import ConfidenceScale
from collab_core.learned.encoders import Encoder
from collab_core.learned.oi_mas import (
    EARLY_STOP,
    ROLES,
    Array,
    Distributions,
    Networks,
    Rules,
    TurnPlan,
    choose,
)


@dataclass(frozen=True, kw_only=True)
class PlayedTurn:
    """One turn: the state, the plan, and what each activation cost.

    ``costs_usd`` and ``mean_logprobs`` hold one entry for each tier of the plan, in its order.
    """

    context: str
    blocked: tuple[int, ...] = ()
    plan: TurnPlan
    costs_usd: tuple[float, ...] = ()
    mean_logprobs: tuple[float | None, ...] = ()
    drawn_with: float | None = None
    """Log-probability of the plan under the weights that drew it; None = not known."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """``reward`` is 1 for a correct answer and 0 for a wrong one (r of Eq. 5)."""

    question: str
    turns: tuple[PlayedTurn, ...]
    reward: float
    extra_usd: float = 0.0
    """Spent outside any turn: on the Generator that must answer at last."""

    @property
    def cost_usd(self) -> float:
        return self.extra_usd + sum(cost for turn in self.turns for cost in turn.costs_usd)


class Conducting(Protocol):
    """What a world asks while it plays: who acts in this state?"""

    def plan(
        self, question: str, context: str, *, turn: int, blocked: Sequence[int] = ()
    ) -> TurnPlan:
        """Return the plan of ``turn`` (from 1); ``blocked`` roles cannot be chosen."""
        ...


class OIMasWorld(Protocol):
    """Where a conductor is trained live: a simulation, or a ladder with real runs."""

    questions: Sequence[str]

    def play(
        self, indices: Sequence[int], conducting: Conducting, *, seed: int
    ) -> Sequence[Episode]:
        """Play the questions with these numbers and return one episode each, in order."""
        ...


class Embeddings:
    """Every text is encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Array] = {}

    def of(self, texts: Sequence[str]) -> Array:
        """Return float64 (n, D)."""
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        if new:
            for text, vector in zip(new, self._encoder.encode(new), strict=True):
                self._known[text] = vector.astype(np.float64)
        if not texts:
            return np.zeros((0, self._encoder.dim))
        return np.stack([self._known[text] for text in texts])


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The decisions of some episodes as arrays: S turns with at most K roles, A activations."""

    question: Array
    """(S, D)."""
    context: Array
    blocked: Array
    """(S, R): 0, or minus infinity where a role could not be chosen."""
    chosen: Array
    """(K, S, R): one-hot of the k-th role taken; all 0 where fewer were."""
    turn_episode: Array
    """(S,) int: the episode of each turn."""
    turn_of: Array
    """(A,) int: the turn of each activation."""
    role: Array
    """(A, D): its role's embedded text."""
    tier: Array
    """(A, M): one-hot of its tier."""
    episodes: int


def pack(episodes: Sequence[Episode], embeddings: Embeddings, roles: Array, tiers: int) -> Batch:
    """Return the episodes as arrays; ``roles`` (R, D)."""
    turns = [(number, turn) for number, e in enumerate(episodes) for turn in e.turns]
    most = max((len(turn.plan.roles) for _, turn in turns), default=0)
    chosen = np.zeros((most, len(turns), len(ROLES)))
    blocked = np.zeros((len(turns), len(ROLES)))
    acting: list[tuple[int, int, int]] = []
    for row, (_, turn) in enumerate(turns):
        blocked[row, list(turn.blocked)] = -np.inf
        for place, role in enumerate(turn.plan.roles):
            chosen[place, row, role] = 1.0
        if not turn.plan.stops:
            acting += [(row, r, t) for r, t in zip(turn.plan.roles, turn.plan.tiers, strict=True)]
    return Batch(
        question=embeddings.of([episodes[number].question for number, _ in turns]),
        context=embeddings.of([turn.context for _, turn in turns]),
        blocked=blocked,
        chosen=chosen,
        turn_episode=np.array([number for number, _ in turns], dtype=np.intp),
        turn_of=np.array([row for row, _, _ in acting], dtype=np.intp),
        role=roles[[role for _, role, _ in acting]],
        tier=np.eye(tiers)[[tier for _, _, tier in acting]],
        episodes=len(episodes),
    )


def penalty(
    episode: Episode,
    scale: ConfidenceScale,
    *,
    cost_weight: float,
    confidence: bool = True,
) -> float:
    """Return the cost term of Eq. 5: the sum of lambda * Conf_adj * C over an episode.

    ``confidence`` off is Table 3's "w/o Conf": every weight is 1. So it is for ``extra_usd``.
    """
    total = episode.extra_usd
    for turn in episode.turns:
        for tier, cost, logprob in zip(
            turn.plan.tiers, turn.costs_usd, turn.mean_logprobs, strict=True
        ):
            total += cost * (scale.adjusted(tier, logprob) if confidence else 1.0)
    return cost_weight * total


class Player:
    """The present networks at work in a world; greedy without ``chance``."""

    def __init__(
        self,
        params: Mapping[str, Array],
        roles: Array,
        embeddings: Embeddings,
        rules: Rules,
        seed: int | None,
    ) -> None:
        """``seed`` None = inference: the most probable roles and tiers."""
        self.params, self.roles, self.rules = params, roles, rules
        self._networks, self._embeddings = Networks(params, roles), embeddings
        self._chance = None if seed is None else random.Random(seed)

    @property
    def draws(self) -> bool:
        """True = it explores."""
        return self._chance is not None

    def plan(
        self, question: str, context: str, *, turn: int, blocked: Sequence[int] = ()
    ) -> TurnPlan:
        return choose(
            self.look(question, context, blocked), self.rules, turn=turn, chance=self._chance
        )

    def look(self, question: str, context: str, blocked: Sequence[int] = ()) -> Distributions:
        """Return what the networks say of a state."""
        stopped = set(blocked) if self.rules.early_stop else {*blocked, EARLY_STOP}
        vectors = self._embeddings.of([question, context])
        return self._networks.look(vectors[0], vectors[1], sorted(stopped))
