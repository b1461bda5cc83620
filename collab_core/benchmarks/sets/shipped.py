"""The world that Tandem ships: invented documents, multi-hop questions (``make-world``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import only
from collab_core.benchmarks.tasks import TASKS_FILE, BenchmarkTask, load_tasks


def read(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the tasks as ``make-world`` wrote them."""
    del split
    yield from load_tasks(only(files))


WORLD = Benchmark(
    name="world",
    title="Shipped world",
    splits={"all": (TASKS_FILE,)},
    scorer="exact",
    read=read,
    size="as many as are asked for; 300 are shipped",
    source="`python -m collab_core make-world --out FOLDER`",
    licence="Apache-2.0",
    notes="Its questions are answered from its own documents: give the run their collection.",
)
