"""Runs of the real engine on scripted replies, read back as a what-if reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from collab_core import events as ev
from collab_core.backends.base import ModelReply
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Fork
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
