from __future__ import annotations

from typing import Any

from collab_core.experiments.definition import Arm
from collab_core.experiments.sweep import sweeps
from collab_core.experiments.table import Measured, Row


def arm(label: str, strategy: str = "agentcollab", ladder: str = "l", **parameters: Any) -> Arm:
    return Arm(label=label, strategy=strategy, ladder=ladder, parameters=parameters)


def rows(arms: list[Arm]) -> list[Row]:
    return [
        Row(arm=a.label, figures={"accuracy": Measured(value=n / 10), "score": Measured()})
        for n, a in enumerate(arms)
    ]


def test_growth_is_found_with_its_default_filled_in() -> None:
    arms = [arm("k3", growth=3), arm("k0", growth=0), arm("default"), arm("l", "large")]
    (series,) = sweeps(arms, rows(arms))
    assert (series.parameter, series.title, series.strategy) == ("growth", "Growth", "agentcollab")
    assert series.values == (0.0, 2.0, 3.0)
    assert series.arms == ("k0", "default", "k3")
    assert [figure.value for figure in series.figures["accuracy"]] == [0.1, 0.2, 0.0]
    assert "score" not in series.figures
    assert series.others["budget_max"] == 6


def test_a_grid_has_a_series_for_each_row_and_column() -> None:
    arms = [
        arm(f"{k}/{b}", growth=k, budget_base=b, budget_max=9) for k in (0, 1) for b in (1, 2, 3)
    ]
    found = sweeps(arms, rows(arms))
    assert sorted((s.parameter, len(s.values)) for s in found) == [
        ("budget_base", 3),
        ("budget_base", 3),
        ("growth", 2),
        ("growth", 2),
        ("growth", 2),
    ]


def test_arms_that_differ_in_more_are_no_series() -> None:
    two_numbers = [arm("a", growth=0, budget_base=1), arm("b", growth=1, budget_base=2)]
    two_ladders = [arm("a", growth=0), arm("b", "agentcollab", "other", growth=1)]
    one_word = [arm("a", schedule="linear"), arm("b", schedule="sigmoid")]
    twins = [arm("a"), arm("b")]
    for arms in (two_numbers, two_ladders, one_word, twins):
        assert sweeps(arms, rows(arms)) == ()


def test_arms_without_a_row_are_left_out() -> None:
    arms = [arm("a", growth=0), arm("b", growth=1)]
    assert sweeps(arms, rows(arms[:1])) == ()
