"""Running an experiment without the web application: every trial's log is a file, and the state.

Killed at any point, the same call goes on: ended logs stay, begun ones are resumed, so that no model
call whose reply is known is made twice.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collab_core import events as ev
from collab_core.domain import Limits, Task
from collab_core.errors import BackendError
from collab_core.experiments.definition import Definition, trial_seed
from collab_core.experiments.folder import ENDS, Cell, cells, locked, open_folder, status_of
from collab_core.experiments.late_grades import LateGrader
from collab_core.experiments.setting import Setting, check, fingerprint, limits_of
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import FileJournal
from collab_core.runtime.opening import check_same_run, queued
from collab_core.strategies.registry import parse_parameters

logger = logging.getLogger(__name__)

Report = Callable[[Counter[str], int], None]
"""Called after each trial with the trials by status and how many there are in all."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to run; nothing here changes a result."""

    parallel: int = 8
    """Trials at a time; each tier's own limit of concurrent calls holds besides."""
    retry_failed: bool = False
    """Begin failed and cancelled trials anew; their old logs are kept beside, as ``*.failed-N``."""
    synced: bool = True
    """Flush each event to the disk; without it a kill loses nothing, but a power cut may."""


async def run_experiment(
    definition: Definition,
    setting: Setting,
    folder: Path,
    options: RunOptions | None = None,
    report: Report = lambda counts, total: None,
) -> Counter[str]:
    """Make every trial that has not ended yet; return how many there are of each status.

    Cancelling the awaiting task stops at once; the trials under way are resumed next time. A trial
    that fails does not stop the others.

    Raises:
        InvalidInput: something is wrong with an arm, the folder is another experiment's, or in use.
    """
    check(definition, setting)
    with locked(folder):
        open_folder(folder, definition, setting.tasks, fingerprint(definition, setting))
        runner = _Runner(setting, limits_of(definition), definition, options or RunOptions())
        return await runner.run(cells(definition, setting.tasks, folder), report)


class _Runner:
    def __init__(
        self, setting: Setting, limits: Limits, definition: Definition, options: RunOptions
    ) -> None:
        self._setting = setting
        self._limits = limits
        self._definition = definition
        self._parameters = {
            arm.label: parse_parameters(arm.strategy, arm.parameters).model_dump(mode="json")
            for arm in definition.arms
        }
        self._options = options
        self._counts: Counter[str] = Counter()
        self._grade = LateGrader(setting.graders)

    async def run(self, todo: Sequence[Cell], report: Report) -> Counter[str]:
        left = iter(todo)

        async def work() -> None:
            for cell in left:
                self._counts[await self._trial(cell)] += 1
                report(self._counts, len(todo))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, min(self._options.parallel, len(todo)))):
                    group.create_task(work())
        except ExceptionGroup as failures:
            # the first one stopped the others
            raise failures.exceptions[0] from failures
        return self._counts

    async def _trial(self, cell: Cell) -> str:
        """Make one trial, or what is left of it, and return its status."""
        journal = FileJournal(cell.log, synced=self._options.synced)
        try:
            status = status_of(journal.history)
            if status in ("failed", "cancelled") and self._options.retry_failed:
                journal.close()
                _set_aside(cell.log)
                journal = FileJournal(cell.log, synced=self._options.synced)
            elif status not in ("pending", "running"):
                return await self._ended(cell, journal.history[-1].event)
            return await self._ended(cell, await self._execute(cell, journal))
        finally:
            journal.close()

    async def _ended(self, cell: Cell, last: ev.AnyEvent) -> str:
        """Have an answer graded, where that comes after the run; return the trial's status."""
        if isinstance(last, ev.RunFinished):
            try:
                await self._grade(cell.task, last.answer, cell.log)
            except BackendError as error:
                logger.warning("%s is not graded: %s", cell.log, error.message)
        return ENDS[type(last)]

    async def _execute(self, cell: Cell, journal: FileJournal) -> ev.AnyEvent:
        spec, rig = self._spec(cell), self._setting.rigs[cell.arm.ladder]
        check_same_run(spec, journal.history)
        if not journal.history:
            await journal.append([queued(spec)])
        backend = rig.backend()
        try:
            return await execute(
                spec,
                journal,
                backend=backend,
                tools=self._setting.tools.tools,
                sandbox=self._setting.tools.sandbox,
                resources=self._setting.resources,
                worker=f"experiment-{os.getpid()}",
                clock=rig.clock,
            )
        finally:
            if not rig.shared:
                await backend.aclose()

    def _spec(self, cell: Cell) -> RunSpec:
        return RunSpec(
            task=Task(
                question=cell.task.question,
                collection=self._definition.collection,
                task_id=cell.task.id,
            ),
            gold=cell.task.answers,
            scorer=cell.task.scorer,
            strategy=cell.arm.strategy,
            parameters=self._parameters[cell.arm.label],
            ladder=self._setting.rigs[cell.arm.ladder].ladder,
            seed=trial_seed(cell.seed, cell.task.id),
            limits=self._limits,
            run_id=f"{cell.log.parent.name}-{cell.log.stem}",
            tools=self._definition.tools,
        )


def _set_aside(log: Path) -> None:
    number = 1
    while (kept := log.with_name(f"{log.name}.failed-{number}")).exists():
        number += 1
    log.rename(kept)
