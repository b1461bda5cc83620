"""A bare ReAct loop round a simulated model, for tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collab_core.errors import ToolFailed
from collab_core.simulator.mind import Thought, think
from collab_core.simulator.skill import Skill
from collab_core.tools.base import Tool, tools_json

_PROMPTS = Path(__file__).parents[3] / "collab_core" / "prompts"


def prompt(name: str) -> str:
    return (_PROMPTS / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")


@dataclass
class Conversation:
    """A growing request; ``thoughts`` are the model's turns."""

    question: str
    tools: tuple[Tool, ...]
    system: str = "react_system"
    messages: list[dict[str, Any]] = field(default_factory=list)
    thoughts: list[Thought] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.messages = [
            {"role": "system", "content": prompt(self.system)},
            {"role": "user", "content": self.question},
        ]

    def body(self, *suffix: dict[str, Any], **more: Any) -> dict[str, Any]:
        schema = json.loads(tools_json(self.tools))
        return {"messages": [*self.messages, *suffix], "tools": schema, "seed": 1, **more}

    def asked(self, name: str) -> dict[str, Any]:
        """Return the request with a prompt as its suffix."""
        return self.body({"role": "user", "content": prompt(name)}, tool_choice="none")

    async def step(self, skill: Skill, *, model: str = "m", seed: int = 1) -> Thought:
        thought = think(self.body(seed=seed), model, skill)
        self.thoughts.append(thought)
        call = thought.call
        message: dict[str, Any] = {"role": "assistant", "content": thought.text}
        if call:
            function = {"name": call.name, "arguments": call.arguments}
            message["tool_calls"] = [{"id": call.id, "type": "function", "function": function}]
        self.messages.append(message)
        if call:
            tool = next(tool for tool in self.tools if tool.name == call.name)
            try:
                observation = (await tool(json.loads(call.arguments))).text
            except ToolFailed as error:
                observation = f"Error: {error.message}"
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": observation})
        return thought

    async def run(self, skill: Skill, *, limit: int = 40, seed: int = 1) -> str:
        """Return the answer; "" if the limit came first."""
        for _ in range(limit):
            thought = await self.step(skill, seed=seed)
            if thought.call is None:
                return answer_of(thought.text)
        return ""


def answer_of(text: str) -> str:
    return text.rpartition("<answer>")[2].partition("</answer>")[0]
