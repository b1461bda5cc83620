from __future__ import annotations

from collections.abc import Callable

import pytest

from collab_core.simulator.presets import load_preset
from collab_core.simulator.skill import PERFECT
from collab_core.tools.base import Tool
from collab_core.tools.registry import build_tools
from tests.collab_core.simulator.loop import Conversation

MakeTools = Callable[[dict[str, str]], tuple[Tool, ...]]
TEXTS = {
    "pump.md": "# Pump P-101\n\nThe pump was serviced by Maria Keller in 2019. It delivers 45 litres.",
    "valve.txt": "Valve V-7\n\nThe valve is made of bronze. Its supplier is Northwind Fittings.",
    "noise.html": "<title>Canteen</title><p>Lunch is served at noon in building four.",
    "zh.txt": "水泵手册\n\n水泵由北京工厂制造。",
}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who serviced the pump P-101?", "Maria Keller"),
        ("In which year was the pump P-101 serviced?", "2019"),
        ("How many litres does the pump deliver?", "45"),
        ("Which supplier delivers the valve V-7?", "Northwind Fittings"),
        ("水泵由哪里制造？", "北京"),
    ],
)
async def test_it_answers_from_any_collection(
    tools_over: MakeTools, question: str, answer: str
) -> None:
    talk = Conversation(question, tools_over(TEXTS))
    assert answer in await talk.run(PERFECT, limit=12)


@pytest.mark.parametrize(
    "question", ["?", "Why?", "zzz qqq", "<script>alert(1)</script>", "ما هذا؟"]
)
async def test_it_always_ends_within_a_dozen_steps(tools_over: MakeTools, question: str) -> None:
    tools = tools_over(TEXTS)
    for model in load_preset("ddv2-7b-38b").models:
        talk = Conversation(question, tools)
        assert await talk.run(model.skill, limit=12)


async def test_it_calculates() -> None:
    talk = Conversation("What is (3 + 4) * 12?", build_tools(None))
    assert await talk.run(PERFECT, limit=3) == "84"


async def test_it_says_when_it_knows_nothing() -> None:
    talk = Conversation("Who taught Ada Velm?", build_tools(None))
    assert await talk.run(PERFECT, limit=3) == "unknown"
