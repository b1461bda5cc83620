"""From a run's specification and its log to its terminal event: start, resume, cancel, fail.

The engine is the only place that turns errors into terminal events. Drivers (the Celery worker, the
command line, tests) give it a journal and look at what it returns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collab_core import events as ev
from collab_core.agents.base import Answer
from collab_core.backends.base import Backend
from collab_core.benchmarks.graders.inline import GRADERS
from collab_core.domain import Ladder, Limits, Task
from collab_core.errors import BackendError, LeaseLost, LimitExceeded, TandemError
from collab_core.runtime.journal import Journal
from collab_core.runtime.session import Session
from collab_core.runtime.world import World
from collab_core.strategies.base import NO_RESOURCES, Resources
from collab_core.strategies.registry import build_agent, find
from collab_core.tools.base import Tool

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """All that decides a run besides chance outside: the same spec and log give the same run."""

    task: Task
    strategy: str
    parameters: Mapping[str, Any]
    ladder: Ladder
    seed: int
    limits: Limits = field(default_factory=Limits)
    gold: tuple[str, ...] = ()
    """Accepted answers; the agent never sees them. Empty = the run is not scored."""
    scorer: str = "exact"
    """Who grades, by its name in ``benchmarks/grading.py``; all but the inline ones come later."""
    run_id: str = ""
    fork_step: int = 0
    tools: tuple[str, ...] | None = None
    """What was chosen, by the names of ``tools/registry.py``; None = the default."""


class RunControl:
    """The way to stop a run from outside, on its own event loop."""

    def __init__(self) -> None:
        self.cancelled_by: str | None = None
        self._task: asyncio.Task[Any] | None = None

    def request_cancel(self, by: str) -> None:
        """Stop the run at once, in mid-stream too; it still writes ``run.cancelled``."""
        if self.cancelled_by is None:
            self.cancelled_by = by
            if self._task is not None:
                self._task.cancel()

    def watch(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        if self.cancelled_by is not None:
            task.cancel()


async def execute(
    spec: RunSpec,
    journal: Journal,
    *,
    backend: Backend,
    tools: Sequence[Tool],
    resources: Resources = NO_RESOURCES,
    worker: str = "",
    sandbox: str = "",
    fence: int = 0,
    control: RunControl | None = None,
    on_delta: Callable[[ev.ModelDelta], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ev.AnyEvent:
    """Run to the end, going on where the log stops; return the terminal event, already stored.

    ``clock`` times tools, scorers and the engine itself; one that stands still leaves the model calls'
    own times alone, for simulated ones that are computed.

    Cancelling the awaiting task stops at once and writes nothing: that is for a lost lease or a
    worker that shuts down.

    Raises:
        LeaseLost: another worker owns the run.
    """
    if journal.history and journal.history[-1].event.terminal:
        return journal.history[-1].event
    control = control or RunControl()
    world = World(
        task=spec.task,
        ladder=spec.ladder,
        limits=spec.limits,
        seed=spec.seed,
        journal=journal,
        backend=backend,
        tools=tools,
        run_id=spec.run_id,
        on_delta=on_delta,
        clock=clock,
        fork_step=spec.fork_step,
    )
    world.unwritten.append(_opening(journal, tools, worker=worker, fence=fence, sandbox=sandbox))
    solving = asyncio.ensure_future(_solve(spec, Session(world), resources))
    control.watch(solving)
    try:
        terminal = await _outcome(spec, world, solving, control)
    except BaseException:
        solving.cancel()
        raise
    world.unwritten.append(terminal)
    await world.flush()
    return terminal


def _opening(
    journal: Journal, tools: Sequence[Tool], *, worker: str, fence: int, sandbox: str
) -> ev.AnyEvent:
    begun = any(isinstance(record.event, ev.RunStarted) for record in journal.history)
    if begun:
        reason = "The last worker stopped."
        return ev.RunResumed(worker=worker, fence=fence, reason=reason, sandbox=sandbox)
    names = tuple(tool.name for tool in tools)
    return ev.RunStarted(worker=worker, fence=fence, tools=names, sandbox=sandbox)


async def _solve(spec: RunSpec, session: Session, resources: Resources) -> Answer:
    given = (spec.strategy, spec.parameters, spec.ladder, resources)
    if find(spec.strategy).loads:
        agent = await asyncio.to_thread(build_agent, *given)
    else:
        agent = build_agent(*given)
    return await agent.solve(session)


async def _outcome(
    spec: RunSpec, world: World, solving: asyncio.Task[Answer], control: RunControl
) -> ev.AnyEvent:
    try:
        answer = await solving
    except asyncio.CancelledError:
        if control.cancelled_by is None or not solving.cancelled():
            raise
        await world.settle()
        return ev.RunCancelled(by=control.cancelled_by, totals=world.ledger.totals())
    except LeaseLost:
        raise
    except LimitExceeded as error:
        answer = Answer("", "none", error.kind)
    except TandemError as error:
        where = error.where if isinstance(error, BackendError) else ""
        return _failed(world, error.code, error.message, error.hint, where=where)
    except Exception as error:
        logger.exception("run %s: the engine broke", spec.run_id)
        return _failed(
            world,
            "internal_error",
            f"The engine broke: {type(error).__name__}.",
            "This is a fault of Tandem; the worker's log has the traceback.",
        )
    return _finished(spec, world, answer)


def _finished(spec: RunSpec, world: World, answer: Answer) -> ev.RunFinished:
    outcome: ev.Outcome = "unscored"
    if spec.gold and spec.scorer in GRADERS:
        outcome = GRADERS[spec.scorer](answer.text, spec.gold).outcome
    return ev.RunFinished(
        answer=answer.text,
        answer_source=answer.source,
        outcome=outcome,
        ended_by=answer.ended_by,
        totals=world.ledger.totals(),
    )


def _failed(world: World, code: str, message: str, hint: str, *, where: str = "") -> ev.RunFailed:
    where = where or f"step {world.ledger.steps + 1}"
    totals = world.ledger.totals()
    return ev.RunFailed(code=code, message=message, hint=hint, where=where, totals=totals)
