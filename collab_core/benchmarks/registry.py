"""Benchmarks by name: their published files, read from a folder that the user names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from collab_core.benchmarks import grading
from collab_core.benchmarks.graders.base import Need
from collab_core.benchmarks.sets import choices, judged, maths, own, programs, shipped, writing
from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import find_files
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput

BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        shipped.WORLD,
        judged.BROWSECOMP_ZH,
        judged.HLE_MATH,
        writing.WRITINGBENCH,
        maths.GSM8K,
        maths.MATH,
        choices.MEDQA,
        choices.GPQA,
        programs.MBPP,
        programs.HUMANEVAL,
        own.OWN,
    )
}


@dataclass(frozen=True, kw_only=True)
class TaskSet:
    """The tasks of one benchmark, as they were read."""

    name: str
    title: str
    split: str
    tasks: tuple[BenchmarkTask, ...]
    digest: str
    """SHA-256 (hex) of the tasks: the same files, split and scorer give the same."""
    needs: Need
    """What its grader needs: a judge, a critic, a sandbox; None = nothing."""
    licence: str
    notes: str
    closed: bool
    """Its authors ask not to show items in clear."""


def names() -> tuple[str, ...]:
    """Return the names of all benchmarks, the shipped world first."""
    return tuple(BENCHMARKS)


def find(name: str) -> Benchmark:
    """Return a benchmark.

    Raises:
        InvalidInput: there is none of this name.
    """
    if name not in BENCHMARKS:
        raise InvalidInput(
            f"There is no benchmark {name[:80]!r}.",
            field="benchmark",
            hint=f"There are {', '.join(BENCHMARKS)}.",
        )
    return BENCHMARKS[name]


def load(name: str, where: Path, *, split: str = "", scorer: str = "") -> TaskSet:
    """Read a benchmark from its file, or from the folder that holds it.

    ``split`` "" is the benchmark's first. ``scorer`` takes another grader than the benchmark's own:
    one that compares answers. Nothing is written. The caller vouches for ``where``: whoever may
    choose it may learn the names of files there.

    Raises:
        InvalidInput: no such benchmark, split or file; a bad row (with its number); an id that comes
            twice; a scorer that cannot grade these tasks; a reference answer that it cannot read.
    """
    benchmark = find(name)
    split = split or benchmark.default_split
    if split not in benchmark.splits:
        raise InvalidInput(
            f"{name} has no split {split[:80]!r}.",
            field="split",
            hint=f"It has {', '.join(benchmark.splits)}.",
        )
    try:
        tasks = tuple(benchmark.read(find_files(where, benchmark.splits[split]), split))
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise InvalidInput(f"{where.name} cannot be read: {said}.", field="file") from error
    if not tasks:
        raise InvalidInput(f"There are no tasks of {name} in {where.name}.", field="file")
    if scorer:
        tasks = _graded_by(scorer, tasks)
    _check_ids(tasks)
    _check_answers(tasks)
    return TaskSet(
        name=name,
        title=benchmark.title,
        split=split,
        tasks=tasks,
        digest=digest(tasks),
        needs=_needs(tasks),
        licence=benchmark.licence,
        notes=benchmark.notes,
        closed=benchmark.closed,
    )


def digest(tasks: Sequence[BenchmarkTask]) -> str:
    """Return the SHA-256 (hex) of tasks in their order."""
    total = hashlib.sha256()
    for task in tasks:
        total.update(msgspec.json.encode(task, order="sorted") + b"\n")
    return total.hexdigest()


def _graded_by(scorer: str, tasks: Sequence[BenchmarkTask]) -> tuple[BenchmarkTask, ...]:
    if not grading.find(scorer).compares:
        known = ", ".join(name for name, other in grading.SCORERS.items() if other.compares)
        raise InvalidInput(
            f"The grader {scorer} goes with its own benchmarks only.",
            field="scorer",
            hint=f"Use {known}.",
        )
    if any(not task.answers for task in tasks):
        raise InvalidInput(f"The grader {scorer} needs reference answers.", field="scorer")
    return tuple(msgspec.structs.replace(task, scorer=scorer) for task in tasks)


def _check_ids(tasks: Sequence[BenchmarkTask]) -> None:
    seen: dict[str, int] = {}
    for number, task in enumerate(tasks, 1):
        if task.id in seen:
            raise InvalidInput(
                f"Tasks {seen[task.id]} and {number} have the same id {task.id[:80]!r}.",
                field="file",
                hint="Every task needs an id of its own.",
            )
        seen[task.id] = number


def _check_answers(tasks: Sequence[BenchmarkTask]) -> None:
    """Refuse reference answers that their own grader would not take for right."""
    for task in tasks:
        if task.scorer not in grading.INLINE:
            continue
        for answer in task.answers or ("",):
            if grading.grade_inline(task.scorer, answer, (answer,)).outcome != "correct":
                raise InvalidInput(
                    f"The reference answer {answer[:80]!r} of {task.id[:80]!r} cannot be graded by "
                    f"{task.scorer}.",
                    field="scorer",
                    hint="Correct it, or take another grader (--scorer).",
                )


def _needs(tasks: Sequence[BenchmarkTask]) -> Need:
    return next((need for task in tasks if (need := grading.find(task.scorer).needs)), None)
