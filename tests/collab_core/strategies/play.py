"""The simulated models in process: the same minds and speeds as behind the server, no waiting.

Times are computed, not passed: a call takes what its model's speed says for its tokens.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from collab_core import events as ev
from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest
from collab_core.benchmarks.world import WorldTask
from collab_core.domain import Ladder, Limits, Task, Timing, ToolCall, Usage
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.simulator.engine import Engine
from collab_core.simulator.presets import ladder, load_preset
from collab_core.strategies.base import NO_RESOURCES, Resources
from collab_core.tools.base import Tool

PRESET = "ddv2-7b-38b"


def simulated_ladder(preset: str = PRESET) -> Ladder:
    return ladder(preset, "http://127.0.0.1:9/v1")


class InProcess:
    """A backend without a server. ``caching`` = what prefix caches hold shows in usage and time;
    ``order`` = a seed for the order in which calls made side by side are answered."""

    def __init__(self, preset: str = PRESET, *, caching: bool = True, order: int = 0) -> None:
        models = load_preset(preset).models
        self._engines = {model.name: Engine(model) for model in models}
        self._caching = caching
        self._order = random.Random(order)
        self.requests: list[ModelRequest] = []

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        self.requests.append(request)
        for _ in range(1 + self._order.randrange(4)):
            await asyncio.sleep(0)
        engine = self._engines[request.tier.model]
        generation, prompt = engine.prepare(_body(request))
        prompt_tokens = -(-len(prompt) // 4)
        cached = engine.cache.take(prompt) if self._caching else 0
        tokens = max(1, generation.count)
        speed = engine.model.speed
        first_s = speed.first_token_s(prompt_tokens, cached)
        decode_s = (tokens - 1) * speed.decode_s_per_token
        call = generation.call
        return ModelReply(
            text="".join(generation.tokens),
            tool_calls=(
                (ToolCall(id=call.id, name=call.name, arguments=call.arguments),) if call else ()
            ),
            finish_reason=generation.finish_reason,
            usage=Usage(input_tokens=prompt_tokens, cached_tokens=cached, output_tokens=tokens),
            timing=Timing(
                queued_s=0.0,
                first_token_s=first_s,
                decode_s=decode_s,
                total_s=first_s + decode_s,
            ),
            mean_logprob=math.log(generation.certainty),
            first_token_margin=0.9,
            decisive_margin=2 * generation.certainty - 1,
        )

    async def aclose(self) -> None:
        pass


def _body(request: ModelRequest) -> Mapping[str, Any]:
    body: dict[str, Any] = {
        "model": request.tier.model,
        "messages": [*request.transcript.messages, *request.suffix],
        "seed": request.seed,
        "max_tokens": request.max_output_tokens,
    }
    if request.tools_json:
        body |= {"tools": json.loads(request.tools_json), "tool_choice": request.tool_choice}
    return body


async def play(
    strategy: str,
    parameters: Mapping[str, Any],
    task: WorldTask,
    tools: Sequence[Tool],
    *,
    history: Sequence[ev.Recorded] = (),
    backend: InProcess | None = None,
    resources: Resources = NO_RESOURCES,
    max_steps: int = 40,
    seed: int = 0,
) -> tuple[Any, MemoryJournal, InProcess]:
    """Run one task to its end; return the terminal event, the log and the backend."""
    backend, journal = backend or InProcess(), MemoryJournal(history)
    spec = RunSpec(
        task=Task(question=task.question),
        gold=task.answers,
        strategy=strategy,
        parameters=parameters,
        ladder=simulated_ladder(),
        seed=seed,
        limits=Limits(max_steps=max_steps),
        run_id="r",
    )
    terminal = await execute(
        spec, journal, backend=backend, tools=tools, resources=resources, worker="w"
    )
    return terminal, journal, backend
