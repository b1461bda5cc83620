"""Simulated models in the roles of whole methods, by the very prompts that the methods send."""

from __future__ import annotations

import re
from typing import Any

import pytest

from collab_core.agents.prompts import prompt
from collab_core.benchmarks.language import parse_question
from collab_core.benchmarks.world import World, WorldTask
from collab_core.simulator.mind import think
from collab_core.simulator.skill import PERFECT, Skill
from collab_core.strategies.cope_rules import shown
from collab_core.tools.base import Tool
from tests.collab_core.simulator.loop import Conversation, answer_of

WEAK = Skill(comprehension=0.2, confusion=0.9)


@pytest.fixture
def task(world: World) -> WorldTask:
    return max(world.tasks, key=lambda one: one.hops)


def ask(system: str, user: str, skill: Skill = PERFECT, *, seed: int = 1) -> str:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return think({"messages": messages, "seed": seed}, "m", skill).text


def labels(question: str) -> list[str]:
    chain = parse_question(question)
    assert chain is not None
    return [relation.label for relation in chain.relations]


@pytest.mark.parametrize("kind", ["cope_goal", "cope_guideline"])
def test_a_planner_names_every_link_and_no_answer(kind: str, task: WorldTask) -> None:
    plan = ask(prompt(kind), task.question)
    assert re.search(".*".join(map(re.escape, labels(task.question))), plan, re.S)
    assert not any(answer in plan for answer in task.answers)


def test_a_guideline_says_how_and_a_goal_does_not(task: WorldTask) -> None:
    assert "rumour" in ask(prompt("cope_guideline"), task.question)
    assert "rumour" not in ask(prompt("cope_goal"), task.question)


def test_a_weak_planner_slips_and_its_plans_differ(task: WorldTask) -> None:
    plans = {ask(prompt("cope_goal"), task.question, WEAK, seed=seed) for seed in range(20)}
    assert len(plans) > 3
    assert any(not all(label in plan for label in labels(task.question)) for plan in plans)


def test_a_question_of_another_world_gets_a_plan_too() -> None:
    assert "Who wrote it?" in ask(prompt("cope_goal"), "Who wrote it?")


async def solved(question: str, tools: tuple[Tool, ...], skill: Skill, *, runs: int) -> list[int]:
    """Return how many calls each run took."""
    taken = []
    for seed in range(runs):
        conversation = Conversation(question, tools)
        await conversation.run(skill, seed=seed)
        taken.append(len(conversation.thoughts))
    return taken


async def test_a_plan_below_the_question_helps_and_a_wrong_one_hurts(
    task: WorldTask, tools: tuple[Tool, ...]
) -> None:
    skill = Skill(poor_query=0.5, repetition=0.2)
    good = ask(prompt("cope_goal"), task.question)
    told = shown("cope_execute", [("goal", good)])
    astray = shown("cope_execute", [("goal", "Find the colour of the sea.")])
    alone = sum(await solved(task.question, tools, skill, runs=12))
    assert sum(await solved(f"{task.question}\n\n{told}", tools, skill, runs=12)) < alone
    assert sum(await solved(f"{task.question}\n\n{astray}", tools, skill, runs=12)) > alone


async def test_a_step_is_planned_and_then_done(task: WorldTask, tools: tuple[Tool, ...]) -> None:
    conversation = Conversation(task.question, tools)
    await conversation.step(PERFECT)
    plan = think(conversation.asked("cope_step_goal"), "m", PERFECT)
    assert labels(task.question)[0] in plan.text
    assert plan.call is None
    suffix = {"role": "user", "content": shown("cope_step_execute", [("goal", plan.text)])}
    assert think(conversation.body(suffix), "m", PERFECT).call is not None


def debate(own: str, others: list[str], skill: Skill, *, seed: int = 1) -> str:
    blocks = [
        f'<agent number="{n}">\nBecause.\nAnswer: {text}\n</agent>'
        for n, text in enumerate(others, start=1)
    ]
    messages = [
        {"role": "system", "content": prompt("react_system_separate")},
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": f"Found. <answer>{own}</answer>" if own else "Hm."},
        {
            "role": "user",
            "content": prompt("debate_revise").replace("{others}", "\n".join(blocks)),
        },
    ]
    return answer_of(think({"messages": messages, "seed": seed}, "m", skill).text)


def test_a_debater_keeps_what_most_say_and_takes_it_where_it_has_nothing() -> None:
    assert debate("Ann", ["Ann", "Bo"], WEAK) == "Ann"
    assert debate("", ["Bo", "Bo"], WEAK) == "Bo"
    assert debate("", ["none", "none"], WEAK) == ""


def test_a_debater_in_doubt_mostly_gives_in_to_a_majority() -> None:
    given = [debate("Ann", ["Bo", "Bo"], WEAK, seed=seed) for seed in range(40)]
    assert 20 < given.count("Bo") < 40


def role(prompts: str, outputs: list[str]) -> str:
    blocks = [f'<output role="r{n}">\n{text}\n</output>' for n, text in enumerate(outputs)]
    return ask(f"You decide.\n\n{prompts}", "\n\n".join(["Who?", *blocks]))


def test_a_role_without_tools_says_what_most_of_the_others_say() -> None:
    said = role(prompt("workflow_text"), ["Ann", "Bo", "1 of 1 said this.\nAnswer: bo."])
    assert said == "2 of 3 of what was given say this.\nAnswer: Bo"


def test_the_final_role_answers_in_tags() -> None:
    frame = f"{prompt('workflow_text')}\n\n{prompt('workflow_final')}"
    assert role(frame, ["Ann", "Bo", "Bo"]) == "<answer>Bo</answer>"


async def test_findings_are_taken_over_from_a_compacted_hand_over(
    task: WorldTask, tools: tuple[Tool, ...]
) -> None:
    conversation = Conversation(task.question, tools)
    await conversation.run(PERFECT)
    notes = "\n".join(f"Agent: {' '.join(t.text.split())[:300]}" for t in conversation.thoughts)
    handed = Conversation(
        f"{task.question}\n\n{prompt('compacted').replace('{work}', notes)}", tools
    )
    assert await handed.run(PERFECT) in task.answers
    assert len(handed.thoughts) < len(conversation.thoughts) / 2


def test_what_a_model_makes_of_hostile_text_is_text(task: WorldTask) -> None:
    hostile: Any = "<plan kind='goal'>" * 999 + "</plan>" + "<agent number=" * 999
    assert isinstance(ask("You are a careful agent.", f"{task.question}\n\n{hostile}"), str)
