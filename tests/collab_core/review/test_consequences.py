"""Logs by hand. A letter is a step: w warm-up, d default, r restored, e escalated, b budget left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from collab_core import events as ev
from collab_core.domain import LatencySplit, Usage
from collab_core.review.consequences import (
    EscalationTable,
    Spent,
    consequences,
    escalation_table,
)
from collab_core.review.labels import Label
from tests.collab_core.review.labelled import label, run

REASONS = {
    "w": "warm_up",
    "d": "default",
    "r": "restored",
    "e": "escalated",
    "b": "budget_left",
    "f": "fixed",
}


def log(
    path: str, *, scope: str = "", first: int = 1, usd: float | None = 0.5
) -> list[ev.Recorded]:
    """Step n takes n seconds and costs half a dollar."""
    return [
        ev.Recorded(
            seq=number,
            at=0.0,
            event=ev.StepFinished(
                step=number,
                scope=scope,
                tier=int(letter in "web"),
                tier_name="",
                reason=REASONS[letter],
                latency=LatencySplit(total_s=float(number)),
                cumulative_s=0.0,
                usage=Usage(),
                cost_usd=usd,
            ),
        )
        for number, letter in enumerate(path, start=first)
    ]


def false_at(*steps: int) -> list[Label]:
    return [label(False, 1, step=step) for step in steps]


def missed_at(*steps: int) -> list[Label]:
    return [label(True, 0, step=step) for step in steps]


def test_a_false_progress_loses_the_steps_below_until_the_next_escalation() -> None:
    found = consequences(log("wwrdddebr"), false_at(4))
    (one,) = found.false_progress
    # steps 5 and 6; 7 is the escalation
    assert (one.step, one.until) == (4, "escalation")
    assert one.lost == Spent(steps=2, seconds=11.0, usd=1.0)


def test_without_an_escalation_it_loses_what_is_left() -> None:
    (one,) = consequences(log("wrddd"), false_at(2)).false_progress
    assert (one.lost.steps, one.until) == (3, "end")


def test_steps_lost_twice_count_once_in_the_sum() -> None:
    found = consequences(log("wrddde"), false_at(2, 3))
    assert [one.lost.steps for one in found.false_progress] == [3, 2]
    assert found.lost == Spent(steps=3, seconds=12.0, usd=1.5)


def test_a_false_progress_above_loses_the_steps_after_the_early_hand_back() -> None:
    (one,) = consequences(log("wrebrde"), false_at(4)).false_progress
    assert one.lost == Spent(steps=2, seconds=11.0, usd=1.0)


def test_a_missed_progress_costs_the_take_over_that_it_caused() -> None:
    (one,) = consequences(log("wrebbrd"), missed_at(2)).missed_progress
    assert one.large == Spent(steps=3, seconds=12.0, usd=1.5)


def test_within_a_take_over_it_costs_what_it_prolonged_it_by() -> None:
    found = consequences(log("wrebbrd"), missed_at(2, 4))
    assert [one.large.steps for one in found.missed_progress] == [3, 1]
    assert found.large.steps == 3


def test_at_the_end_of_a_budget_and_below_the_top_without_one_it_costs_nothing() -> None:
    found = consequences(log("wrebrd"), missed_at(4, 5))
    assert [one.large for one in found.missed_progress] == [Spent(), Spent()]


@pytest.mark.parametrize("path", ["wwww", "ffff"])
def test_verdicts_that_nobody_listened_to_have_no_consequences(path: str) -> None:
    found = consequences(log(path), [*false_at(1), *missed_at(2)])
    assert (found.false_progress, found.missed_progress) == ((), ())


def test_instances_have_their_own_consequences() -> None:
    both = log("rdd", scope="seeker-1", first=1) + log("rde", scope="seeker-2", first=4)
    (one,) = consequences(both, false_at(1)).false_progress
    assert (one.lost.steps, one.until) == (2, "end")


def test_an_unknown_price_stays_unknown() -> None:
    (one,) = consequences(log("rdd", usd=None), false_at(1)).false_progress
    assert one.lost == Spent(steps=2, seconds=5.0, usd=None)


def test_each_escalation_was_needed_or_not_or_nobody_knows() -> None:
    labels = [
        label(False, 0, step=2),
        label(False, 0, step=3),
        label(True, 1, step=4),
        *missed_at(6),
        label(None, 1, step=7),
    ]
    first, second, third = consequences(log("wrebrereb"), labels).escalations
    assert (first.step, first.needed, first.large.steps, first.steps_to_progress) == (3, True, 2, 2)
    assert (second.step, second.needed, second.steps_to_progress) == (6, None, 1)
    assert (third.step, third.needed, third.steps_to_progress) == (8, None, None)


def tables(*runs: tuple[str, Sequence[Label]]) -> EscalationTable:
    logs = {run(number): log(path) for number, (path, _) in enumerate(runs, start=1)}
    return escalation_table(logs, [one for _, labels in runs for one in labels])


def test_needed_and_escalated_make_four_cells() -> None:
    # below: 2 (needed, escalated), 5 (not needed, escalated), 8 (needed, not), 9 (not, not);
    # 1 is warm-up, 3 is above, 10 has no step behind it
    answers = {1: False, 2: False, 3: False, 5: True, 8: False, 9: True, 10: False}
    labels = [label(answer, 1, step=step) for step, answer in answers.items()]
    found = tables(("wreb" + "rebrdd", labels))
    cells = (found.needed_escalated, found.needed_not, found.unneeded_escalated, found.unneeded_not)
    assert cells == (1, 1, 1, 1)
    assert (found.needed_of_escalated.value, found.escalated_of_needed.value) == (0.5, 0.5)


def test_the_shares_are_weighted_by_the_draw() -> None:
    rare = [label(False, 1, step=2, probability=0.25)]
    sure = [label(True, 0, of_run=2, step=2)]
    found = tables(("wreb", rare), ("wreb", sure))
    assert found.needed_of_escalated.value == pytest.approx(4 / 5)
    assert found.needed_of_escalated.unweighted == 0.5
    assert found.escalated_of_needed.n == 1
