from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.errors import InvalidInput
from collab_core.review import sampling
from collab_core.review.sampling import (
    Drawn,
    draw_random,
    draw_stratified,
    draw_suspicious,
    inclusion_probabilities,
)


def test_examples() -> None:
    results = doctest.testmod(sampling)
    assert results.attempted > 0
    assert results.failed == 0


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 70), st.integers(0, 9))
def test_a_suspicious_draw_has_no_item_twice_and_its_probabilities_sum_up(
    scores: list[float], size: int, seed: int
) -> None:
    drawn = draw_suspicious(scores, size, seed=seed)
    size = min(size, len(scores))
    assert len(set(drawn.places.tolist())) == size
    whole = inclusion_probabilities(np.array(scores) + 1.0, size)
    assert whole.sum() == pytest.approx(size)
    assert (whole > 0).all()
    assert drawn.probability == pytest.approx(whole[drawn.places])


def test_items_are_drawn_as_often_as_their_probability_says() -> None:
    scores = [0.0, 1.0, 2.0, 3.0, 9.0, 40.0]
    often = np.zeros(6)
    for seed in range(4_000):
        often[draw_suspicious(scores, 3, seed=seed).places] += 1
    wanted = inclusion_probabilities(np.array(scores) + 1.0, 3)
    # four standard errors
    assert np.abs(often / 4_000 - wanted).max() < 4 * 0.5 / 4_000**0.5


def test_a_draw_can_be_repeated_and_its_order_is_no_ranking() -> None:
    scores = list(np.linspace(0, 20, 200))
    first, again = (draw_suspicious(scores, 50, seed=7) for _ in range(2))
    assert first.places.tolist() == again.places.tolist()
    assert first.places.tolist() != sorted(first.places, key=lambda i: -scores[i])
    assert first.places.tolist() != draw_suspicious(scores, 50, seed=8).places.tolist()


@pytest.mark.parametrize("allocation", ["equal", "proportional"])
def test_every_stratum_is_drawn_and_the_weights_give_its_size_back(allocation: str) -> None:
    strata = ["small"] * 90 + ["large"] * 9 + ["planner"]
    drawn = draw_stratified(strata, 12, seed=1, allocation=allocation)  # type: ignore[arg-type]
    names = np.array(strata)[drawn.places]
    sizes = {name: (1 / drawn.probability[names == name]).sum() for name in set(strata)}
    assert sizes == pytest.approx({"small": 90.0, "large": 9.0, "planner": 1.0})
    counts = sorted((names == name).sum() for name in set(strata))
    assert counts == ([1, 5, 6] if allocation == "equal" else [1, 1, 10])


def test_a_random_draw_is_even() -> None:
    drawn = draw_random(10, 4, seed=0)
    assert set(drawn.probability) == {0.4}
    assert len(set(drawn.places.tolist())) == 4


def test_more_than_there_is_draws_all_of_it() -> None:
    for drawn in (
        draw_random(3, 9, seed=0),
        draw_suspicious([0, 5, 1], 9, seed=0),
        draw_stratified(["a", "b", "b"], 9, seed=0),
    ):
        assert isinstance(drawn, Drawn)
        assert sorted(drawn.places.tolist()) == [0, 1, 2]
        assert drawn.probability.tolist() == [1.0, 1.0, 1.0]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no step"):
        draw_random(0, 3, seed=0)
    with pytest.raises(InvalidInput, match="at least one"):
        draw_random(3, 0, seed=0)
    with pytest.raises(InvalidInput, match="from 0"):
        draw_suspicious([1.0, float("nan")], 1, seed=0)
    with pytest.raises(InvalidInput, match="3 strata"):
        draw_stratified(["a", "b", "c"], 2, seed=0)
