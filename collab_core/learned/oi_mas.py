"""OI-MAS's conductor: which roles act in a turn, and which tier each of them gets.

Source: OI-MAS, section 3.2 (Eq. 2 and 3), section 4.1 for its values. The text gives no sizes and no
form of the networks; ours are the smallest that fit it: both project frozen embeddings and compare
them, hidden sizes as in MaAS (32) and MasRouter (64). Plain numpy: nothing here can train.
"""

from __future__ import annotations

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
KIND = "oi-mas"


class Role(NamedTuple):
    """``solves``: what it writes can be the run's answer; the others only comment. ``reads``: it works
    on an answer, and has nothing to do before there is one."""

    name: str
    title: str
    solves: bool
    reads: bool = False

    @property
    def text(self) -> str:
        """Its instruction: what it is told, and what is embedded."""
        return prompt(f"oi_mas_{self.name}")


ROLES: tuple[Role, ...] = (
    Role("generator", "Generator", solves=True),
    Role("generator_cot", "GeneratorCoT", solves=True),
    Role("decomposer", "Decomposer", solves=False),
    Role("critique", "Critique", solves=False, reads=True),
    Role("ensembler", "Ensembler", solves=True, reads=True),
    Role("verifier", "Verifier", solves=False, reads=True),
    Role("refiner", "Refiner", solves=True, reads=True),
    Role("programmer", "Programmer", solves=True),
    Role("early_stop", "EarlyStop", solves=False, reads=True),
)
"""Section 4.1. EarlyStop is last: it runs no model."""
EARLY_STOP = len(ROLES) - 1
ROLE_INDEX = {role.name: index for index, role in enumerate(ROLES)}
FIXED_TURNS = ("generator_cot", "verifier", "refiner", "early_stop")
"""Without the role router (our ablation): this role alone in turn 1, 2, 3; then the end."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Values of section 4.1; the switches are the ablations of Table 3 and two of our own."""

    turns: int = 4
    """L."""
    theta: float = 0.3
    """Roles are taken until their probability reaches it."""
    model_router: bool = True
    """False = Table 3's "w/o G": every role runs on the top tier."""
    role_router: bool = True
    """False (ours) = the roles of FIXED_TURNS."""
    early_stop: bool = True
    """False (ours) = every run has L turns."""


class Distributions(NamedTuple):
    """What the two networks say of one state: ``roles`` (R,), ``tiers`` (R - 1, M); rows sum to 1.

    A role with probability 0 is blocked in this state.
    """

    roles: Array
    tiers: Array


class TurnPlan(NamedTuple):
    """``roles`` in the order they were taken; ``tiers`` one a role, EarlyStop left out."""

    roles: tuple[int, ...]
    tiers: tuple[int, ...]

    @property
    def stops(self) -> bool:
        """True = EarlyStop is among them: nobody acts, the run ends."""
        return EARLY_STOP in self.roles


def fresh_parameters(
    dim: int, tiers: int, *, seed: int, hidden: tuple[int, int] = (32, 64)
) -> dict[str, Array]:
    """Return small random weights: nearly uniform over roles and tiers.

    ``hidden`` = sizes of role network and model network.
    """
    rng = np.random.default_rng(seed)
    small, large = hidden

    def draw(*shape: int) -> Array:
        return rng.normal(0.0, 0.2, size=shape)

    return {
        "role_question": draw(dim, small),
        "role_context": draw(dim, small),
        "role_bias": np.zeros(small),
        "role_role": draw(dim, small),
        "tier_question": draw(dim, large),
        "tier_context": draw(dim, large),
        "tier_role": draw(dim, large),
        "tier_bias": np.zeros(large),
        "tier_tier": draw(large, tiers),
    }


def role_logits(
    params: Mapping[str, Any], question: Array, context: Array, roles: Array, xp: Any = np
) -> Any:
    """Return Eq. 2 before its softmax, (S, R): the projected similarity of states and roles.

    ``question`` and ``context`` (S, D), ``roles`` (R, D); ``xp`` is numpy or autograd.numpy.
    """
    state = question @ params["role_question"] + context @ params["role_context"]
    role = roles @ params["role_role"]
    return xp.dot(state + params["role_bias"], role.T) / np.sqrt(params["role_bias"].shape[0])


def tier_logits(
    params: Mapping[str, Any], question: Array, context: Array, role: Array, xp: Any = np
) -> Any:
    """Return Eq. 3 before its softmax, (A, M), for A triplets; all inputs (A, D)."""
    projected = (
        question @ params["tier_question"]
        + context @ params["tier_context"]
        + role @ params["tier_role"]
    )
    return xp.dot(xp.tanh(projected + params["tier_bias"]), params["tier_tier"])


def softmax(logits: Array) -> Array:
    """Return softmax along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


class Networks:
    """Both networks at work on one state after the other; the role texts are projected once."""

    def __init__(self, params: Mapping[str, Array], roles: Array) -> None:
        """``roles`` (R, D): the embedded role texts."""
        self._params = params
        self._role_keys = roles @ params["role_role"] / np.sqrt(params["role_bias"].shape[0])
        self._tier_keys = roles[:EARLY_STOP] @ params["tier_role"] + params["tier_bias"]

    def look(self, question: Array, context: Array, blocked: Sequence[int] = ()) -> Distributions:
        """Return Eq. 2 and 3 for one state; ``question`` and ``context`` (D,)."""
        p = self._params
        state = question @ p["role_question"] + context @ p["role_context"] + p["role_bias"]
        logits = self._role_keys @ state
        logits[list(blocked)] = -np.inf
        wide = question @ p["tier_question"] + context @ p["tier_context"]
        return Distributions(
            softmax(logits), softmax(np.tanh(wide + self._tier_keys) @ p["tier_tier"])
        )


def choose(
    found: Distributions, rules: Rules, *, turn: int, chance: random.Random | None
) -> TurnPlan:
    """Return who acts in ``turn`` (from 1), and on which tier.

    With ``chance`` both choices are drawn (training); without, roles are taken in falling order of
    probability and tiers by argmax (inference). EarlyStop ends the taking: what would follow it could
    change nothing.
    """
    if rules.role_router:
        roles = _taken(found.roles, rules.theta, chance)
    else:
        roles = (ROLE_INDEX[FIXED_TURNS[min(turn, len(FIXED_TURNS)) - 1]],)
    if EARLY_STOP in roles:
        return TurnPlan(roles, ())
    return TurnPlan(roles, tuple(_tier(found.tiers[role], rules, chance) for role in roles))


def _taken(probabilities: Array, theta: float, chance: random.Random | None) -> tuple[int, ...]:
    left = [index for index, value in enumerate(probabilities) if value > 0]
    taken: list[int] = []
    mass = 0.0
    while left and mass < theta and EARLY_STOP not in taken:
        weights = [float(probabilities[index]) for index in left]
        if chance is None:
            role = left[int(np.argmax(weights))]
        else:
            role = chance.choices(left, weights=weights)[0]
        left.remove(role)
        taken.append(role)
        mass += float(probabilities[role])
    return tuple(taken)


def _tier(probabilities: Array, rules: Rules, chance: random.Random | None) -> int:
    if not rules.model_router:
        return len(probabilities) - 1
    if chance is None:
        return int(np.argmax(probabilities))
    return chance.choices(range(len(probabilities)), weights=[float(p) for p in probabilities])[0]


def log_probability(found: Distributions, plan: TurnPlan, rules: Rules) -> float:
    """Return the log-probability of drawing exactly this plan.

    Roles are drawn without replacement: p1 * p2 / (1 - p1) * p3 / (1 - p1 - p2) …

    >>> found = Distributions(np.array([0.1, 0.2, 0.7]), np.array([[0.25, 0.75]] * 8))
    >>> plan = TurnPlan((0, 1), (1, 0))
    >>> round(float(np.exp(log_probability(found, plan, Rules()))), 6) == round(
    ...     0.1 * 0.2 / 0.9 * 0.75 * 0.25, 6
    ... )
    True
    """
    total, mass = 0.0, 0.0
    if rules.role_router:
        for role in plan.roles:
            total += np.log(found.roles[role]) - np.log1p(-min(mass, 1 - 1e-12))
            mass += float(found.roles[role])
    if rules.model_router:
        acting = [role for role in plan.roles if role != EARLY_STOP]
        for role, tier in zip(acting, plan.tiers, strict=False):
            total += np.log(found.tiers[role, tier])
    return float(total)


@dataclass(frozen=True, kw_only=True)
class Conductor:
    """The two networks with the encoder they read through: a scorer for the engine."""

    name: str
    digest: str
    stand_in: bool
    params: Mapping[str, Array]
    roles: Array
    """(R, D): the embedded role texts."""
    encoder: Encoder

    @cached_property
    def networks(self) -> Networks:
        return Networks(self.params, self.roles)

    @property
    def tiers(self) -> int:
        return int(self.params["tier_tier"].shape[1])

    def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
        """Return R role probabilities, then R - 1 rows of M tier probabilities.

        ``texts`` = question, context, names of blocked roles with spaces between. Blocked roles get
        exactly 0.
        """
        question, context, names = texts
        vectors = self.encoder.encode([question, context]).astype(np.float64)
        blocked = [ROLE_INDEX[name] for name in names.split()]
        found = self.networks.look(vectors[0], vectors[1], blocked)
        return (*found.roles.tolist(), *found.tiers.ravel().tolist())


def read_scores(values: Sequence[float]) -> Distributions:
    """Read what :meth:`Conductor.score` wrote."""
    numbers = np.asarray(values, dtype=np.float64)
    return Distributions(numbers[: len(ROLES)], numbers[len(ROLES) :].reshape(EARLY_STOP, -1))


def embed_roles(encoder: Encoder) -> Array:
    """Return (R, D): what the encoder makes of the role texts."""
    return encoder.encode([role.text for role in ROLES]).astype(np.float64)


def untrained(encoder: Encoder, tiers: Sequence[TierSnapshot], *, seed: int) -> Conductor:
    """Return a conductor that has learned nothing: nearly uniform, and named so."""
    return Conductor(
        name="untrained",
        digest=f"untrained-{seed}-{len(tiers)}-{encoder.digest[:16]}",
        stand_in=encoder.stand_in,
        params=fresh_parameters(encoder.dim, len(tiers), seed=seed),
        roles=embed_roles(encoder),
        encoder=encoder,
    )


def from_weights(weights: Weights, encoder: Encoder) -> Conductor:
    """Return the conductor of a weights folder.

    Raises:
        InvalidInput: a tensor is missing or misshapen.
    """
    manifest = weights.manifest
    dim, tiers = encoder.dim, len(manifest.ladder)
    small = weights.take("role_bias", None).shape[0]
    large = weights.take("tier_bias", None).shape[0]
    shapes: dict[str, tuple[int, ...]] = {
        "role_question": (dim, small),
        "role_context": (dim, small),
        "role_bias": (small,),
        "role_role": (dim, small),
        "tier_question": (dim, large),
        "tier_context": (dim, large),
        "tier_role": (dim, large),
        "tier_bias": (large,),
        "tier_tier": (large, tiers),
    }
    return Conductor(
        name=manifest.name,
        digest=manifest.digest,
        stand_in=encoder.stand_in,
        params={name: weights.take(name, *shape) for name, shape in shapes.items()},
        roles=weights.take("roles", len(ROLES), dim),
        encoder=encoder,
    )
