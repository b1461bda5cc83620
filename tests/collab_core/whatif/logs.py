"""Runs of the real engine on scripted replies, read back as a what-if reads them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from collab_core import events as ev
from collab_core.backends.base import DeltaSink, ModelReply, ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Fork, Limits, Task, Timing, Usage
from collab_core.experiments.setting import standing_still
from collab_core.learned.logs import LoggedRun, read_run
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.runtime.opening import queued
from collab_core.whatif.recorded import RecordedRun, recorded
from tests.collab_core.replies import acts, answers, spec
from tests.collab_core.runtime.test_engine import Note


def read(records: Sequence[ev.Recorded], run_id: str = "r") -> RecordedRun:
    run = read_run(run_id, records)
    assert isinstance(run, LoggedRun), run
    return recorded(run)


def script(verdicts: Sequence[int]) -> list[ModelReply]:
    """One step a verdict, the last one answers."""
    return [acts(verdict) for verdict in verdicts[:-1]] + [answers(indicator=verdicts[-1])]


def play(
    strategy: str,
    verdicts: Sequence[int],
    parameters: dict[str, Any] | None = None,
    *,
    replies: Sequence[ModelReply] = (),
    inherited: Sequence[ev.AnyEvent] = (),
    **more: Any,
) -> RecordedRun:
    """Run it once; ``inherited`` = the events a fork has of its parent, up to its first steps."""
    fork_step = max((event.step for event in inherited if hasattr(event, "step")), default=0)
    made = spec(strategy, parameters=parameters or {}, fork_step=fork_step, **more)
    return read(asyncio.run(_execute(made, replies or script(verdicts), inherited)))


async def _execute(
    made: RunSpec, replies: Sequence[ModelReply], inherited: Sequence[ev.AnyEvent]
) -> list[ev.Recorded]:
    begin = queued(made)
    if inherited:
        fork = Fork(run_id="parent", after_step=made.fork_step)
        begin = msgspec.structs.replace(begin, forked_from=fork)
    begun = MemoryJournal()
    await begun.append([begin, *inherited])
    journal = MemoryJournal(begun.records)
    await execute(made, journal, backend=ScriptedBackend(list(replies)), tools=(Note(),))
    return journal.records


CHANCES = {"small": 0.45, "large": 0.8}
SECONDS = {"small": 1.0, "large": 3.0}


class Trail:
    """A task of four finds: each step finds one by its tier's chance, the last find is the answer.

    Chance belongs to the run and its step, not to the strategy, so that prefixes are shared.
    """

    def __init__(self, seed: int, finds: int = 4) -> None:
        self._seed = seed
        self._finds = finds
        self._calls = 0

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        await asyncio.sleep(0)
        self._calls += 1
        chance = random.Random(f"{self._seed}/{self._calls}/{request.tier.name}")
        found = chance.random() < CHANCES[request.tier.name]
        self._finds -= found
        took = SECONDS[request.tier.name] * chance.uniform(0.8, 1.2)
        made = acts(int(found)) if self._finds else answers(chance.choice(["Paris", "Rome"]))
        prompt = 100 * self._calls
        return replace(
            made,
            usage=Usage(input_tokens=prompt, cached_tokens=prompt - 100, output_tokens=20),
            timing=Timing(first_token_s=0.1, decode_s=took, total_s=0.1 + took),
        )

    async def aclose(self) -> None:
        pass


def trails(
    strategy: str, count: int, parameters: dict[str, Any] | None = None
) -> list[list[ev.Recorded]]:
    """Return the logs of so many tasks under a strategy."""
    return [asyncio.run(_trail(strategy, parameters or {}, number)) for number in range(count)]


async def _trail(strategy: str, parameters: dict[str, Any], number: int) -> list[ev.Recorded]:
    made = spec(
        strategy,
        parameters=parameters,
        seed=number,
        task=Task(question=f"Question {number}?", task_id=f"t{number}"),
        limits=Limits(max_steps=30),
    )
    begun = MemoryJournal()
    await begun.append([queued(made)])
    journal = MemoryJournal(begun.records)
    await execute(made, journal, backend=Trail(number), tools=(Note(),), clock=standing_still)
    return journal.records


def read_all(logs: Sequence[Sequence[ev.Recorded]]) -> list[RecordedRun]:
    return [read(records, f"r{number}") for number, records in enumerate(logs)]
