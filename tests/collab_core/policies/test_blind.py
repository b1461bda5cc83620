"""Sequences worked out by hand; none of them depends on what the steps did."""

from __future__ import annotations

import random
from typing import Any

import pytest

from collab_core.domain import Limits, Task
from collab_core.errors import InvalidInput
from collab_core.policies.base import CacheState, StepContext
from collab_core.strategies.registry import find, parse_parameters
from tests.collab_core.replies import ladder


def play(name: str, steps: int, *, tiers: int = 2, seed: int = 0, **raw: Any) -> list[int]:
    """Return the tier of each step."""
    build = find(name).policy
    assert build is not None
    rungs = ladder(*(f"t{i}" for i in range(tiers)))
    policy = build(parse_parameters(name, raw), rungs, None)  # type: ignore[arg-type]
    chance = random.Random(seed)
    return [
        policy.before_step(
            StepContext(
                task=Task(question="q"),
                step_index=index,
                limits=Limits(),
                trajectory=[],
                tiers=rungs.snapshot(),
                cache=(CacheState(),) * tiers,
                spent_usd=0.0,
                spent_s=0.0,
                random=chance,
            )
        ).tier
        for index in range(1, steps + 1)
    ]


def test_random_takes_the_tier_whose_part_of_the_unit_interval_is_hit() -> None:
    # the first draws of seed 0: 0.84 0.76 0.42 0.26 0.51 0.40 0.78 0.30
    assert play("random", 8) == [1, 1, 0, 0, 1, 0, 1, 0]
    assert play("random", 8, shares="0.8, 0.2") == [1, 0, 0, 0, 0, 0, 0, 0]
    assert play("random", 8, tiers=3) == [2, 2, 1, 0, 1, 1, 2, 0]
    # 1 : 0 : 3 = 0.25, 0, 0.75
    assert play("random", 4, tiers=3, shares="1,0,3") == [2, 2, 2, 2]


def test_a_tier_without_weight_never_runs() -> None:
    assert set(play("random", 300, tiers=3, shares="1,1,0")) == {0, 1}


@pytest.mark.parametrize("middle", ["skip", "use"])
def test_matched_random_has_its_share_of_large_steps(middle: str) -> None:
    path = play("random-matched", 20_000, tiers=4, large_share=0.3, middle_tiers=middle)
    # four standard errors of a share of 0.3
    assert path.count(3) / 20_000 == pytest.approx(0.3, abs=0.013)
    between = 0.7 / 3 if middle == "use" else 0.0
    assert path.count(1) / 20_000 == pytest.approx(between, abs=0.013)


@pytest.mark.parametrize(("share", "tier"), [(0.0, 0), (1.0, 1)])
def test_matched_random_at_the_ends_is_a_fixed_tier(share: float, tier: int) -> None:
    assert set(play("random-matched", 200, large_share=share)) == {tier}


def test_first_k_large() -> None:
    assert play("first-k-large", 5) == [1, 1, 0, 0, 0]
    assert play("first-k-large", 3, large_steps=0) == [0, 0, 0]
    assert play("first-k-large", 4, tiers=3, large_steps=1) == [2, 0, 0, 0]
    assert play("first-k-large", 6, tiers=3, middle_tiers="use") == [2, 2, 1, 1, 0, 0]


def test_one_way_switch_and_its_reverse() -> None:
    assert play("one-way", 6, after_steps=4) == [0, 0, 0, 0, 1, 1]
    assert play("one-way", 4, after_steps=3, direction="down") == [1, 1, 1, 0]
    assert play("one-way", 3, after_steps=0) == [1, 1, 1]
    assert play("one-way", 5, tiers=3, after_steps=2) == [0, 0, 2, 2, 2]
    assert play("one-way", 6, tiers=3, after_steps=2, middle_tiers="use") == [0, 0, 1, 1, 2, 2]


def test_fixed_period() -> None:
    assert play("period", 7) == [0, 0, 1, 0, 0, 1, 0]
    assert play("period", 7, first=1) == [1, 0, 0, 1, 0, 0, 1]
    assert play("period", 3, period=1) == [1, 1, 1]
    assert play("period", 6, period=2, first=5) == [0, 0, 0, 0, 1, 0]
    assert play("period", 4, tiers=3, period=2) == [0, 2, 0, 2]


def test_a_period_turns_the_middle_tiers_as_an_odometer() -> None:
    path = play("period", 8, tiers=3, period=2, middle_tiers="use")
    assert path == [0, 1, 0, 2, 0, 1, 0, 2]
    assert play("period", 8, tiers=4, period=2, middle_tiers="use") == [0, 1, 0, 2, 0, 1, 0, 3]


@pytest.mark.parametrize("name", ["random", "random-matched", "first-k-large", "one-way", "period"])
def test_a_ladder_of_one_has_one_choice(name: str) -> None:
    assert play(name, 7, tiers=1) == [0] * 7


@pytest.mark.parametrize(
    "shares", ["a, b", "0, 0", "-1, 2", "nan, 1", "inf, 1", "1,,2", "1e308,1e308"]
)
def test_wrong_shares_are_told(shares: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_parameters("random", {"shares": shares})
    assert caught.value.field == "shares"


def test_shares_for_another_ladder_are_told() -> None:
    with pytest.raises(InvalidInput, match="2 tiers, but 3 shares"):
        play("random", 1, shares="1,1,1")
