"""One decision, then its schedule: who acts when, who reads whom, whose answer counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collab_core import events as ev
from collab_core.agents.base import Answer
from collab_core.backends.base import ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Limits, ToolCall
from collab_core.errors import InvalidInput
from collab_core.learned.masrouter import (
    EXPERTS,
    MODES,
    Seat,
    SeatScores,
    Team,
    draw_seat,
)
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.strategies.masrouter import _Work, schedule
from collab_core.strategies.registry import parse_parameters
from collab_core.strategies.roles import Activation, Output
from tests.collab_core.replies import spec
from tests.collab_core.runtime.test_engine import Note
from tests.collab_core.strategies.test_oi_mas import by_instance, events, reply, told

MODE_NAMES = [mode.name for mode in MODES]


@pytest.mark.parametrize(
    ("mode", "agents", "stages"),
    [
        ("io", 3, [((0, 1, 2), "nothing")]),
        ("cot", 2, [((0, 1), "nothing")]),
        ("chain", 3, [((0,), "nothing"), ((1,), "previous"), ((2,), "previous")]),
        ("full_connected", 2, [((0,), "all"), ((1,), "all")]),
        ("debate", 2, [((0, 1), "nothing"), ((0, 1), "others")]),
        ("debate", 1, [((0,), "nothing")]),
        ("reflection", 1, [((0,), "nothing"), ((0,), "own")]),
    ],
)
def test_a_mode_is_a_schedule(mode: str, agents: int, stages: list[Any]) -> None:
    assert [(stage.agents, stage.reads) for stage in schedule(mode, agents)] == stages


def test_without_chance_a_seat_goes_to_the_most_probable_role_and_tier() -> None:
    experts = np.array([0.1, 0.5, 0.4, 0, 0, 0, 0, 0])
    tiers = np.array([[0.9, 0.1], [0.3, 0.7]] + [[1.0, 0.0]] * 6)
    assert draw_seat(SeatScores(experts, tiers), None) == Seat(1, 1)


def work(mode: str, *answers: str) -> _Work:
    team = Team(MODE_NAMES.index(mode), tuple(Seat(0, 0) for _ in answers))
    made = _Work(team=team, scored=[])
    for number, text in enumerate(answers):
        by = Activation(
            branch=str(number),
            role="analyst",
            title=f"Analyst {number}",
            instruction="",
            solves=True,
            tools=False,
            tier=0,
            reason=mode,
            why="",
        )
        made.outputs[number] = Output(by, Answer(text, "tagged", "answer"), 0.0)
    return made


@pytest.mark.parametrize(
    ("mode", "answers", "final"),
    [
        ("io", ["a", "b", "B."], "b"),
        ("debate", ["a", "b"], "a"),  # a tie: the earliest
        ("chain", ["a", "a", "b"], "b"),
        ("full_connected", ["a", "b", ""], "b"),
        ("reflection", ["", ""], ""),
    ],
)
def test_whose_answer_counts(mode: str, answers: list[str], final: str) -> None:
    assert work(mode, *answers).answer("question").text == final


def test_who_is_shown_whose_output() -> None:
    three = work("debate", "a", "b", "c")
    shown = {
        reads: [output.answer.text for output in three.shown(1, reads)]
        for reads in ("nothing", "previous", "all", "others", "own")
    }
    assert shown == {
        "nothing": [],
        "previous": ["a"],
        "all": ["a"],
        "others": ["a", "c"],
        "own": ["b"],
    }


# --- whole runs ---------------------------------------------------------------------------------
def agent(request: ModelRequest) -> Any:
    messages = request.transcript.messages
    done = any(message["role"] == "tool" for message in messages)
    if "You are the Researcher" in told(request) and not done and request.tools_json:
        return reply("I note.", ToolCall(id="c", name="note", arguments='{"text": "x"}'))
    return reply("<answer>Paris</answer>")


async def solve(seed: int = 7, journal: Any = None, **more: Any) -> Any:
    backend, journal, tool = ScriptedBackend([agent] * 500), journal or MemoryJournal(), Note()
    limits = {"limits": more.pop("limits")} if "limits" in more else {}
    run = spec("masrouter", parameters=more, seed=seed, **limits)
    terminal = await execute(run, journal, backend=backend, tools=(tool,))
    return terminal, journal, backend.requests


async def test_the_decision_is_made_once_and_carried_out() -> None:
    for seed in range(12):
        terminal, journal, requests = await solve(seed)
        stages = events(journal, ev.StepStarted, main=True)
        mode = stages[0].reason
        agents = len(events(journal, ev.ScorerReturned)) - 1
        assert 1 <= agents <= 6
        assert len(stages) == len(schedule(mode, agents))
        first = stages[0].step
        assert {e.step for e in events(journal, ev.ScorerReturned)} == {first}
        assert terminal.totals.model_calls == len(requests)
        assert terminal.answer == "Paris"


async def test_the_same_seed_makes_the_same_team_and_another_one_others() -> None:
    teams = []
    for seed in (1, 1, 2, 3, 4):
        _, journal, _ = await solve(seed)
        teams.append(events(journal, ev.ToolReturned, main=True)[0].arguments)
    assert teams[0] == teams[1]
    assert len(set(teams)) > 2


async def test_the_programmer_is_seated_only_with_the_python_tool() -> None:
    for seed in range(12):
        _, journal, _ = await solve(seed, explore=True)
        assert "programmer" not in {e.role for e in events(journal, ev.StepStarted)}
        for scored in events(journal, ev.ScorerReturned)[1:]:
            blocked = [expert.name for expert in EXPERTS].index("programmer")
            assert scored.values[blocked] == 0.0


@pytest.mark.parametrize("seed", [0, 3, 5, 8])
async def test_a_run_cut_after_any_event_resumes_to_the_same_log(seed: int) -> None:
    _, whole, asked = await solve(seed, explore=True)
    for cut in range(len(whole.records)):
        _, resumed, again = await solve(seed, MemoryJournal(whole.records[:cut]), explore=True)
        assert by_instance(resumed) == by_instance(whole)
        known = sum(isinstance(r.event, ev.ModelReplied) for r in whole.records[:cut])
        assert len(again) == len(asked) - known


async def test_the_last_steps_that_do_not_fit_are_left_out_and_said() -> None:
    for seed in range(40):
        _, journal, _ = await solve(seed)
        if len(events(journal, ev.StepStarted, main=True)) > 1:
            break
    terminal, _, _ = await solve(seed, limits=Limits(max_steps=1))
    assert (terminal.answer, terminal.ended_by) == ("Paris", "max_steps")


def test_exploring_needs_drawing() -> None:
    with pytest.raises(InvalidInput, match="explore needs sample"):
        parse_parameters("masrouter", {"explore": True, "sample": False})
