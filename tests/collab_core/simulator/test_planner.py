from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core import events as ev
from collab_core.agents.delegation import AssignSeekers, AssignWriter, Report, render_reports
from collab_core.agents.prompts import prompt
from collab_core.benchmarks.language import parse_question
from collab_core.benchmarks.world import World, WorldTask
from collab_core.domain import Ladder, Task, Tier
from collab_core.progress import parse_block
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.simulator.direct import DirectBackend
from collab_core.simulator.mind import Thought, think
from collab_core.simulator.presets import SimulatedModel, load_preset
from collab_core.simulator.skill import PERFECT, Skill
from collab_core.tools.base import Tool, tools_json
from collab_core.tools.compose import Compose

QUESTION = "Which company employed the planner of the town where Leopold Brezimeth was born?"
CARELESS = Skill(comprehension=0.0, audit_doubted=0.0)


async def solve(question: str, skill: Skill, tools: tuple[Tool, ...], **more: Any) -> MemoryJournal:
    model = load_preset("ddv2-7b-38b").models[0]
    model = SimulatedModel(name="m", tier="one", skill=skill, speed=model.speed)
    spec = RunSpec(
        task=Task(question=question),
        strategy="small",
        parameters={"agent": "planner-executor", **more.pop("parameters", {})},
        ladder=Ladder(name="l", tiers=(Tier(name="one", model="m", base_url=""),)),
        seed=more.pop("seed", 1),
        **more,
    )
    journal = MemoryJournal()
    await execute(spec, journal, backend=DirectBackend((model,)), tools=tools)
    return journal


def planner(question: str, *given: tuple[list[str], str], asked: str = "") -> dict[str, Any]:
    """A planner's request behind earlier assignments: (tasks, the thought before them)."""
    system = prompt("planner_system").replace("{check}", prompt("inline_check"))
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": system},
        {"role": "user", "content": question},
    ]
    for number, (said, thought) in enumerate(given, start=1):
        tasks = [{"task": line.split("|")[0]} for line in said]
        call = {"name": "assign_seekers", "arguments": json.dumps({"tasks": tasks})}
        entry = {"id": f"c{number}", "type": "function", "function": call}
        messages.append({"role": "assistant", "content": thought, "tool_calls": [entry]})
        reports = [
            Report(f"seeker-{number}.{k}", task, text, "answer", 3, ())
            for k, (task, _, text) in enumerate((line.partition("|") for line in said), start=1)
        ]
        content = render_reports(reports, 5_000)
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": content})
    if asked:
        messages.append({"role": "user", "content": prompt(asked)})
    schema = json.loads(tools_json([AssignSeekers(5), AssignWriter()]))
    return {"messages": messages, "tools": schema, "seed": 1}


def tasks_of(thought: Thought) -> list[str]:
    assert thought.call is not None
    assert thought.call.name == "assign_seekers"
    return [task["task"] for task in json.loads(thought.call.arguments)["tasks"]]


async def test_a_perfect_team_solves_the_sample_tasks(
    world: World, tools: tuple[Tool, ...]
) -> None:
    solved = 0
    for task in _some(world, 8):
        journal = await solve(task.question, PERFECT, tools, gold=task.answers)
        end = journal.records[-1].event
        assert isinstance(end, ev.RunFinished)
        solved += end.outcome == "correct"
    assert solved >= 23


async def test_the_same_run_twice_is_the_same(world: World, tools: tuple[Tool, ...]) -> None:
    skill = load_preset("ddv2-7b-38b").models[0].skill
    one, two, other = [
        [
            (e.scope, e.text)
            for r in (await solve(world.tasks[5].question, skill, tools, seed=seed)).records
            if isinstance(e := r.event, ev.ModelReplied)
        ]
        for seed in (1, 1, 2)
    ]
    assert sorted(one) == sorted(two)
    assert one != other


async def test_every_turn_of_every_role_has_one_strict_block(
    world: World, tools: tuple[Tool, ...]
) -> None:
    skill = load_preset("ddv2-7b-38b").models[0].skill
    for task in _some(world, 1):
        journal = await solve(task.question, skill, (*tools, Compose()))
        replies = [r.event for r in journal.records if isinstance(r.event, ev.ModelReplied)]
        assert all(parse_block(reply.text).status == "parsed" for reply in replies)
        assert {reply.scope.partition("-")[0] for reply in replies} == {"", "seeker"}


def test_a_good_planner_asks_for_the_first_piece_in_two_ways() -> None:
    tasks = tasks_of(think(planner(QUESTION), "m", PERFECT))
    chains = [parse_question(task) for task in tasks]
    assert all(chain and chain.anchor == "Leopold Brezimeth" for chain in chains)
    assert all(chain and chain.relations[0].key == "birthplace" for chain in chains)


def test_a_poor_planner_hands_out_everything_at_once() -> None:
    (task,) = tasks_of(think(planner(QUESTION), "m", CARELESS))
    assert parse_question(task) == parse_question(QUESTION)


def test_reports_that_agree_are_written_down_and_built_on() -> None:
    asked = "In which town was Leopold Brezimeth born?"
    thought = think(planner(QUESTION, ([f"{asked}|Vamness"] * 2, "I ask.")), "m", PERFECT)
    assert "Finding: the birthplace of Leopold Brezimeth is Vamness." in thought.text
    assert all("Vamness" in task for task in tasks_of(thought))
    assert parse_block(thought.text).indicator == 1


def test_a_careful_planner_has_a_contradiction_checked() -> None:
    asked = "In which town was Leopold Brezimeth born?"
    request = planner(QUESTION, ([f"{asked}|Vamness", f"{asked}|Klobrom"], "I ask."))
    careful = think(request, "m", replace(PERFECT, audit_doubted=1.0))
    assert "inding:" not in careful.text
    assert all("Leopold Brezimeth" in task for task in tasks_of(careful))
    assert parse_block(careful.text).indicator == 0
    careless = think(request, "m", CARELESS)
    assert "Doubtful finding: the birthplace of Leopold Brezimeth is" in careless.text


def test_an_uncertain_report_is_no_finding() -> None:
    asked = "In which town was Leopold Brezimeth born?"
    thought = think(planner(QUESTION, ([f"{asked}|Uncertain: Vamness"], "I ask.")), "m", PERFECT)
    assert "inding:" not in thought.text


def test_the_last_piece_is_the_answer() -> None:
    words = [relation.label for relation in (parse_question(QUESTION) or ("", ()))[1]]
    found = (
        f"Finding: the {words[2]} of the {words[1]} of the {words[0]} of Leopold Brezimeth is X."
    )
    request = planner(QUESTION, ([f"{QUESTION}|X"], "I ask."), ([f"{QUESTION}|X"], found))
    assert "<answer>X</answer>" in think(request, "m", PERFECT).text


def test_a_planner_that_must_answer_gives_its_best_report() -> None:
    asked = "In which town was Leopold Brezimeth born?"
    given = ([f"{asked}|Uncertain: Vamness"], "I ask.")
    thought = think(planner(QUESTION, given, asked="force_answer"), "m", PERFECT)
    assert thought.call is None
    assert "<answer>Vamness</answer>" in thought.text


@pytest.mark.parametrize("with_compose", [True, False])
async def test_a_text_is_written_from_the_reports(
    tools: tuple[Tool, ...], with_compose: bool
) -> None:
    more = (Compose(),) if with_compose else ()
    journal = await solve("Write a report on Velvet Lapwing.", PERFECT, (*tools, *more))
    roles = {r.event.role for r in journal.records if isinstance(r.event, ev.StepFinished)}
    assert roles == {"planner", "seeker", "writer"}
    end = journal.records[-1].event
    assert isinstance(end, ev.RunFinished)
    assert "What is written about Velvet Lapwing?" in end.answer


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_observation_breaks_a_planner(observation: str, thought: str) -> None:
    request = planner(QUESTION, (["A?|B"], thought))
    request["messages"][-1]["content"] = "[seeker-1.9] x\n  Report: y\n" + observation
    assert think(request, "m", PERFECT).text
    request["messages"][1]["content"] = observation
    assert think(request, "m", PERFECT).text


def _some(world: World, of_each: int) -> list[WorldTask]:
    kinds = ("easy", "medium", "hard")
    return [t for d in kinds for t in [t for t in world.tasks if t.difficulty == d][:of_each]]
