from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.budgets import BudgetSchedule, escalation_level


def test_eq1_counts_consecutive_stalls() -> None:
    level, levels = 0, []
    for verdict in [1, 0, 0, 1, 0, 0, 0]:
        level = escalation_level(level, made_progress=verdict == 1)
        levels.append(level)
    assert levels == [0, 1, 2, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("schedule", "budgets"),
    [
        # Eq. 3, B_0 = 2, k = 2, B_max = 6: 2 + 2 n, capped
        (BudgetSchedule(), [4, 6, 6, 6]),
        # the other reading: 2 + 2 (n - 1)
        (BudgetSchedule(offset=1), [2, 4, 6, 6]),
        # k = 0 is the static strategy
        (BudgetSchedule(growth=0), [2, 2, 2, 2]),
        (BudgetSchedule(growth=3, maximum=20), [5, 8, 11, 14]),
        # halves round up: 2.5, 3, 3.5, 4
        (BudgetSchedule(growth=0.5), [3, 3, 4, 4]),
        # Eq. 4, B_max = 6, k = 1, n_0 = 2: 6 sigma(-1, 0, 1, 2) = 1.61, 3, 4.39, 5.28
        (BudgetSchedule(schedule="sigmoid", growth=1, midpoint=2), [2, 3, 4, 5]),
        # never less than one step: 6 sigma(-9) = 0.0007
        (BudgetSchedule(schedule="sigmoid", growth=1, midpoint=10), [1, 1, 1, 1]),
    ],
)
def test_budgets_by_hand(schedule: BudgetSchedule, budgets: list[int]) -> None:
    assert [schedule.budget(n) for n in (1, 2, 3, 4)] == budgets


def test_there_is_no_budget_without_an_escalation() -> None:
    with pytest.raises(ValueError, match="level >= 1"):
        BudgetSchedule().budget(0)


@given(
    base=st.integers(1, 50),
    growth=st.floats(0, 20),
    extra=st.integers(0, 50),
    schedule=st.sampled_from(["linear", "sigmoid"]),
    midpoint=st.floats(0, 40),
    level=st.integers(1, 10_000),
)
def test_budgets_are_bounded_and_never_shrink(
    base: int, growth: float, extra: int, schedule: str, midpoint: float, level: int
) -> None:
    rules = BudgetSchedule(
        base=base,
        growth=growth,
        maximum=base + extra,
        schedule=schedule,
        midpoint=midpoint,  # type: ignore[arg-type]
    )
    assert 1 <= rules.budget(level) <= base + extra
    assert rules.budget(level) <= rules.budget(level + 1)
