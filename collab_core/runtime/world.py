"""What the branches of one run share: its log, its counters, its numbers of steps."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collab_core import events as ev
from collab_core.backends.base import Backend
from collab_core.domain import Ladder, Limits, Task
from collab_core.runtime.journal import Journal
from collab_core.runtime.ledger import Ledger
from collab_core.tools.base import Tool, Toolbox

_LIFECYCLE = (ev.RunQueued, ev.RunStarted, ev.RunResumed)


def step_of(event: ev.Event) -> int:
    """Return the number of the step that an event belongs to, 0 = none."""
    return int(getattr(event, "step", 0))


@dataclass(kw_only=True)
class World:
    """What the branches of one run share."""

    task: Task
    ladder: Ladder
    limits: Limits
    seed: int
    journal: Journal
    backend: Backend
    tools: Sequence[Tool]
    run_id: str = ""
    on_delta: Callable[[ev.ModelDelta], None] | None = None
    clock: Callable[[], float] = time.monotonic
    """In seconds: what the run's own durations are measured with, its model calls' not."""
    fork_step: int = 0
    """Steps up to this one were decided by the parent's policy."""
    ledger: Ledger = field(init=False)
    unwritten: list[ev.AnyEvent] = field(default_factory=list)
    recorded: dict[str, deque[ev.AnyEvent]] = field(init=False)
    inherited: frozenset[int] = frozenset()
    """The steps of the fork's parent: they were decided there."""
    toolbox: Toolbox = field(init=False)
    _writing: asyncio.Future[None] | None = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(tiers=len(self.ladder.tiers))
        self.recorded = defaultdict(deque)
        self._steps_taken: set[int] = set()
        self._next_step = 1
        self._order = asyncio.Lock()
        started: set[int] = set()
        for record in self.journal.history:
            # all that the log knows is spent, whichever branch is replayed first
            self.ledger.add(record.event)
            if isinstance(record.event, _LIFECYCLE):
                continue
            self.recorded[getattr(record.event, "scope", "")].append(record.event)
            self._steps_taken.add(step_of(record.event))
            if isinstance(record.event, ev.StepStarted):
                started.add(record.event.step)
            if (
                isinstance(record.event, ev.StepFinished)
                and not record.event.scope
                and record.event.step == self.fork_step
            ):
                self.inherited = frozenset(started)
        self.toolbox = Toolbox(self.tools)

    def take_step(self) -> int:
        """Return the lowest number that no step of the run has yet."""
        while self._next_step in self._steps_taken:
            self._next_step += 1
        self._steps_taken.add(self._next_step)
        return self._next_step

    async def flush(self) -> None:
        """Make everything emitted so far durable, in order.

        A cancelled caller does not tear a batch, and branches write one after the other.
        """
        async with self._order:
            await self.settle()
            if self.unwritten:
                batch, self.unwritten = self.unwritten, []
                self._writing = asyncio.ensure_future(self.journal.append(batch))
                await asyncio.shield(self._writing)

    async def settle(self) -> None:
        """Wait until no write is under way."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing
