from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

import collab_core.simulator
from collab_core.benchmarks.scoring import score
from collab_core.benchmarks.world import World
from collab_core.progress import parse_block
from collab_core.simulator.mind import think
from collab_core.simulator.presets import load_preset
from collab_core.simulator.skill import PERFECT, Skill
from collab_core.tools.base import Tool
from tests.collab_core.simulator.loop import Conversation, answer_of

BLIND = Skill(comprehension=0.0, reconsider=0.3, repetition=0.3)
"""Never understands a passage, and notices that it found nothing."""
DRIFTER = replace(BLIND, misread=1.0)
"""Takes a wrong value from every passage."""


async def test_a_perfect_model_needs_two_steps_a_hop(world: World, tools: tuple[Tool, ...]) -> None:
    correct, extra = 0, []
    for task in world.tasks:
        talk = Conversation(task.question, tools)
        correct += score(await talk.run(PERFECT), task.answers)
        extra.append(len(talk.thoughts) - (2 * task.hops + 1))
    assert correct >= 0.98 * len(world.tasks)
    assert sum(extra) / len(extra) < 0.2


async def test_the_same_request_gives_the_same_reply(world: World, tools: tuple[Tool, ...]) -> None:
    skill = load_preset("ddv2-7b-38b").models[0].skill
    one, two, other = (Conversation(world.tasks[5].question, tools) for _ in range(3))
    await one.run(skill)
    await two.run(skill)
    await other.run(skill, seed=2)
    assert one.thoughts == two.thoughts
    assert one.thoughts != other.thoughts


async def test_every_turn_has_one_strict_block(world: World, tools: tuple[Tool, ...]) -> None:
    skill = load_preset("websailor-7b-32b").models[0].skill
    for task in world.tasks[:20]:
        talk = Conversation(task.question, tools)
        await talk.run(skill)
        blocks = [parse_block(thought.text) for thought in talk.thoughts]
        assert all(block.status == "parsed" for block in blocks)
        assert blocks[0].indicator == 1


async def test_without_the_format_there_is_no_block(world: World, tools: tuple[Tool, ...]) -> None:
    talk = Conversation(world.tasks[0].question, tools, system="react_system_separate")
    assert await talk.run(PERFECT) == world.tasks[0].answers[0]
    assert not any("<progress>" in thought.text for thought in talk.thoughts)


async def test_a_check_is_answered_with_a_block_alone(
    world: World, tools: tuple[Tool, ...]
) -> None:
    talk = Conversation(world.tasks[0].question, tools, system="react_system_separate")
    await talk.step(PERFECT)
    thought = think(talk.asked("progress_check"), "m", PERFECT)
    assert thought.call is None
    assert parse_block(thought.text).raw == thought.text
    assert parse_block(thought.text).indicator == 1


async def test_a_forced_answer_is_tagged_and_calls_nothing(
    world: World, tools: tuple[Tool, ...]
) -> None:
    talk = Conversation(world.tasks[0].question, tools)
    await talk.step(PERFECT)
    thought = think(talk.asked("force_answer"), "m", PERFECT)
    assert thought.call is None
    assert answer_of(thought.text)


async def test_a_nudge_is_not_the_end(world: World, tools: tuple[Tool, ...]) -> None:
    talk = Conversation(world.tasks[0].question, tools)
    await talk.step(PERFECT)
    assert think(talk.asked("nudge") | {"tool_choice": "auto"}, "m", PERFECT).call is not None


async def test_a_stalled_model_reports_stagnation(world: World, tools: tuple[Tool, ...]) -> None:
    talk = Conversation(world.tasks[0].question, tools)
    assert await talk.run(BLIND, limit=12) == ""
    indicators = [parse_block(thought.text).indicator for thought in talk.thoughts]
    assert indicators[:2] == [1, 1]
    assert indicators[2:] == [0] * 10


async def test_a_better_model_goes_on_from_a_stalled_transcript(
    world: World, tools: tuple[Tool, ...]
) -> None:
    for task in world.tasks[:10]:
        talk = Conversation(task.question, tools)
        await talk.run(BLIND, limit=8)
        assert score(await talk.run(PERFECT, limit=12), task.answers)


async def test_drift_poisons_and_an_audit_repairs(world: World, tools: tuple[Tool, ...]) -> None:
    auditor = replace(PERFECT, audit_plain=1.0, audit_doubted=1.0)
    hard = [task for task in world.tasks if task.hops >= 4][:10]
    for task in hard:
        drifting, careless, careful = (Conversation(task.question, tools) for _ in range(3))
        assert not score(await drifting.run(DRIFTER, limit=30), task.answers)
        for talk in (careless, careful):
            await talk.run(DRIFTER, limit=4)
        assert not score(await careless.run(PERFECT), task.answers)
        assert score(await careful.run(auditor), task.answers)


async def test_misread_findings_are_doubted_but_for_false_progress(
    world: World, tools: tuple[Tool, ...]
) -> None:
    for rate, kind in ((0.0, "Doubtful finding: "), (1.0, "Finding: ")):
        talk = Conversation(world.tasks[0].question, tools)
        await talk.run(replace(DRIFTER, false_progress=rate), limit=3)
        lines = talk.thoughts[2].text.splitlines()
        assert any(line.startswith(kind) for line in lines)
        assert parse_block(talk.thoughts[2].text).indicator == int(rate)


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
async def test_missed_progress_has_its_rate(
    rate: float, world: World, tools: tuple[Tool, ...]
) -> None:
    skill = replace(PERFECT, missed_progress=rate)
    verdicts: list[int | None] = []
    for task in world.tasks[:60]:
        talk = Conversation(task.question, tools)
        await talk.run(skill)
        verdicts += [parse_block(thought.text).indicator for thought in talk.thoughts[1:]]
    assert verdicts.count(0) / len(verdicts) == pytest.approx(rate, abs=0.04)


def test_hardness_is_shared_by_all_models(world: World) -> None:
    from collab_core.benchmarks.language import parse_question
    from collab_core.simulator.reader import hardness
    from collab_core.simulator.trail import Hop

    values = []
    for task in world.tasks:
        chain = parse_question(task.question)
        assert chain is not None
        values.append(
            hardness(task.question, Hop(entity=chain.anchor, relation=chain.relations[0]))
        )
    assert 0.45 < sum(values) / len(values) < 0.55
    assert all(0 <= value < 1 for value in values)


def test_the_simulator_knows_no_world() -> None:
    """It may know the language, and how answers are compared (its judge); documents and answers it must
    find through the tools."""
    allowed = {"collab_core.benchmarks.language", "collab_core.benchmarks.scoring"}
    folder = Path(collab_core.simulator.__file__).parent
    for path in folder.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module}
        modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        about_worlds = {m for m in modules if m.startswith("collab_core.benchmarks")}
        about_tools = {m for m in modules if m.startswith("collab_core.tools")}
        assert about_worlds <= allowed
        assert not about_tools


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": ""}],
        [{"role": "user"}],
        [{"role": "user", "content": [{"type": "text", "text": "Who taught Ada Velm?"}]}],
        [{"role": "system", "content": "x"}],
        [
            {"role": "user", "content": "Who taught Ada Velm?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": 1}, "x", {"function": {}}],
            },
            {"role": "tool", "content": "[d1] <b>\n\nnot a page"},
            {"role": "tool", "tool_call_id": "y"},
        ],
    ],
)
def test_odd_conversations_get_a_reply(messages: list[dict[str, object]]) -> None:
    for names in ([], ["search", "read"]):
        tools = [{"type": "function", "function": {"name": name}} for name in names]
        assert think({"messages": messages, "tools": tools}, "m", PERFECT).text
