"""What the tests of the backend share: a fake clock, a tier, one call that must fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest

from collab_core.backends.base import ModelRequest
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.domain import Tier
from collab_core.errors import BackendError
from collab_core.transcript import Transcript
from tests.fakes.model_server import ModelServer, Reply

KEY = "sk-canary-4711"
TOOLS = b'[{"type":"function","function":{"name":"search","parameters":{}}}]'


@dataclass
class FakeTime:
    """A clock that only sleeping moves."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Longest(Random):
    """Full jitter at its upper end: the waits can be computed by hand."""

    def uniform(self, a: float, b: float) -> float:
        return b


def tier(base_url: str, **changes: Any) -> Tier:
    return replace(Tier(name="small", model="small-1", base_url=base_url), **changes)


def ask(on: Tier, **changes: Any) -> ModelRequest:
    transcript = Transcript([{"role": "user", "content": "Größe?"}])
    return replace(ModelRequest(tier=on, transcript=transcript), **changes)


@contextlib.asynccontextmanager
async def backend(**kwargs: Any) -> AsyncIterator[OpenAICompatible]:
    made = OpenAICompatible(environ={"KEY": KEY}, random=Longest(), **kwargs)
    try:
        yield made
    finally:
        await made.aclose()


@contextlib.asynccontextmanager
async def quick() -> AsyncIterator[tuple[OpenAICompatible, FakeTime]]:
    time = FakeTime()
    async with backend(clock=time, sleep=time.sleep) as made:
        yield made, time


async def outcome(script: list[Reply], **changes: Any) -> tuple[BackendError, int, FakeTime]:
    """Run one call that must fail; return its error and how many completions were asked for."""
    async with ModelServer(script) as server, quick() as (made, time):
        with pytest.raises(BackendError) as caught:
            await made.complete(ask(tier(server.base_url, **changes)))
        return caught.value, sum(r.method == "POST" for r in server.requests), time
