from __future__ import annotations

import numpy as np
import pytest

from collab_core.errors import InvalidInput
from collab_core.whatif.pool import LEAST_RUNS, Pool
from collab_core.whatif.recorded import RecordedRun
from tests.collab_core.replies import ladder
from tests.collab_core.whatif.logs import play


def pool_of(run: RecordedRun) -> Pool:
    return Pool.of([run] * LEAST_RUNS)


def test_a_row_stands_in_the_situation_before_its_step() -> None:
    run = play("period", [1, 0, 0, 1, 0, 1], {"period": 3})
    pool = pool_of(run)
    now = pool.situation
    # by hand: tiers 0 0 1 0 0 1
    assert now.index[:6].tolist() == [1, 2, 3, 4, 5, 6]
    assert now.progress[:6].tolist() == [0, 1, 1, 1, 2, 2]
    assert now.streak[:6].tolist() == [[0, 0], [0, 0], [1, 0], [1, 1], [0, 0], [1, 0]]
    assert now.stalls[:6].tolist() == [0, 0, 1, 2, 2, 3]
    assert now.large[:6].tolist() == [0, 0, 0, 1, 1, 1]
    # the next run begins anew
    assert now.index[6] == 1
    assert now.streak[6].tolist() == [0, 0]


def test_stepping_on_gives_the_next_row() -> None:
    pool = pool_of(play("random", [1, 0, 0, 1, 0, 0, 1]))
    after = pool.situation.after(pool.tier, pool.progress)
    for name in ("index", "progress", "streak", "stalls", "large"):
        here, there = getattr(after, name)[:6], getattr(pool.situation, name)[1:7]
        assert np.array_equal(here, there), name


def test_a_cold_cache_is_expected_where_the_tier_was_not_asked_before() -> None:
    pool = pool_of(play("period", [1, 1, 1, 1], {"period": 2}))
    # by hand: prompts of 100 tokens, of which a tier knows 100 + 20 once it has run
    assert pool.uncached[:3].tolist() == [100, 100, 0]
    assert pool.really_uncached[:3].tolist() == [40, 40, 40]


def test_too_few_runs_are_refused() -> None:
    run = play("small", [1, 1])
    with pytest.raises(InvalidInput, match="needs 20"):
        Pool.of([run] * (LEAST_RUNS - 1))


def test_runs_of_two_ladders_are_refused() -> None:
    runs = [play("small", [1, 1])] * LEAST_RUNS
    with pytest.raises(InvalidInput, match="different ladders"):
        Pool.of([*runs, play("small", [1, 1], ladder=ladder("other", "large"))])


def test_runs_with_shortened_hand_overs_are_left_out() -> None:
    other = play("small", [1, 1], {"hand_over": "restart"})
    assert Pool.of([play("small", [1, 1])] * LEAST_RUNS + [other]).left_out == 1
