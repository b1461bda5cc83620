"""Texts to write, marked criterion by criterion: WritingBench."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collab_core.agents.prompts import filled
from collab_core.benchmarks.graders.critic import LEVELS
from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import Row, only, read_rows
from collab_core.benchmarks.tasks import BenchmarkTask

MAX_CRITERIA = 20


def read(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the requests with their checklists."""
    del split
    for row in read_rows(only(files)):
        query = row.text("query")
        yield BenchmarkTask(
            id=f"writingbench-{row.text('index')}",
            question=filled("benchmark_writing", query=query),
            category=row.text("domain1", optional=True),
            scorer="critic",
            reference={"query": query, "checklist": _checklist(row)},
        )


def _checklist(row: Row) -> list[dict[str, str]]:
    given = row.value("checklist")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_CRITERIA:
        row.refuse(f"has no checklist of 1 to {MAX_CRITERIA} criteria")
    found = []
    for criterion in given:
        if not isinstance(criterion, dict):
            row.refuse("has a criterion that is no object")
        part = Row(row.file, row.number, criterion)
        texts = {name: part.text(name) for name in ("name", "criteria_description")}
        levels = {level: part.text(level, optional=True) for level in LEVELS}
        found.append(texts | levels)
    return found


WRITINGBENCH = Benchmark(
    name="writingbench",
    title="WritingBench",
    splits={"all": ("benchmark_all.jsonl",)},
    scorer="critic",
    read=read,
    size="1,000 (the first version: 1,239)",
    source="X-PLUG/WritingBench on GitHub (benchmark_query/)",
    licence="Apache-2.0",
    notes="Marks 1 to 10 by one critic; marks of other critics or versions are not comparable, and "
    "the leaderboard's are ten times as large.",
)
