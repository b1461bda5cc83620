from __future__ import annotations

import random
from collections.abc import Sequence

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad

from collab_core.errors import InvalidInput
from collab_core.learned.confidence import ConfidenceScale
from collab_core.learned.encoders import HashedEncoder
from collab_core.learned.oi_mas import (
    EARLY_STOP,
    ROLE_INDEX,
    Networks,
    Rules,
    TurnPlan,
    embed_roles,
    fresh_parameters,
    log_probability,
)
from collab_core.learned.oi_mas_episodes import (
    Embeddings,
    Episode,
    PlayedTurn,
    Player,
    pack,
    penalty,
)
from collab_core.learned.oi_mas_options import OIMasOptions
from collab_core.learned.oi_mas_training import (
    episode_log_probabilities,
    reinforce_loss,
    train_in_world,
    train_on_episodes,
)
from tests.collab_core.learned.oi_mas_world import COST_WEIGHT, Oracle, PredictableWorld, earned

ENCODER = HashedEncoder(64)
ROLES = embed_roles(ENCODER)
GENERATOR, VERIFIER = ROLE_INDEX["generator"], ROLE_INDEX["verifier"]


def episodes() -> list[Episode]:
    """Two turns and an early stop, then one turn; costs and log-probabilities by hand."""
    first = PlayedTurn(
        context="",
        blocked=(EARLY_STOP,),
        plan=TurnPlan((GENERATOR, VERIFIER), (0, 1)),
        costs_usd=(0.001, 0.002),
        mean_logprobs=(None, float(np.log(0.5))),
    )
    last = PlayedTurn(context="an answer", plan=TurnPlan((VERIFIER, EARLY_STOP), ()))
    other = PlayedTurn(
        context="",
        blocked=(EARLY_STOP,),
        plan=TurnPlan((GENERATOR,), (1,)),
        costs_usd=(0.002,),
        mean_logprobs=(0.0,),
    )
    return [
        Episode(question="a b c", turns=(first, last), reward=1.0),
        Episode(question="d e", turns=(other,), reward=0.0),
    ]


def parameters() -> dict[str, np.ndarray]:
    return fresh_parameters(ENCODER.dim, 2, seed=3, hidden=(4, 5))


def test_the_cost_term_is_that_of_equation_5() -> None:
    # 200 * (1 * 0.001 + 0.5 * 0.002) = 0.4: no log-probability counts in full, exp(log 0.5) = 0.5
    found = penalty(episodes()[0], ConfidenceScale(2), cost_weight=200.0)
    assert found == pytest.approx(0.4)


def test_without_confidence_every_cost_counts_in_full() -> None:
    found = penalty(episodes()[0], ConfidenceScale(2), cost_weight=200.0, confidence=False)
    assert found == pytest.approx(0.6)


def test_the_arrays_give_the_same_log_probability_as_turn_by_turn() -> None:
    params, rules = parameters(), Rules()
    batch = pack(episodes(), Embeddings(ENCODER), ROLES, 2)
    networks = Networks(params, ROLES)
    wanted = []
    for episode in episodes():
        vectors = [ENCODER.encode([episode.question, turn.context]) for turn in episode.turns]
        wanted.append(
            sum(
                log_probability(networks.look(v[0], v[1], turn.blocked), turn.plan, rules)
                for v, turn in zip(vectors, episode.turns, strict=True)
            )
        )
    found = episode_log_probabilities(params, batch, ROLES, rules)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("rules", [Rules(), Rules(model_router=False), Rules(role_router=False)])
@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_the_gradient_agrees_with_finite_differences(rules: Rules, entropy: float) -> None:
    params = parameters()
    batch = pack(episodes(), Embeddings(ENCODER), ROLES, 2)
    loss = reinforce_loss(batch, ROLES, rules, np.array([0.7, -1.3]), entropy=entropy)
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


def test_the_gradient_of_one_softmax_choice_is_its_closed_form() -> None:
    # of -w * log softmax(x)[i] it is -w * (onehot_i - softmax(x)); tier_tier multiplies tanh(z)
    params = parameters()
    batch = pack(episodes()[1:], Embeddings(ENCODER), ROLES, 2)
    rules = Rules(role_router=False)
    slope = grad(reinforce_loss(batch, ROLES, rules, np.array([2.0])))(params)
    z = (
        batch.question @ params["tier_question"]
        + batch.context @ params["tier_context"]
        + batch.role @ params["tier_role"]
    )
    hidden = anp.tanh(z + params["tier_bias"])[0]
    powers = np.exp(hidden @ params["tier_tier"])
    wanted = -2.0 * np.outer(hidden, np.array([0.0, 1.0]) - powers / powers.sum())
    np.testing.assert_allclose(slope["tier_tier"], wanted, rtol=1e-9)


def world(seed: int) -> PredictableWorld:
    return PredictableWorld(costs_usd=(0.00005, 0.00015), specialists=True, seed=seed)


HELD_OUT = range(160, 240)


@pytest.mark.parametrize("seed", [0, 1])
def test_it_learns_which_tier_is_right_from_the_question(seed: int) -> None:
    place, encoder = world(seed), HashedEncoder(512)
    best = sum(place.oracle(index) for index in HELD_OUT) / len(HELD_OUT)
    options = OIMasOptions(cost_weight=COST_WEIGHT, steps=150)
    fresh = Player(
        fresh_parameters(encoder.dim, 2, seed=seed),
        embed_roles(encoder),
        Embeddings(encoder),
        options.rules,
        seed,
    )
    before = earned(place.play(HELD_OUT, fresh, seed=1)) / best
    trained = train_in_world(
        place, range(160), encoder=encoder, tiers=place.tiers, options=options, seed=seed
    )
    after = earned(place.play(HELD_OUT, trained.player(), seed=1)) / best
    assert 0.3 < before < 0.6
    assert after > 0.9


def test_it_learns_to_pay_for_the_top_tier_only_where_it_must() -> None:
    # any tier from the right one on solves: only the cost speaks against the top
    place = PredictableWorld(costs_usd=(0.0001, 0.0005, 0.004), specialists=False)
    encoder = HashedEncoder(512)
    best = sum(place.oracle(index) for index in HELD_OUT) / len(HELD_OUT)
    always_top = 1.0 - COST_WEIGHT * 0.004
    options = OIMasOptions(cost_weight=COST_WEIGHT, steps=200)
    trained = train_in_world(
        place, range(160), encoder=encoder, tiers=place.tiers, options=options, seed=0
    )
    after = earned(place.play(HELD_OUT, trained.player(), seed=1))
    assert always_top / best < 0.75
    assert after / best > 0.9


def test_the_oracle_of_the_world_earns_its_best() -> None:
    place = world(0)
    best = sum(place.oracle(index) for index in HELD_OUT) / len(HELD_OUT)
    assert earned(place.play(HELD_OUT, Oracle(place), seed=0)) == pytest.approx(best)


def test_the_same_seed_trains_the_same_weights() -> None:
    place, options = world(0), OIMasOptions(cost_weight=COST_WEIGHT, steps=3)
    first, second = (
        train_in_world(
            place, range(160), encoder=ENCODER, tiers=place.tiers, options=options, seed=4
        )
        for _ in range(2)
    )
    assert first.history.losses == second.history.losses
    for name, values in first.params.items():
        np.testing.assert_array_equal(values, second.params[name])


WIDE = HashedEncoder(512)


class Remembering:
    """Draws with untrained weights and notes how likely each plan was."""

    def __init__(self, seed: int) -> None:
        params = fresh_parameters(WIDE.dim, 2, seed=seed)
        self.player = Player(params, embed_roles(WIDE), Embeddings(WIDE), Rules(), seed)
        self.drawn: list[float] = []

    def plan(
        self, question: str, context: str, *, turn: int, blocked: Sequence[int] = ()
    ) -> TurnPlan:
        plan = self.player.plan(question, context, turn=turn, blocked=blocked)
        found = self.player.look(question, context, blocked)
        self.drawn.append(log_probability(found, plan, Rules()))
        return plan


def logged(place: PredictableWorld, behaviour: Remembering, count: int) -> list[Episode]:
    chance = random.Random(1)
    played = place.play([chance.randrange(160) for _ in range(count)], behaviour, seed=2)
    drawn = iter(behaviour.drawn)
    return [
        Episode(
            question=episode.question,
            turns=tuple(
                PlayedTurn(**{**vars(turn), "drawn_with": next(drawn)}) for turn in episode.turns
            ),
            reward=episode.reward,
        )
        for episode in played
    ]


def test_it_learns_from_runs_that_other_weights_drew() -> None:
    place, behaviour = world(0), Remembering(seed=9)
    options = OIMasOptions(cost_weight=COST_WEIGHT, steps=150)
    trained = train_on_episodes(
        logged(place, behaviour, 800), encoder=WIDE, tiers=place.tiers, options=options, seed=0
    )
    before = earned(place.play(HELD_OUT, behaviour, seed=1))
    after = earned(place.play(HELD_OUT, trained.player(), seed=1))
    assert after > before + 0.15


def test_runs_whose_likelihood_is_unknown_need_plain_weights() -> None:
    with pytest.raises(InvalidInput, match="how likely"):
        train_on_episodes(
            episodes(),
            encoder=ENCODER,
            tiers=world(0).tiers,
            options=OIMasOptions(steps=1),
            seed=0,
        )


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing can be trained"):
        OIMasOptions(model_router=False, role_router=False)
    with pytest.raises(InvalidInput, match="no questions"):
        train_in_world(
            world(0), [], encoder=ENCODER, tiers=world(0).tiers, options=OIMasOptions(), seed=0
        )


def test_a_training_that_diverges_says_so() -> None:
    spoilt = [Episode(question=e.question, turns=e.turns, reward=float("inf")) for e in episodes()]
    with pytest.raises(InvalidInput, match="diverged"):
        train_on_episodes(
            spoilt,
            encoder=ENCODER,
            tiers=world(0).tiers,
            options=OIMasOptions(steps=1, importance="none", baseline=False),
            seed=0,
        )


def test_a_training_stops_when_its_progress_is_refused() -> None:
    def stop(fraction: float, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_in_world(
            world(0),
            range(9),
            encoder=ENCODER,
            tiers=world(0).tiers,
            options=OIMasOptions(steps=5),
            seed=0,
            progress=stop,
        )
