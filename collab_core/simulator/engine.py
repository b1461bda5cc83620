"""One simulated model behind the server: it thinks, queues, and generates token by token."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from collab_core.errors import InvalidInput
from collab_core.simulator import structured
from collab_core.simulator.mind import Thought, think
from collab_core.simulator.presets import SimulatedModel
from collab_core.simulator.protocol import (
    Generation,
    Measured,
    Refused,
    check_messages,
    check_request,
    max_tokens,
)
from collab_core.simulator.slots import Slots
from collab_core.simulator.speed import PrefixCache, count_tokens, render_prompt, split_tokens


class Engine:
    """Serves one model. ``time_scale`` shortens every wait; durations are reported as they pass."""

    def __init__(self, model: SimulatedModel, *, time_scale: float = 1.0, seed: int = 0) -> None:
        self.model = model
        self.slots = Slots(model.speed.max_num_seqs)
        self.cache = PrefixCache()
        self.counters: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.stopping = False
        self._scale = time_scale
        self._seed = seed
        self._faults = random.Random(f"{seed}|{model.name}|faults")

    def draw_fault(self) -> str:
        """Return which fault this request has; "" = none."""
        number, reached = self._faults.random(), 0.0
        for name, share in self.model.faults.kinds():
            reached += share
            if number < reached:
                return name
        return ""

    def prepare(self, body: Any) -> tuple[Generation, bytes]:
        """Return what the model will generate, and the prompt.

        Raises:
            Refused: the request is wrong.
        """
        check_messages(body)
        prompt = render_prompt(body)
        limit = self.model.context_tokens
        check_request(body, context_tokens=limit, prompt_tokens=count_tokens(prompt))
        if body.get("seed") is None:
            body = {**body, "seed": self._seed}
        thought = think(body, self.model.name, self.model.skill)
        try:
            wanted = structured.constraint(body)
            if wanted:
                text = structured.obey(*wanted, thought)
                thought = dataclasses.replace(thought, text=text, call=None)
        except InvalidInput as error:
            raise Refused(400, error.message) from error
        return _limited(thought, body), prompt

    async def generate(
        self, generation: Generation, prompt: bytes, measured: Measured, priority: int
    ) -> AsyncGenerator[int, None]:
        """Yield how many tokens are there by now, as time goes on, while holding a slot.

        ``measured`` is filled in on the way. When the server stops, the iteration ends early.
        """
        began = time.monotonic()
        async with self.slots.hold(priority):
            started = time.monotonic()
            measured.queue_s = started - began
            measured.cached_tokens = self.cache.take(prompt)
            self._count_prompt(measured)
            speed = self.model.speed
            first = speed.first_token_s(measured.prompt_tokens, measured.cached_tokens)
            await asyncio.sleep(first * self._pace())
            measured.first_token_s = time.monotonic() - began
            due = first_at = time.monotonic()
            done = 1
            while True:
                measured.completion_tokens = done
                measured.generation_s = time.monotonic() - first_at
                yield done
                if done >= generation.count or self.stopping:
                    break
                pace = speed.decode_s_per_token * self._pace()
                due += pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                behind = int((time.monotonic() - due) / pace) if pace > 0 else generation.count
                step = min(generation.count - done, 1 + max(0, behind))
                due += pace * (step - 1)
                done += step
                self.counters["generation_tokens"] += step

    def _pace(self) -> float:
        return self._scale * self.model.speed.slow_down(self.slots.running)

    def _count_prompt(self, measured: Measured) -> None:
        self.counters["prompt_tokens"] += measured.prompt_tokens
        self.counters["cached_tokens"] += measured.cached_tokens
        self.counters["generation_tokens"] += 1


def _limited(thought: Thought, body: Mapping[str, Any]) -> Generation:
    """Cut the reply at stop strings and at the output limit."""
    text, call, finish = thought.text, thought.call, "stop"
    stops = body.get("stop") or []
    stops = [stops] if isinstance(stops, str) else stops
    found = [p for stop in stops if isinstance(stop, str) and stop and (p := text.find(stop)) >= 0]
    if found:
        text, call = text[: min(found)], None
    tokens = split_tokens(text)
    argument_tokens = split_tokens(call.arguments) if call else []
    if call:
        finish = "tool_calls"
    limit = max_tokens(body)
    overhead = 4 if call else 0
    if limit is not None and len(tokens) + len(argument_tokens) + overhead > limit:
        finish = "length"
        tokens = tokens[:limit]
        left = limit - len(tokens) - overhead
        if left <= 0:
            call = None
        argument_tokens = argument_tokens[: max(0, left)] if call else []
    return Generation(
        tokens=tuple(tokens),
        call=call,
        argument_tokens=tuple(argument_tokens),
        finish_reason=finish,
        certainty=thought.certainty,
        randomness=thought.randomness,
    )
