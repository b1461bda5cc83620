"""What a benchmark is to the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from collab_core.benchmarks.tasks import BenchmarkTask

Read = Callable[[tuple[Path, ...], str], Iterable[BenchmarkTask]]
"""From the files that were found, and the split, to tasks in the order of the files."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A set of tasks that others published, and how its files are read."""

    name: str
    title: str
    splits: Mapping[str, tuple[str, ...]]
    """The files of each split, by glob patterns below the folder; the first that matches is taken.
    The first split is the default."""
    scorer: str
    """Who grades by default, by its name in ``benchmarks/grading.py``."""
    read: Read
    size: str
    """How many tasks the published set has, in words."""
    source: str
    """Where people get the files."""
    licence: str
    notes: str = ""
    """What is left out, and what is not comparable."""
    closed: bool = False
    """Its authors ask not to show items in clear: nothing of it is written to a file."""

    @property
    def default_split(self) -> str:
        return next(iter(self.splits))
