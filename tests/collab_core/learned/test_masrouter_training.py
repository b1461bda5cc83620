from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from autograd import grad

from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.encoders import HashedEncoder
from collab_core.learned.masrouter import (
    EXPERT_INDEX,
    EXPERTS,
    MODE_INDEX,
    MODES,
    Cascade,
    Seat,
    Team,
    draw_size,
    embed,
    fresh_parameters,
    size_log_probability,
)
from collab_core.learned.masrouter_episodes import Choosing, TeamEpisode, utility
from collab_core.learned.masrouter_options import MasRouterOptions
from collab_core.learned.masrouter_training import (
    Chooser,
    pack,
    reinforce_loss,
    team_terms,
    train_in_world,
    train_on_episodes,
)
from collab_core.learned.oi_mas_episodes import Embeddings

ENCODER = HashedEncoder(64)
MODE_VECTORS, EXPERT_VECTORS = embed(ENCODER, MODES), embed(ENCODER, EXPERTS)
TIERS = tuple(TierSnapshot(name=name, model=name) for name in ("s", "l"))
PROGRAMMER = EXPERT_INDEX["programmer"]


def episodes() -> list[TeamEpisode]:
    return [
        TeamEpisode(
            question="a b c",
            team=Team(MODE_INDEX["debate"], (Seat(0, 1), Seat(3, 0), Seat(0, 0))),
            blocked=(PROGRAMMER,),
            cost_usd=0.001,
            reward=1.0,
        ),
        TeamEpisode(
            question="d e", team=Team(MODE_INDEX["io"], (Seat(2, 1),)), cost_usd=0.0, reward=0.0
        ),
    ]


def parameters() -> dict[str, np.ndarray]:
    return fresh_parameters(ENCODER.dim, 2, seed=3, hidden=4)


def test_utility_is_solved_less_weighted_cost() -> None:
    assert utility(episodes()[0], 200.0) == pytest.approx(0.8)


def test_the_arrays_give_the_same_log_probability_as_one_decision_after_the_other() -> None:
    params = parameters()
    cascade = Cascade(params, MODE_VECTORS, EXPERT_VECTORS)
    wanted = []
    for episode in episodes():
        question = ENCODER.encode([episode.question]).astype(np.float64)[0]
        found = cascade.look_at_modes(question)
        mode, seats = episode.team
        total = math.log(found.modes[mode])
        total += size_log_probability(float(found.sizes[mode]), len(seats))
        for place, seat in enumerate(seats):
            before = [other.expert for other in seats[:place]]
            scores = cascade.look_at_seat(question, mode, before, episode.blocked)
            total += math.log(scores.experts[seat.expert])
            total += math.log(scores.tiers[seat.expert, seat.tier])
        wanted.append(total)
    batch = pack(episodes(), Embeddings(ENCODER), EXPERT_VECTORS, 2)
    logs, _ = team_terms(params, batch, MODE_VECTORS, EXPERT_VECTORS, np)
    np.testing.assert_allclose(logs, wanted, rtol=1e-6)


@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_the_gradient_agrees_with_finite_differences(entropy: float) -> None:
    params = parameters()
    batch = pack(episodes(), Embeddings(ENCODER), EXPERT_VECTORS, 2)
    weights = np.array([0.7, -1.3])
    loss = reinforce_loss(batch, MODE_VECTORS, EXPERT_VECTORS, weights, entropy=entropy)
    slope = grad(loss)(params)
    chance, step = random.Random(0), 1e-5
    for name, values in params.items():
        at = tuple(chance.randrange(size) for size in values.shape)
        ends = []
        for sign in (1, -1):
            moved = {key: value.copy() for key, value in params.items()}
            moved[name][at] += sign * step
            ends.append(float(loss(moved)))
        assert slope[name][at] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)


def test_exploring_draws_team_sizes_with_the_stated_chances() -> None:
    chance = random.Random(0)
    drawn = [draw_size(0.3, chance, explore=True) for _ in range(4_000)]
    for size in range(1, 7):
        wanted = math.exp(size_log_probability(0.3, size))
        assert drawn.count(size) / 4_000 == pytest.approx(wanted, abs=0.03)


class Topics:
    """A question's topic says which tier is right; every agent costs, any right one solves."""

    COST_USD = (0.0002, 0.0004)

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        words = (("sum", "change", "apples"), ("topology", "lemma", "integral"))
        self.levels = [chance.randrange(2) for _ in range(200)]
        self.questions: Sequence[str] = [
            " ".join([*chance.sample(words[level], 2), "of", "a", str(chance.randrange(99))])
            for level in self.levels
        ]

    def play(
        self, indices: Sequence[int], choosing: Choosing, *, seed: int
    ) -> Sequence[TeamEpisode]:
        return [self._one(index, choosing) for index in indices]

    def _one(self, index: int, choosing: Choosing) -> TeamEpisode:
        team = choosing.team(self.questions[index], blocked=(PROGRAMMER,))
        votes = [seat.tier == self.levels[index] for seat in team.seats]
        return TeamEpisode(
            question=self.questions[index],
            team=team,
            blocked=(PROGRAMMER,),
            cost_usd=sum(self.COST_USD[seat.tier] for seat in team.seats),
            reward=float(sum(votes) * 2 > len(votes)),
        )


HELD_OUT = range(140, 200)


def earned(world: Topics, choosing: Choosing) -> float:
    played = world.play(HELD_OUT, choosing, seed=0)
    return sum(utility(episode, 100.0) for episode in played) / len(played)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_which_tier_is_right_and_to_keep_the_team_small(seed: int) -> None:
    world, encoder = Topics(seed), HashedEncoder(256)
    best = sum(1 - 100.0 * world.COST_USD[world.levels[i]] for i in HELD_OUT) / len(HELD_OUT)
    fresh = Chooser(
        Cascade(
            fresh_parameters(encoder.dim, 2, seed=seed),
            embed(encoder, MODES),
            embed(encoder, EXPERTS),
        ),
        Embeddings(encoder),
        seed,
    )
    before = earned(world, fresh) / best
    options = MasRouterOptions(cost_rate=100.0, steps=150)
    trained = train_in_world(
        world, range(140), encoder=encoder, tiers=TIERS, options=options, seed=seed
    )
    assert before < 0.6
    assert earned(world, trained.chooser()) / best > 0.9


def test_it_learns_from_runs_that_other_weights_drew() -> None:
    world = Topics(0)
    params = fresh_parameters(ENCODER.dim, 2, seed=9)
    cascade = Cascade(params, MODE_VECTORS, EXPERT_VECTORS)
    behaviour = Chooser(cascade, Embeddings(ENCODER), 1)
    chance = random.Random(1)
    played = world.play([chance.randrange(140) for _ in range(600)], behaviour, seed=0)
    batch = pack(played, Embeddings(ENCODER), EXPERT_VECTORS, 2)
    drawn, _ = team_terms(params, batch, MODE_VECTORS, EXPERT_VECTORS, np)
    logged = [
        TeamEpisode(**{**vars(episode), "drawn_with": float(value)})
        for episode, value in zip(played, drawn, strict=True)
    ]
    trained = train_on_episodes(
        logged,
        encoder=ENCODER,
        tiers=TIERS,
        options=MasRouterOptions(cost_rate=100.0, steps=100),
        seed=0,
    )
    assert earned(world, trained.chooser()) > earned(world, behaviour) + 0.2


def test_runs_whose_likelihood_is_unknown_need_plain_weights() -> None:
    with pytest.raises(InvalidInput, match="how likely"):
        train_on_episodes(
            episodes(), encoder=ENCODER, tiers=TIERS, options=MasRouterOptions(), seed=0
        )
