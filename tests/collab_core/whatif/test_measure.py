from __future__ import annotations

import pytest

from collab_core.errors import InvalidInput
from collab_core.whatif.measure import measure
from tests.collab_core.whatif.logs import play


def test_an_exact_prediction_has_no_error() -> None:
    recorded, real = play("small", [1, 1, 1]), play("agentcollab", [1, 1, 1], {"warm_up_steps": 0})
    found = measure([recorded], [real])
    assert (found.pairs, found.prefixes_confirmed, found.strategy) == (1, 1, "agentcollab")
    assert {error.name: error.error for error in found.errors} == pytest.approx(
        dict.fromkeys(("accuracy", "steps", "large_steps", "switches", "cost_usd"), 0.0)
        | {"latency_s": 0.0},
        abs=0.2,
    )
    assert all(error.covered for error in found.errors)


def test_a_real_run_that_goes_another_way_is_not_confirmed() -> None:
    found = measure(
        [play("small", [1, 1, 1])], [play("agentcollab", [0, 1, 1], {"warm_up_steps": 0})]
    )
    assert found.prefixes_confirmed == 0
    assert not next(error for error in found.errors if error.name == "large_steps").covered


def test_runs_are_paired_by_task_and_seed() -> None:
    with pytest.raises(InvalidInput, match="no task with the same seed"):
        measure([play("small", [1], seed=1)], [play("large", [1], seed=2)])


def test_the_real_runs_are_of_one_strategy() -> None:
    with pytest.raises(InvalidInput, match="several strategies"):
        measure([play("small", [1])], [play("small", [1]), play("large", [1])])
