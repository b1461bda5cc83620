"""MasRouter's cascade: a mode of collaboration, how many agents, their roles, and a tier for each.

Source: MasRouter (arXiv 2502.11133) by its public code as described in the method reference: one
decision a query; cosine scores; agents = round(6 * sigmoid); roles one by one, each knowing those
before; everything drawn, at test time too. Left out: the task classifier and its cross-entropy (our
tasks carry no class), the variational encoders and their loss (the frozen vectors are projected
linearly to the same 64 numbers), models described by texts (each tier has a learned vector). Plain
numpy: nothing here can train.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collab_core.agents.prompts import prompt
from collab_core.domain import TierSnapshot
from collab_core.learned.encoders import Encoder
from collab_core.learned.store import Weights

Array = NDArray[np.float64]
KIND = "masrouter"
MAX_AGENTS = 6
HIDDEN = 64
SHARPNESS = 5.0
"""Of a cosine before its softmax at the start; learned from there on. Ours."""


class Mode(NamedTuple):
    """A way to work together; ``text`` is what its agents are told and what is embedded."""

    name: str
    title: str

    @property
    def text(self) -> str:
        return prompt(f"masrouter_mode_{self.name}")


class Expert(NamedTuple):
    """A role an agent can have."""

    name: str
    title: str

    @property
    def text(self) -> str:
        return prompt(f"masrouter_{self.name}")


MODES: tuple[Mode, ...] = (
    Mode("io", "IO"),
    Mode("cot", "CoT"),
    Mode("chain", "Chain"),
    Mode("full_connected", "FullConnected"),
    Mode("debate", "Debate"),
    Mode("reflection", "Reflection"),
)
EXPERTS: tuple[Expert, ...] = (
    Expert("analyst", "Analyst"),
    Expert("mathematician", "Mathematician"),
    Expert("programmer", "Programmer"),
    Expert("inspector", "Inspector"),
    Expert("researcher", "Researcher"),
    Expert("scientist", "Scientist"),
    Expert("historian", "Historian"),
    Expert("critic", "Critic"),
)
MODE_INDEX = {mode.name: index for index, mode in enumerate(MODES)}
EXPERT_INDEX = {expert.name: index for index, expert in enumerate(EXPERTS)}


class ModeScores(NamedTuple):
    """``modes`` (6,) sum to 1; ``sizes`` (6,): sigmoid of each mode, in 0..1."""

    modes: Array
    sizes: Array


class SeatScores(NamedTuple):
    """``experts`` (E,) sum to 1, 0 = blocked; ``tiers`` (E, M), rows sum to 1."""

    experts: Array
    tiers: Array


class Seat(NamedTuple):
    expert: int
    tier: int


class Team(NamedTuple):
    """The whole decision."""

    mode: int
    seats: tuple[Seat, ...]


def fresh_parameters(dim: int, tiers: int, *, seed: int, hidden: int = HIDDEN) -> dict[str, Array]:
    """Return random weights: nearly uniform, about three agents."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> Array:
        return rng.normal(0.0, 0.2, size=shape)

    return {
        "mode_question": draw(dim, hidden),
        "mode_mode": draw(dim, hidden),
        "mode_sharpness": np.array([SHARPNESS]),
        "size_question": draw(dim, hidden),
        "size_mode": draw(dim, hidden),
        "size_out": draw(hidden),
        "size_bias": np.zeros(1),
        "expert_question": draw(dim, hidden),
        "expert_mode": draw(dim, hidden),
        "expert_before": draw(dim, hidden),
        "expert_expert": draw(dim, hidden),
        "expert_sharpness": np.array([SHARPNESS]),
        "tier_question": draw(dim, hidden),
        "tier_mode": draw(dim, hidden),
        "tier_expert": draw(dim, hidden),
        "tier_tier": draw(hidden, tiers),
    }


def cosine(left: Any, right: Any, sharpness: Any, xp: Any = np) -> Any:
    """Return sharpness * cosine of each row of ``left`` (n, h) with each of ``right`` (k, h)."""

    def unit(rows: Any) -> Any:
        return rows / xp.sqrt(xp.sum(rows**2, axis=-1, keepdims=True) + 1e-12)

    return sharpness[0] * xp.dot(unit(left), unit(right).T)


def mode_logits(params: Mapping[str, Any], question: Array, modes: Array, xp: Any = np) -> Any:
    """Return (n, 6) before the softmax; ``question`` (n, D), ``modes`` (6, D)."""
    return cosine(
        question @ params["mode_question"],
        modes @ params["mode_mode"],
        params["mode_sharpness"],
        xp,
    )


def size_logits(params: Mapping[str, Any], question: Array, mode: Array, xp: Any = np) -> Any:
    """Return (n,) before the sigmoid; ``question`` and ``mode`` (n, D)."""
    hidden = xp.tanh(question @ params["size_question"] + mode @ params["size_mode"])
    return xp.dot(hidden, params["size_out"]) + params["size_bias"][0]


def expert_logits(
    params: Mapping[str, Any],
    question: Array,
    mode: Array,
    before: Array,
    experts: Array,
    xp: Any = np,
) -> Any:
    """Return (n, E) before the softmax; ``before`` (n, D): mean vector of the roles so far."""
    state = (
        question @ params["expert_question"]
        + mode @ params["expert_mode"]
        + before @ params["expert_before"]
    )
    return cosine(state, experts @ params["expert_expert"], params["expert_sharpness"], xp)


def tier_logits(
    params: Mapping[str, Any], question: Array, mode: Array, expert: Array, xp: Any = np
) -> Any:
    """Return (n, M) before the softmax; all inputs (n, D)."""
    hidden = xp.tanh(
        question @ params["tier_question"]
        + mode @ params["tier_mode"]
        + expert @ params["tier_expert"]
    )
    return xp.dot(hidden, params["tier_tier"])


def softmax(logits: Array) -> Array:
    """Return softmax along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -60.0, 60.0))))


class Cascade:
    """The networks at work on one query after the other."""

    def __init__(self, params: Mapping[str, Array], modes: Array, experts: Array) -> None:
        """``modes`` (6, D) and ``experts`` (E, D): their embedded texts."""
        self.params, self.modes, self.experts = params, modes, experts

    def look_at_modes(self, question: Array) -> ModeScores:
        """``question`` (D,)."""
        wide = np.broadcast_to(question, self.modes.shape)
        return ModeScores(
            softmax(mode_logits(self.params, question[None], self.modes)[0]),
            sigmoid(size_logits(self.params, wide, self.modes)),
        )

    def look_at_seat(
        self, question: Array, mode: int, before: Sequence[int], blocked: Sequence[int] = ()
    ) -> SeatScores:
        """Return who may take the next seat; ``before``: the roles of those that sit already."""
        history = before_vector(self.experts, before)
        chosen = self.modes[mode]
        logits = expert_logits(
            self.params, question[None], chosen[None], history[None], self.experts
        )[0]
        logits[list(blocked)] = -np.inf
        asked, how = (np.broadcast_to(vector, self.experts.shape) for vector in (question, chosen))
        tiers = tier_logits(self.params, asked, how, self.experts)
        return SeatScores(softmax(logits), softmax(tiers))


def before_vector(experts: Array, before: Sequence[int]) -> Array:
    """Return (D,): the mean vector of the roles so far, zeros if there are none."""
    return np.asarray(experts[list(before)].mean(axis=0) if before else np.zeros(experts.shape[1]))


def draw_mode(found: ModeScores, chance: random.Random | None) -> int:
    """Draw a mode; without ``chance`` the most probable one."""
    return _draw(found.modes, chance)


def draw_size(share: float, chance: random.Random | None, *, explore: bool) -> int:
    """Return the number of agents, 1..6.

    round(6 * share) as in the public code; exploring, each of 6 agents is there with probability
    ``share`` (ours: a rounded number has no gradient).

    >>> [draw_size(share, None, explore=False) for share in (0.0, 0.5, 0.58, 0.59, 1.0)]
    [1, 3, 3, 4, 6]
    """
    if explore and chance is not None:
        size = sum(chance.random() < share for _ in range(MAX_AGENTS))
    else:
        size = math.floor(MAX_AGENTS * share + 0.5)
    return max(1, min(MAX_AGENTS, size))


def draw_seat(found: SeatScores, chance: random.Random | None) -> Seat:
    """Draw a role, then its tier."""
    expert = _draw(found.experts, chance)
    return Seat(expert, _draw(found.tiers[expert], chance))


def _draw(probabilities: Array, chance: random.Random | None) -> int:
    if chance is None:
        return int(np.argmax(probabilities))
    weights = [float(value) for value in probabilities]
    return chance.choices(range(len(weights)), weights=weights)[0]


def size_log_probability(share: float, size: int) -> float:
    """Return log P(size) when exploring; 0 and 1 agents both give 1.

    >>> round(math.exp(size_log_probability(0.5, 1)), 6) == 7 / 64
    True
    >>> round(sum(math.exp(size_log_probability(0.3, n)) for n in range(1, 7)), 9)
    1.0
    """
    share = min(max(share, 1e-9), 1 - 1e-9)

    def of(count: int) -> float:
        return math.comb(MAX_AGENTS, count) * share**count * (1 - share) ** (MAX_AGENTS - count)

    return math.log(of(0) + of(1) if size == 1 else of(size))


@dataclass(frozen=True, kw_only=True)
class MasRouterScorer:
    """The cascade with the encoder it reads through: a scorer for the engine."""

    name: str
    digest: str
    stand_in: bool
    params: Mapping[str, Array]
    modes: Array
    experts: Array
    encoder: Encoder

    @cached_property
    def cascade(self) -> Cascade:
        return Cascade(self.params, self.modes, self.experts)

    def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
        """``texts`` = question: 6 mode probabilities, 6 sizes. ``texts`` = question, mode, roles so
        far, blocked roles (names with spaces between): E role probabilities, E rows of M tiers."""
        question = self.encoder.encode([texts[0]]).astype(np.float64)[0]
        if len(texts) == 1:
            found = self.cascade.look_at_modes(question)
            return (*found.modes.tolist(), *found.sizes.tolist())
        _, mode, before, blocked = texts
        seat = self.cascade.look_at_seat(
            question,
            MODE_INDEX[mode],
            [EXPERT_INDEX[name] for name in before.split()],
            [EXPERT_INDEX[name] for name in blocked.split()],
        )
        return (*seat.experts.tolist(), *seat.tiers.ravel().tolist())


def read_mode_scores(values: Sequence[float]) -> ModeScores:
    """Read the first answer of :meth:`MasRouterScorer.score`."""
    numbers = np.asarray(values, dtype=np.float64)
    return ModeScores(numbers[: len(MODES)], numbers[len(MODES) :])


def read_seat_scores(values: Sequence[float]) -> SeatScores:
    """Read a later one."""
    numbers = np.asarray(values, dtype=np.float64)
    return SeatScores(numbers[: len(EXPERTS)], numbers[len(EXPERTS) :].reshape(len(EXPERTS), -1))


def embed(encoder: Encoder, entries: Sequence[Mode] | Sequence[Expert]) -> Array:
    """Return (n, D): what the encoder makes of the entries' texts."""
    return encoder.encode([entry.text for entry in entries]).astype(np.float64)


def untrained(encoder: Encoder, tiers: Sequence[TierSnapshot], *, seed: int) -> MasRouterScorer:
    """Return a router that has learned nothing: nearly uniform, and named so."""
    return MasRouterScorer(
        name="untrained",
        digest=f"untrained-{seed}-{len(tiers)}-{encoder.digest[:16]}",
        stand_in=encoder.stand_in,
        params=fresh_parameters(encoder.dim, len(tiers), seed=seed),
        modes=embed(encoder, MODES),
        experts=embed(encoder, EXPERTS),
        encoder=encoder,
    )


def from_weights(weights: Weights, encoder: Encoder) -> MasRouterScorer:
    """Return the router of a weights folder.

    Raises:
        InvalidInput: a tensor is missing or misshapen.
    """
    manifest, dim = weights.manifest, encoder.dim
    tiers = len(manifest.ladder)
    hidden = weights.take("size_out", None).shape[0]
    shapes = {
        name: value.shape
        for name, value in fresh_parameters(dim, tiers, seed=0, hidden=hidden).items()
    }
    return MasRouterScorer(
        name=manifest.name,
        digest=manifest.digest,
        stand_in=encoder.stand_in,
        params={name: weights.take(name, *shape) for name, shape in shapes.items()},
        modes=weights.take("modes", len(MODES), dim),
        experts=weights.take("experts", len(EXPERTS), dim),
        encoder=encoder,
    )
