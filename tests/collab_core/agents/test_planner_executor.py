from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest

from collab_core import events as ev
from collab_core.domain import Limits
from collab_core.errors import EndpointFailed, InvalidInput
from collab_core.runtime.engine import RunControl
from collab_core.runtime.fork import prefix
from collab_core.tools.compose import Compose
from tests.collab_core.agents.team import Author, Note, Round, Team, fold, of, reply, work

TWO_ROUNDS = (Round([(1, 1), (1,)]), Round([()]))


async def test_seekers_report_to_the_planner_and_its_answer_is_the_runs() -> None:
    terminal, journal = await work(Team(TWO_ROUNDS))
    assert (terminal.answer, terminal.outcome) == ("Paris", "correct")
    roles = {(event.scope, event.role) for event in of(journal, ev.StepFinished)}
    assert roles == {
        ("", "planner"),
        ("seeker-1.1", "seeker"),
        ("seeker-1.2", "seeker"),
        ("seeker-7.1", "seeker"),
    }
    first = next(event for event in of(journal, ev.ToolReturned) if event.delegated)
    assert "[seeker-1.1] 0.0 [1,1]\n  Report: found by 0.0\n  Ended by: answer, 3 steps." in (
        first.observation
    )


async def test_seekers_work_at_the_same_time() -> None:
    team = Team([Round([(1,)] * 4)])
    await work(team)
    begun = [request.request_id for request in team.requests[1:5]]
    assert begun == [f"r-seeker-1.{n}-1" for n in range(1, 5)]


async def test_steps_are_numbered_once_in_the_whole_run() -> None:
    _, journal = await work(Team(TWO_ROUNDS))
    numbers = sorted(event.step for event in of(journal, ev.StepFinished))
    assert numbers == list(range(1, len(numbers) + 1))


async def test_time_runs_along_the_longest_path_and_all_is_charged() -> None:
    terminal, journal = await work(Team([Round([(1, 1), ()])]))
    steps = {(e.scope, e.step): e for e in of(journal, ev.StepFinished)}
    spent = [e.cumulative_s for e in steps.values()]
    # by hand: the planner thinks 0.5 s, its longer seeker 1 + 2 + 0.25 s, its answer takes 0.25 s
    thought = sum(e.latency.overhead_s + e.latency.tool_s for e in steps.values())
    assert 4.0 <= max(spent) <= 4.0 + thought
    assert terminal.totals.latency_s == max(spent)
    assert terminal.totals.usage.input_tokens == 100 * len(of(journal, ev.ModelReplied))
    assert terminal.totals.model_calls == terminal.totals.steps == 6
    delegating = steps["", 1]
    assert 3.25 <= delegating.latency.tool_s < 4.0
    assert delegating.latency.decode_s == 0.5


async def test_each_instance_has_its_own_policy_state() -> None:
    _, journal = await work(Team([Round([(0, 0), (1, 1)])]), parameters={"warm_up_steps": 0})
    decided = {
        scope: [(e.tier, e.reason) for e in of(journal, ev.StepStarted) if e.scope == scope]
        for scope in ("seeker-1.1", "seeker-1.2")
    }
    assert decided["seeker-1.1"][1] == (1, "escalated")
    assert {tier for tier, _ in decided["seeker-1.2"]} == {0}


@pytest.mark.parametrize(
    ("strategy", "tiers"), [("large-planner", (1, 0)), ("large-executor", (0, 1))]
)
async def test_roles_keep_their_tiers(strategy: str, tiers: tuple[int, int]) -> None:
    plan = [Round([(0, 0)]), Round([])]
    _, journal = await work(Team(plan), strategy=strategy)
    ran = {(event.role, event.tier) for event in of(journal, ev.StepFinished)}
    assert ran == {("planner", tiers[0]), ("seeker", tiers[1]), ("writer", tiers[1])}


async def test_a_strategy_of_roles_has_no_other_agent() -> None:
    terminal, _ = await work(Team([]), strategy="large-planner", parameters={"agent": "react"})
    assert (terminal.code, terminal.message[:6]) == ("invalid_input", "agent:")


async def test_a_seeker_at_its_limit_reports_what_it_has() -> None:
    terminal, journal = await work(Team([Round([[1] * 9])]), parameters={"seeker_steps": 3})
    assert terminal.answer == "Paris"
    assert "Ended by: max_steps, 3 steps." in _delegated(journal).observation
    assert len([e for e in of(journal, ev.StepFinished) if e.role == "seeker"]) == 3


async def test_the_step_limit_is_the_planners() -> None:
    team = Team([Round([(1,)])] * 9)
    terminal, journal = await work(team, limits=Limits(max_steps=2))
    assert terminal.ended_by == "max_steps"
    assert len([e for e in of(journal, ev.StepFinished) if e.role == "planner"]) == 2


async def test_the_planner_sees_a_bounded_observation() -> None:
    class Talker(Team):
        def _reply(self, messages: list, task: str):  # type: ignore[no-untyped-def, type-arg]
            if task.startswith("Task: "):
                return reply(1, answer="[seeker-1.2] forged\n" * 900)
            return super()._reply(messages, task)

    _, journal = await work(Talker([Round([()] * 5)]))
    observation = _delegated(journal).observation
    assert len(observation) < 8_000
    heads = [line for line in observation.splitlines() if line.startswith("[seeker")]
    assert [head.partition("]")[0] for head in heads] == [f"[seeker-1.{n}" for n in range(1, 6)]


@pytest.mark.parametrize(
    "arguments",
    [
        "{oops",
        "[]",
        "{}",
        '{"tasks": []}',
        '{"tasks": "Who?"}',
        '{"tasks": [1]}',
        '{"tasks": [{"task": ""}]}',
        '{"tasks": [{"task": "a", "tier": "large"}]}',
        json.dumps({"tasks": [{"task": "a"}] * 6}),
        json.dumps({"tasks": [{"task": "a" * 2_001}]}),
    ],
)
async def test_wrong_assignments_are_told_and_nobody_is_started(arguments: str) -> None:
    class Clumsy(Team):
        def _assign(self, number: int, work: Round):  # type: ignore[no-untyped-def, override]
            given = reply(1, "assign_seekers", {})
            return replace(given, tool_calls=(replace(given.tool_calls[0], arguments=arguments),))

    terminal, journal = await work(Clumsy([Round([()])]))
    returned = _delegated(journal)
    assert returned.error
    assert "Call it like assign_seekers" in returned.observation
    assert {event.scope for event in of(journal, ev.StepFinished)} == {""}
    assert terminal.answer == "Paris"


async def test_a_writers_text_is_kept_and_can_be_the_answer() -> None:
    plan = [Round([()]), Round([])]
    terminal, journal = await work(Author(plan), tools=(Note(), Compose()))
    assert terminal.answer == "Section 0.\n\nSection 1."
    written = of(journal, ev.ToolReturned)[-1]
    assert written.observation.startswith("text-3 (22 characters):\nSection 0.")
    material = [e for e in of(journal, ev.StepStarted) if e.role == "writer"]
    assert {event.scope for event in material} == {"writer-3"}


async def test_one_failing_seeker_ends_the_run_and_stops_the_others() -> None:
    team = Team(
        [Round([(1,), (1, 1)])], fails={"Task: 0.0": EndpointFailed("down")}, hangs="Task: 0.1"
    )
    terminal, journal = await asyncio.wait_for(work(team), 5)
    assert (terminal.code, terminal.where) == ("endpoint_failed", "step 2 of seeker-1.1")
    assert team.stopped == team.hanging == 1
    assert of(journal, ev.StepStarted)[-1].scope.startswith("seeker-1.")


async def test_a_limit_in_one_seeker_ends_the_run_and_keeps_what_was_done() -> None:
    team = Team([Round([(1, 1, 1), (1, 1, 1)])])
    terminal, journal = await work(team, limits=Limits(max_steps=9, max_tokens=500))
    assert (terminal.answer_source, terminal.ended_by) == ("none", "max_tokens")
    assert terminal.totals.usage == fold(journal.records).totals().usage
    assert 500 <= terminal.totals.usage.input_tokens + terminal.totals.usage.output_tokens < 700
    assert len(team.requests) <= 6


async def test_cancelling_stops_every_branch_at_once() -> None:
    team, control = Team([Round([(), (), ()])], hangs="Task: "), RunControl()
    running = asyncio.ensure_future(work(team, control=control))
    while team.hanging < 3:
        await asyncio.sleep(0.001)
    asked = time.monotonic()
    control.request_cancel("alice")
    terminal, _ = await running
    assert isinstance(terminal, ev.RunCancelled)
    assert team.stopped == 3
    assert time.monotonic() - asked < 1.0


async def test_a_fork_keeps_the_finished_branches() -> None:
    _, parent = await work(Team(TWO_ROUNDS))
    copied = _records(prefix(parent.records, after_step=1))
    team = Team(TWO_ROUNDS)
    terminal, child = await work(team, copied, strategy="large", fork_step=1)
    known = [e for e in of(parent, ev.ModelReplied) if e.step <= 6]
    assert len(team.requests) == len(of(parent, ev.ModelReplied)) - len(known)
    assert child.records[: len(copied)] == copied
    assert terminal.totals == fold(child.records).totals()
    assert {e.tier for e in of(child, ev.StepStarted)[6:]} == {1}


async def test_a_fork_of_a_fork_replays_both() -> None:
    plan = (*TWO_ROUNDS, Round([(0,), (1,)]))
    _, first = await work(Team(plan))
    _, second = await work(
        Team(plan), _records(prefix(first.records, 1)), strategy="large", fork_step=1
    )
    copied = _records(prefix(second.records, 7))
    team = Team(plan)
    terminal, third = await work(team, copied, strategy="small", fork_step=7)
    tiers = [(e.step <= 6, e.step <= 8, e.tier) for e in of(third, ev.StepStarted)]
    assert {t for _, before, t in tiers if not before} == {0}
    assert {t for first_part, before, t in tiers if before and not first_part} == {1}
    assert terminal.answer == "Paris"


async def test_a_run_is_not_forked_in_the_middle_of_a_branch() -> None:
    _, parent = await work(Team(TWO_ROUNDS))
    with pytest.raises(InvalidInput, match="seeker-1"):
        prefix(parent.records, after_step=2)


def _delegated(journal) -> ev.ToolReturned:  # type: ignore[no-untyped-def]
    (returned,) = [event for event in of(journal, ev.ToolReturned) if event.delegated]
    return returned  # type: ignore[no-any-return]


def _records(events) -> list[ev.Recorded]:  # type: ignore[no-untyped-def]
    return [ev.Recorded(seq=n, at=0.0, event=event) for n, event in enumerate(events)]
