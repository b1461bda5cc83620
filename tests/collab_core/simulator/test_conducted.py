from __future__ import annotations

import json
from typing import Any

import pytest

from collab_core.agents.prompts import prompt
from collab_core.benchmarks.world import World
from collab_core.learned.oi_mas import ROLES
from collab_core.simulator.mind import think
from collab_core.simulator.skill import PERFECT, Skill

TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {}}}
    for name in ("search", "read")
]


def ask(role: str, question: str, *outputs: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A request as the strategy sends it."""
    frame = "tools" if more.get("tools") else "text"
    blocks = [f'<output role="{name}">\n{text}\n</output>' for name, text in outputs]
    return {
        "messages": [
            {"role": "system", "content": f"{role}\n\n{prompt(f'oi_mas_frame_{frame}')}"},
            {"role": "user", "content": "\n\n".join([question, *blocks])},
        ],
        "seed": 1,
        **more,
    }


def text_of(role: str) -> str:
    return next(entry.text for entry in ROLES if entry.name == role)


def says(role: str, question: str, *outputs: tuple[str, str], skill: Skill = PERFECT) -> str:
    return think(ask(text_of(role), question, *outputs), "m", skill).text


QUESTION = "What is it?"


def test_a_decomposer_names_the_links_of_a_question(world: World) -> None:
    task = max(world.tasks, key=lambda one: one.hops)
    text = says("decomposer", task.question)
    assert text.count(". Then find the ") == task.hops - 1
    assert not any(answer in text for answer in task.answers)


def test_an_ensembler_takes_what_most_say() -> None:
    given = [("generator-1", "b"), ("generator_cot-1", "a"), ("refiner-2", "A.")]
    assert "<answer>a</answer>" in says("ensembler", QUESTION, *given)


@pytest.mark.parametrize(
    ("answers", "words"), [((), "no answer yet"), (("a", "b"), "must be checked")]
)
def test_a_critique_says_what_is_missing(answers: tuple[str, ...], words: str) -> None:
    given = [(f"generator-{n}", text) for n, text in enumerate(answers)]
    assert words in says("critique", QUESTION, *given)


def test_a_refiner_leaves_alone_what_was_found_right() -> None:
    given = [("generator-1", "a"), ("verifier-2", "I come to the same.\nVerdict: correct")]
    assert "<answer>a</answer>" in says("refiner", QUESTION, *given)


@pytest.mark.parametrize(("claimed", "verdict"), [("right", "correct"), ("wrong", "wrong")])
def test_a_verifier_solves_the_task_itself_and_compares(
    world: World, claimed: str, verdict: str
) -> None:
    task = min(world.tasks, key=lambda one: one.hops)
    answer = task.answers[0] if claimed == "right" else "Nobody"
    body = ask(text_of("verifier"), task.question, ("generator-1", answer), tools=TOOLS)
    pages = {entity.name: (f"p{n}", entity.text) for n, entity in enumerate(world.entities)}
    for _ in range(20):
        thought = think(body, "m", PERFECT)
        if thought.call is None:
            break
        body["messages"] += answered(thought, pages)
    assert f"Verdict: {verdict}" in thought.text
    if claimed == "wrong":
        assert f"Answer: {task.answers[0]}" in thought.text


def answered(thought: Any, pages: dict[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """The model's call and what the tool shows."""
    call, given = thought.call, json.loads(thought.call.arguments)
    if call.name == "search":
        hits = [(page, name) for name, (page, _) in pages.items() if name in given["query"]]
        shown = "\n".join(f"[{page}] {name}\n    a line" for page, name in hits) or "Nothing."
    else:
        page, (name, text) = next(
            (page, (name, text)) for name, (page, text) in pages.items() if page == given["id"]
        )
        shown = f"[{page}] {name}\n{text}"
    function = {"name": call.name, "arguments": call.arguments}
    return [
        {
            "role": "assistant",
            "content": thought.text,
            "tool_calls": [{"id": call.id, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": call.id, "content": shown},
    ]
