from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.errors import InvalidInput
from collab_core.experiments import published
from collab_core.experiments.frontier import frontier
from collab_core.experiments.table import Measured, Row


def row(arm: str, accuracy: float | None, speedup: float | None, **more: float) -> Row:
    values = {"accuracy": accuracy, "speedup": speedup, **more}
    return Row(arm=arm, figures={name: Measured(value=value) for name, value in values.items()})


def test_the_papers_frontier() -> None:
    """AgentCollab is dominated by nobody; both routers are dominated by it."""
    rows = published.find("agentcollab-table-1-ddv2-browsecomp-zh").table.rows
    made = frontier(rows)
    by_arm = {point.arm: point for point in made.points}
    assert made.line == ((1.0, 0.346), (1.36, 0.339), (1.54, 0.183))
    assert by_arm["RouteLLM"].dominated_by == by_arm["FrugalGPT"].dominated_by == ("AgentCollab",)
    assert made.left_out == ("Random",)
    assert all(point.published for point in made.points)


def test_less_cost_is_better() -> None:
    rows = [
        row("cheap", 0.3, None, cost_usd=1.0),
        row("dear", 0.5, None, cost_usd=5.0),
        row("wasteful", 0.4, None, cost_usd=6.0),
    ]
    made = frontier(rows, x="cost_usd")
    assert made.line == ((1.0, 0.3), (5.0, 0.5))
    assert [point.on_frontier for point in made.points] == [True, True, False]


def test_equal_arms_do_not_beat_each_other() -> None:
    made = frontier([row("a", 0.5, 2.0), row("b", 0.5, 2.0), row("c", 0.5, 1.0)])
    assert [point.on_frontier for point in made.points] == [True, True, False]
    assert made.points[2].dominated_by == ("a", "b")
    assert made.line == ((2.0, 0.5),)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_a_frontier_falls_and_covers_everything(places: list[tuple[int, int]]) -> None:
    made = frontier([row(str(n), y / 5, float(x)) for n, (x, y) in enumerate(places)])
    assert [y for _, y in made.line] == sorted({y for _, y in made.line}, reverse=True)
    for x, y in places:
        assert any(fx >= x and fy >= y / 5 for fx, fy in made.line)


def test_what_has_no_direction_is_no_axis() -> None:
    with pytest.raises(InvalidInput, match="'switching_ratio'"):
        frontier([], x="switching_ratio")
