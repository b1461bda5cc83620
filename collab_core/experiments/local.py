"""Finding what a definition names: task sets, collections, ladders and weights of this machine."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.benchmarks.graders.base import Means as GraderMeans
from collab_core.benchmarks.grading import find
from collab_core.benchmarks.registry import BENCHMARKS, digest, load
from collab_core.benchmarks.tasks import (
    DOCUMENTS_FOLDER,
    TASKS_FILE,
    BenchmarkTask,
    load_tasks,
    write_world,
)
from collab_core.benchmarks.world import generate
from collab_core.domain import Ladder, Tier
from collab_core.errors import InvalidInput
from collab_core.experiments.definition import Definition
from collab_core.experiments.selection import select
from collab_core.experiments.setting import Rig, Setting, simulated
from collab_core.simulator.presets import preset_names
from collab_core.strategies.base import Resources
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import Catalogue
from collab_core.tools.sandbox.selfcheck import self_check
from collab_core.tools.settings import read_settings

_WORLD = re.compile(r"world(?:-(?P<seed>\d{1,9}))?")
SHIPPED_SEED = 7


@dataclass(frozen=True, kw_only=True)
class Means:
    """What the command line gives besides the definition."""

    cache: Path
    """Where generated worlds are kept."""
    simulated: str | None = None
    """A preset for every ladder, "" = the one of the ladder's own name; None = real servers."""
    ladder: Ladder | None = None
    """Real servers, for the only ladder of the definition."""
    task_files: Mapping[str, str] = field(default_factory=dict)
    """By the name of the set: a file of tasks, or BENCHMARK:PATH."""
    collections: Mapping[str, Path] = field(default_factory=dict)
    weights: Path | None = None
    """The folder that weights are named in."""
    encoder: str = "hashed"
    judge: Tier | None = None
    """Who grades answers that a judge or a critic has to grade."""


@asynccontextmanager
async def prepared(definition: Definition, means: Means) -> AsyncIterator[Setting]:
    """Find everything that the definition names, and close it again at the end.

    Raises:
        InvalidInput: something cannot be found; the hint says how to give it.
    """
    tasks = select(_tasks(definition, means), definition.tasks)
    catalogue, backend = Catalogue(read_settings(os.environ)), OpenAICompatible()
    try:
        yield Setting(
            tasks=tuple(tasks),
            rigs={name: _rig(name, definition, means, backend) for name in _ladders(definition)},
            tools=await catalogue.build(definition.tools, _collection(definition, means)),
            resources=Resources(folder=means.weights, any_path=True, encoder=means.encoder),
            graders=await _graders(tasks, means, backend),
        )
    finally:
        await catalogue.aclose()
        await backend.aclose()


async def _graders(
    tasks: Sequence[BenchmarkTask], means: Means, backend: OpenAICompatible
) -> GraderMeans:
    needed = {find(task.scorer).needs for task in tasks}
    sandbox = (await asyncio.to_thread(self_check)).sandbox if "sandbox" in needed else None
    judged = means.judge if needed & {"judge", "critic"} else None
    return GraderMeans(backend=backend if judged else None, tier=judged, sandbox=sandbox)


def _ladders(definition: Definition) -> list[str]:
    return sorted({arm.ladder for arm in definition.arms})


def _rig(name: str, definition: Definition, means: Means, backend: OpenAICompatible) -> Rig:
    if means.simulated is not None:
        return simulated(means.simulated or name)
    named = _ladders(definition)
    if means.ladder is None:
        offered = [ladder for ladder in named if ladder in preset_names()]
        simulate = "--simulated" if len(offered) == len(named) else "--simulated PRESET"
        raise InvalidInput(
            f"The ladder {name!r} is a name only.",
            field="ladder",
            hint=f"Add --tier small=URL#MODEL --tier large=URL#MODEL, or {simulate} for simulated "
            "models in process.",
        )
    if len(named) > 1:
        raise InvalidInput(
            f"The definition has {len(named)} ladders ({', '.join(named)}); --tier gives one.",
            field="ladder",
            hint="Split it into one definition a ladder.",
        )
    return Rig(ladder=means.ladder, backend=lambda: backend, shared=True)


def _tasks(definition: Definition, means: Means) -> Sequence[BenchmarkTask]:
    wanted = definition.tasks
    tasks = _whole_set(wanted.name, means)
    if wanted.digest and digest(tasks) != wanted.digest:
        raise InvalidInput(
            f"The task set {wanted.name} is another one than the definition was made with.",
            field="tasks.digest",
            hint="Give the original file, or remove the digest from the definition.",
        )
    return tasks


def _whole_set(name: str, means: Means) -> Sequence[BenchmarkTask]:
    if name in means.task_files:
        benchmark, separator, where = means.task_files[name].partition(":")
        if separator and benchmark in BENCHMARKS:
            return load(benchmark, Path(where)).tasks
        return load_tasks(Path(means.task_files[name]))
    if _WORLD.fullmatch(name):
        return load_tasks(world_folder(name, means.cache) / TASKS_FILE)
    raise InvalidInput(
        f"There is no task set {name!r} here.",
        field="tasks.name",
        hint=f"Add --tasks {name}=FILE.jsonl, or --tasks {name}=BENCHMARK:PATH with one of "
        f"{', '.join(BENCHMARKS)}. Known without a file: world, world-SEED.",
    )


def _collection(definition: Definition, means: Means) -> Path | None:
    name = definition.collection
    if not name:
        return None
    if name in means.collections:
        return means.collections[name]
    if _WORLD.fullmatch(name):
        return world_folder(name, means.cache) / "world.sqlite3"
    raise InvalidInput(
        f"There is no collection {name!r} here.",
        field="collection",
        hint=f"Add --collection {name}=FILE, an index made by `python -m collab_core index`.",
    )


def world_folder(name: str, cache: Path) -> Path:
    """Return the folder of a generated world: tasks, documents and their index, made when missing.

    ``world`` is the shipped one, ``world-12`` the one of seed 12.
    """
    found = _WORLD.fullmatch(name)
    if found is None:
        raise InvalidInput(f"{name!r} is no generated world.", field="collection")
    folder = cache / name
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as partial:
            made = Path(partial, "world")
            write_world(generate(seed=int(found["seed"] or SHIPPED_SEED)), made)
            index_folder(made / DOCUMENTS_FOLDER, made / "world.sqlite3")
            made.rename(folder)
    return folder
