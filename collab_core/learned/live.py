"""Live training: whole methods play real tasks on a ladder, batch after batch.

Every batch is played by the strategy itself through the engine, with the present weights stored in a
folder of their own; what is learned from is its log, as with logged runs.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from collab_core import events as ev
from collab_core.backends.base import Backend
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Ladder, Limits, Task
from collab_core.errors import InvalidInput
from collab_core.learned import masrouter_log, oi_mas_log
from collab_core.learned.encoders import Encoder
from collab_core.learned.explored import Unusable
from collab_core.learned.logs import LoggedRun, read_run
from collab_core.learned.masrouter_episodes import Choosing, TeamEpisode
from collab_core.learned.masrouter_training import Chooser
from collab_core.learned.oi_mas_episodes import Conducting, Episode, Player
from collab_core.learned.store import EncoderUsed, Manifest, TrainedOn, ladder_used, now, save
from collab_core.learned.trainer import Source
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.strategies.base import Resources
from collab_core.tools.base import Tool

PARALLEL = 8
"""Runs at a time."""


@dataclass(frozen=True, kw_only=True)
class LiveSettings:
    """Where and how tasks are played."""

    tasks: Sequence[BenchmarkTask]
    ladder: Ladder
    backend: Callable[[], Backend]
    """Makes a new one for each batch; it is closed after it."""
    tools: Sequence[Tool] = ()
    collection: str = ""
    limits: Limits = field(default_factory=Limits)
    encoder: Encoder
    encoder_name: str = "hashed"
    """What the strategy opens it by: hashed, or its folder."""
    parallel: int = PARALLEL
    need_costs: bool = True


class LiveRuns:
    """Plays tasks by one strategy; a context manager, as it keeps weights in a temporary folder."""

    strategy = ""

    def __init__(self, settings: LiveSettings) -> None:
        self.settings = settings
        self.questions = [task.question for task in settings.tasks]
        self.left_out: Counter[str] = Counter()
        """Runs that gave nothing to learn from, by reason."""
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-live-")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def source(self) -> Source:
        """Return what a trainer is given."""
        tasks = self.settings.tasks
        digest = hashlib.sha256("\0".join(f"{t.id}\0{t.question}" for t in tasks).encode())
        return Source(
            ladder=self.settings.ladder.snapshot(),
            world=self,
            description=f"live runs of {self.strategy} on {len(tasks)} tasks",
            digest=digest.hexdigest(),
        )

    def store(self, kind: str, tensors: Mapping[str, Any]) -> dict[str, str]:
        """Write the present weights; return the parameter that names them."""
        folder, settings = Path(self._folder.name) / "weights", self.settings
        manifest = Manifest(
            kind=kind,
            name="in training",
            created=now(),
            encoder=EncoderUsed.of(settings.encoder),
            ladder=ladder_used(settings.ladder.snapshot()),
            trained_on=TrainedOn(source="in training", digest="", runs=0, tasks=0),
            seed=0,
        )
        single = {name: np.asarray(value, dtype=np.float32) for name, value in tensors.items()}
        save(folder, manifest, single, replace=True)
        return {"weights": folder.name}

    def run(
        self, indices: Sequence[int], parameters: Mapping[str, Any], *, seed: int
    ) -> list[LoggedRun]:
        """Play the tasks with these numbers; runs that did not finish are left out and counted."""
        return asyncio.run(self._run(indices, parameters, random.Random(seed)))

    async def _run(
        self, indices: Sequence[int], parameters: Mapping[str, Any], chance: random.Random
    ) -> list[LoggedRun]:
        backend, gate = self.settings.backend(), asyncio.Semaphore(self.settings.parallel)
        seeds = [chance.getrandbits(31) for _ in indices]
        try:
            played = await asyncio.gather(
                *(
                    self._one(backend, gate, self.settings.tasks[index], parameters, seed)
                    for index, seed in zip(indices, seeds, strict=True)
                )
            )
        finally:
            await backend.aclose()
        found: list[LoggedRun] = []
        for run in played:
            if isinstance(run, LoggedRun):
                found.append(run)
            else:
                self.left_out[run] += 1
        return found

    async def _one(
        self,
        backend: Backend,
        gate: asyncio.Semaphore,
        task: BenchmarkTask,
        parameters: Mapping[str, Any],
        seed: int,
    ) -> LoggedRun | str:
        settings, journal = self.settings, MemoryJournal()
        asked = Task(question=task.question, collection=settings.collection, task_id=task.id)
        spec = RunSpec(
            task=asked,
            gold=task.answers,
            scorer=task.scorer,
            strategy=self.strategy,
            parameters=parameters,
            ladder=settings.ladder,
            seed=seed,
            limits=settings.limits,
            run_id=f"live-{task.id}-{seed}",
        )
        queued = ev.RunQueued(
            task=asked,
            strategy=self.strategy,
            parameters=dict(parameters),
            ladder=settings.ladder.snapshot(),
            seed=seed,
            limits=settings.limits,
            simulated=settings.ladder.simulated,
        )
        await journal.append([queued])
        resources = Resources(folder=Path(self._folder.name), encoder=settings.encoder_name)
        async with gate:
            end = await execute(
                spec, journal, backend=backend, tools=settings.tools, resources=resources
            )
        if isinstance(end, ev.RunFailed):
            return f"failed: {end.code}"
        return read_run(spec.run_id, journal.records)

    def _nothing(self) -> InvalidInput:
        said = "; ".join(f"{count} {why}" for why, count in sorted(self.left_out.items()))
        return InvalidInput(
            f"No run of a batch can be learned from ({said}).",
            field="live",
            hint="Check that the tiers answer and that their prices are known (--price).",
        )


class OIMasLadder(LiveRuns):
    """A world for OI-MAS's conductor."""

    strategy = oi_mas_log.STRATEGY

    def play(
        self, indices: Sequence[int], conducting: Conducting, *, seed: int
    ) -> Sequence[Episode]:
        """Return one episode for each question whose run can be learned from.

        Raises:
            InvalidInput: there is none.
        """
        if not isinstance(conducting, Player):
            raise TypeError("a ladder is played by a Player: its weights are stored for the runs")
        rules = conducting.rules
        parameters = {
            **self.store("oi-mas", {**conducting.params, "roles": conducting.roles}),
            "turns": rules.turns,
            "theta": rules.theta,
            "model_router": rules.model_router,
            "role_router": rules.role_router,
            "early_stop": rules.early_stop,
            "explore": conducting.draws,
        }
        episodes: list[Episode] = []
        for run in self.run(indices, parameters, seed=seed):
            try:
                episodes.append(
                    oi_mas_log.read_episode(
                        run,
                        rules,
                        need_costs=self.settings.need_costs,
                        need_draws=conducting.draws,
                    )
                )
            except Unusable as reason:
                self.left_out[str(reason)] += 1
        if not episodes:
            raise self._nothing()
        return episodes


class MasRouterLadder(LiveRuns):
    """A world for MasRouter's cascade."""

    strategy = masrouter_log.STRATEGY

    def play(
        self, indices: Sequence[int], choosing: Choosing, *, seed: int
    ) -> Sequence[TeamEpisode]:
        """Return one episode for each question whose run can be learned from.

        Raises:
            InvalidInput: there is none.
        """
        if not isinstance(choosing, Chooser):
            raise TypeError("a ladder is played by a Chooser: its weights are stored for the runs")
        cascade = choosing.cascade
        named = {**cascade.params, "modes": cascade.modes, "experts": cascade.experts}
        parameters = {
            **self.store("masrouter", named),
            "sample": choosing.draws,
            "explore": choosing.draws,
        }
        episodes: list[TeamEpisode] = []
        for run in self.run(indices, parameters, seed=seed):
            try:
                episodes.append(
                    masrouter_log.read_episode(
                        run, need_costs=self.settings.need_costs, need_draws=choosing.draws
                    )
                )
            except Unusable as reason:
                self.left_out[str(reason)] += 1
        if not episodes:
            raise self._nothing()
        return episodes


LADDERS: dict[str, type[OIMasLadder] | type[MasRouterLadder]] = {
    "oi-mas": OIMasLadder,
    "masrouter": MasRouterLadder,
}
"""By kind of weights: what can be trained live."""
