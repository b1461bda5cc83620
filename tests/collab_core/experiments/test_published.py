from __future__ import annotations

import pytest

from collab_core.errors import InvalidInput
from collab_core.experiments.published import PUBLISHED, beside, find
from collab_core.experiments.table import table
from tests.collab_core.experiments.trials import trial


def value(name: str, arm: str, column: str) -> float | None:
    row = next(row for row in find(name).table.rows if row.arm == arm)
    return row.figure(column).value


def test_every_row_says_that_it_is_published_and_where() -> None:
    assert len(PUBLISHED) == 17
    for name, one in PUBLISHED.items():
        assert one.name == name
        assert one.title
        assert all(row.published and row.source for row in one.table.rows)
        if one.table.baseline:
            assert [r.arm for r in one.table.rows if r.is_baseline] == [one.table.baseline]


def test_table_1() -> None:
    name = "agentcollab-table-1-ddv2-browsecomp-zh"
    assert value(name, "AgentCollab", "accuracy") == 0.339
    assert value(name, "AgentCollab", "steps") == 19.82
    assert value(name, "AgentCollab", "speedup") == 1.36
    assert value("agentcollab-table-1-websailor-hle-math", "AgentCollab", "speedup") == 1.29


def test_what_was_not_found_is_not_there() -> None:
    assert value("agentcollab-table-1-ddv2-hle-math", "Random", "speedup") is None


def test_lost_speedups_are_second_hand_and_table_3s_are_not() -> None:
    ours = find("agentcollab-table-1-websailor-browsecomp-zh").table.rows[-1]
    assert ours.second_hand == ("speedup",)
    pair = find("agentcollab-table-3-32b").table.rows[1]
    assert (pair.arm, pair.second_hand) == ("7B + 32B", ())
    # the paper gives this figure in both tables
    assert pair.figure("speedup") == ours.figure("speedup")


def test_scores_are_no_accuracies() -> None:
    name = "agentcollab-table-1-ddv2-writingbench"
    assert (value(name, "AgentCollab", "score"), value(name, "AgentCollab", "accuracy")) == (
        5.0,
        None,
    )


def test_totals_are_no_cost_of_a_run() -> None:
    ours = find("oi-mas-table-2-humaneval").table.rows[-1]
    assert (ours.figure("accuracy").value, ours.spent_usd) == (0.9146, 0.097)
    assert ours.figure("cost_usd").value is None


@pytest.mark.parametrize(
    ("dataset", "accuracy"),
    [("gsm8k", 0.958), ("math", 0.7983), ("medqa", 0.7899), ("gpqa", 0.4494), ("mbpp", 0.9159)],
)
def test_oi_mas_table_1(dataset: str, accuracy: float) -> None:
    assert value(f"oi-mas-table-1-{dataset}", "OI-MAS, pool", "accuracy") == accuracy


def test_published_rows_are_laid_below_our_own() -> None:
    own = table([trial("large", 0)], baseline="large")
    made = beside(own, "agentcollab-table-2")
    assert [row.published for row in made.rows] == [False] + [True] * 6
    assert "switching_ratio" in made.columns
    assert any("speedups against their own Large only" in note for note in made.notes)
    assert made.baseline == "large"


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        find("table-9")
    assert "agentcollab-table-2" in caught.value.hint
