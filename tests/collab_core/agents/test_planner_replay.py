"""Killed with several branches in flight: the resumed run is the same run."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab_core import events as ev
from collab_core.domain import Limits
from collab_core.runtime.fork import prefix
from collab_core.runtime.journal import MemoryJournal
from collab_core.tools.compose import Compose
from tests.collab_core.agents.team import Author, Note, Plan, Round, Team, by_scope, fold, of, work

PLAN = (Round([(1, 0, 0), (0,), ()]), Round([]), Round([(1,), (1, 1)], verdict=0))

verdicts = st.lists(st.integers(0, 1), max_size=4)
plans = st.lists(
    st.builds(Round, st.lists(verdicts, max_size=4), st.integers(0, 1)), min_size=1, max_size=3
)
seeds = st.integers(0, 10**6)


async def resumed(
    plan: Plan, records: Sequence[ev.Recorded], *, seed: int, strategy: str = "agentcollab"
) -> MemoryJournal:
    """Go on where ``records`` stop, in another order; no known effect is made again."""
    team, note = Team(plan, random.Random(seed)), Note()
    terminal, journal = await work(team, records, strategy=strategy, tools=(note,))
    assert len(team.requests) == len(of(journal, ev.ModelReplied)) - _count(records)
    assert terminal.totals == fold(journal.records).totals()
    made = [e for e in of(journal, ev.ToolReturned) if e.tool == "note"]
    known = [r.event for r in records if isinstance(r.event, ev.ToolReturned)]
    assert note.calls == len(made) - sum(event.tool == "note" for event in known)
    return journal


def _count(records: Sequence[ev.Recorded]) -> int:
    return sum(isinstance(record.event, ev.ModelReplied) for record in records)


@pytest.mark.parametrize("strategy", ["agentcollab", "agentcollab-static", "large-planner"])
async def test_a_run_cut_after_any_event_resumes_to_the_same_log(strategy: str) -> None:
    _, whole = await work(Team(PLAN, random.Random(0)), strategy=strategy)
    for cut in range(len(whole.records)):
        journal = await resumed(PLAN, whole.records[:cut], seed=cut, strategy=strategy)
        assert by_scope(journal.records) == by_scope(whole.records), f"cut after {cut} events"


async def test_a_text_under_way_is_not_lost() -> None:
    """The sections that a writer had made before the kill are in the text of the resumed run."""
    plan = [Round([()]), Round([])]
    _, whole = await work(Author(plan), tools=(Compose(),))
    for cut in range(len(whole.records)):
        terminal, journal = await work(Author(plan), whole.records[:cut], tools=(Compose(),))
        assert terminal.answer == "Section 0.\n\nSection 1.", f"cut after {cut} events"
        assert by_scope(journal.records) == by_scope(whole.records)


@settings(max_examples=60, deadline=None)
@given(plan=plans, seed=seeds, cuts=st.lists(st.floats(0, 1), min_size=1, max_size=3))
async def test_any_tree_killed_at_any_points_ends_the_same(
    plan: Plan, seed: int, cuts: list[float]
) -> None:
    _, whole = await work(Team(plan, random.Random(seed)))
    records = whole.records
    for number, cut in enumerate(cuts):
        kept = records[: int(cut * (len(records) - 1))]
        records = (await resumed(plan, kept, seed=seed + number + 1)).records
        assert by_scope(records) == by_scope(whole.records)


@settings(max_examples=30, deadline=None)
@given(plan=plans, seed=seeds, cut=st.floats(0, 1), data=st.data())
async def test_a_killed_fork_ends_as_the_fork_would(
    plan: Plan, seed: int, cut: float, data: st.DataObject
) -> None:
    _, parent = await work(Team(plan, random.Random(seed)))
    planned = [e.step for e in of(parent, ev.StepFinished) if not e.scope][:-1]
    after = data.draw(st.sampled_from(planned))
    copied = [
        ev.Recorded(seq=n, at=0.0, event=event)
        for n, event in enumerate(prefix(parent.records, after))
    ]
    _, whole = await work(Team(plan), copied, strategy="large", fork_step=after)
    kept = whole.records[: max(len(copied), int(cut * (len(whole.records) - 1)))]
    team = Team(plan, random.Random(seed + 1))
    terminal, journal = await work(team, kept, strategy="large", fork_step=after)
    assert by_scope(journal.records) == by_scope(whole.records)
    assert terminal.totals == fold(journal.records).totals()


@settings(max_examples=30, deadline=None)
@given(plan=plans, seed=seeds)
async def test_the_order_in_which_branches_finish_changes_nothing(plan: Plan, seed: int) -> None:
    _, one = await work(Team(plan, random.Random(seed)))
    _, other = await work(Team(plan, random.Random(seed + 1)))
    assert by_scope(one.records) == by_scope(other.records)
    steps = sorted(event.step for event in of(one, ev.StepFinished))
    assert steps == list(range(1, len(steps) + 1))


async def test_an_instance_begins_when_it_was_asked_to() -> None:
    """Totals of a run stopped in a seeker's first step count the planner's step before it."""
    _, whole = await work(Team([Round([(1,)])]))
    first = next(
        n
        for n, record in enumerate(whole.records)
        if isinstance(record.event, ev.ModelReplied) and record.event.scope
    )
    # by hand: the planner's 0.5 s and the seeker's 1 s
    assert fold(whole.records[: first + 1]).elapsed_s == pytest.approx(1.5)


async def test_what_another_branch_spent_counts_before_it_is_replayed() -> None:
    """Replayed branches go on one after the other; a limit knows of all of them at once."""
    plan = [Round([(1, 1), (1, 1)])]
    _, whole = await work(Team(plan))
    asked = ("step.started", "model.replied", "progress.judged")
    kept = [
        record.event
        for record in whole.records
        if getattr(record.event, "scope", "") == "seeker-1.2"
        or (getattr(record.event, "step", 0) == 1 and ev.event_type(record.event) in asked)
    ]
    team = Team(plan)
    history = [ev.Recorded(seq=n, at=0.0, event=event) for n, event in enumerate(kept)]
    # by hand: four calls of 110 tokens are known
    terminal, _ = await work(team, history, limits=Limits(max_steps=9, max_tokens=440))
    assert (terminal.ended_by, team.requests) == ("max_tokens", [])
