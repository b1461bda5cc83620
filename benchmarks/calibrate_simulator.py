"""Accuracy, steps and latency of each simulated model *alone* on the shipped tasks.

    python -m benchmarks.calibrate_simulator [--preset NAME] [--seeds 3] [--tasks 300]

The models are called directly: no HTTP, no waiting; latency is computed from the same speed model and
prefix cache that the server uses. Only these single-model figures may be brought near the published
ones; what AgentCollab makes of the pair is measured elsewhere and must come out by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collab_core.benchmarks.scoring import score
from collab_core.benchmarks.tasks import DOCUMENTS_FOLDER, write_world
from collab_core.benchmarks.world import World, generate
from collab_core.errors import ToolFailed
from collab_core.metrics import wilson
from collab_core.simulator.mind import Thought, think
from collab_core.simulator.presets import SimulatedModel, load_preset, preset_names
from collab_core.simulator.speed import PrefixCache, count_tokens, render_prompt, split_tokens
from collab_core.tools.base import Tool, tools_json
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import build_tools

MAX_STEPS = 40
PROMPTS = Path(__file__).resolve().parents[1] / "collab_core" / "prompts"
PUBLISHED = {
    "ddv2-7b": (18.3, 21.75),
    "ddv2-38b": (34.6, 17.29),
    "websailor-7b": (14.2, 10.38),
    "websailor-32b": (25.5, 7.79),
}
"""Accuracy in % and steps. Source: AgentCollab Tables 1 and 2, BrowseComp_zh."""
PUBLISHED_SPEEDUP = {"ddv2-7b-38b": 1.54, "websailor-7b-32b": 2.03}


@dataclass(kw_only=True)
class Tally:
    correct: int = 0
    runs: int = 0
    steps: list[int] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)


async def observe(tools: dict[str, Tool], name: str, arguments: str) -> str:
    try:
        return (await tools[name](json.loads(arguments))).text
    except ToolFailed as error:
        return f"Error: {error.message}"


class Solver:
    """One model alone in the ReAct loop, with the clock of its simulated server."""

    def __init__(self, model: SimulatedModel, tools: tuple[Tool, ...]) -> None:
        self.model = model
        self.tools = {tool.name: tool for tool in tools}
        self.schema = json.loads(tools_json(tools))
        self.cache = PrefixCache()
        self.system = (PROMPTS / "react_system.md").read_text(encoding="utf-8").rstrip("\n")
        self.force = (PROMPTS / "force_answer.md").read_text(encoding="utf-8").rstrip("\n")

    async def solve(self, question: str, seed: int, tally: Tally) -> str:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": question},
        ]
        total_s = 0.0
        for step in range(1, MAX_STEPS + 1):
            last = step == MAX_STEPS
            suffix = [{"role": "user", "content": self.force}] if last else []
            body = {"messages": messages + suffix, "tools": self.schema, "seed": seed * 1000 + step}
            thought = think(body, self.model.name, self.model.skill)
            total_s += self._seconds(body, thought)
            if thought.call is None or last:
                tally.steps.append(step)
                tally.latency_s.append(total_s)
                return thought.text.rpartition("<answer>")[2].partition("</answer>")[0]
            call = thought.call
            function = {"name": call.name, "arguments": call.arguments}
            entry = {"id": call.id, "type": "function", "function": function}
            messages.append({"role": "assistant", "content": thought.text, "tool_calls": [entry]})
            content = await observe(self.tools, call.name, call.arguments)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        raise AssertionError("unreachable")

    def _seconds(self, body: dict[str, Any], thought: Thought) -> float:
        prompt = render_prompt(body)
        cached = self.cache.take(prompt)
        out = len(split_tokens(thought.text))
        out += len(split_tokens(thought.call.arguments)) + 4 if thought.call else 0
        speed = self.model.speed
        first = speed.first_token_s(count_tokens(prompt), cached)
        return first + (out - 1) * speed.decode_s_per_token


async def measure(
    model: SimulatedModel, tools: tuple[Tool, ...], world: World, seeds: int
) -> Tally:
    tally, solver = Tally(), Solver(model, tools)
    for seed in range(seeds):
        for task in world.tasks:
            answer = await solver.solve(task.question, seed, tally)
            tally.correct += score(answer, task.answers)
            tally.runs += 1
    return tally


def report(preset: str, tallies: dict[str, Tally]) -> None:
    for name, tally in tallies.items():
        interval = wilson(tally.correct, tally.runs)
        assert interval is not None
        accuracy, steps = PUBLISHED.get(name, (math.nan, math.nan))
        mean_steps, mean_s = statistics.mean(tally.steps), statistics.mean(tally.latency_s)
        print(
            f"{name:14s} accuracy {100 * tally.correct / tally.runs:5.1f} % "
            f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}] (published {accuracy})  "
            f"steps {mean_steps:5.2f} (published {steps})  "
            f"{sum(tally.latency_s) / sum(tally.steps):.2f} s a step, {mean_s:.1f} s a run"
        )
    small, large = (statistics.mean(t.latency_s) for t in tallies.values())
    print(
        f"{preset}: small is {large / small:.2f}x as fast (published {PUBLISHED_SPEEDUP[preset]})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", action="append", choices=preset_names())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = generate(questions=args.tasks)
        write_world(world, Path(folder))
        target = Path(folder, "world.db")
        index_folder(Path(folder, DOCUMENTS_FOLDER), target)
        tools = build_tools(target)
        for name in args.preset or preset_names():
            models = load_preset(name).models
            tallies = {m.name: asyncio.run(measure(m, tools, world, args.seeds)) for m in models}
            report(name, tallies)


if __name__ == "__main__":
    main()
