"""A task set of the user's own: questions and answers in a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import Row, only, read_rows
from collab_core.benchmarks.tasks import BenchmarkTask

QUESTION = ("question", "problem", "prompt", "query", "task")
ANSWER = ("answer", "gold", "target", "reference")
ANSWERS = ("answers", "accepted_answers", "aliases")
ID = ("id", "task_id", "uid")
DIFFICULTY = ("difficulty", "level")
CATEGORY = ("category", "subject", "topic", "domain")
MAX_ANSWERS = 100


def read(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield a task for each row; the question stays as it stands there.

    Raises:
        InvalidInput: several files, or a row without a question or an answer.
    """
    del split
    for count, raw in enumerate(read_rows(only(files)), 1):
        row = Row(raw.file, raw.number, {k.strip().casefold(): v for k, v in raw.values.items()})
        yield BenchmarkTask(
            id=row.text(*ID, optional=True) or f"own-{count:05d}",
            question=row.text(*QUESTION),
            answers=_answers(row),
            difficulty=row.text(*DIFFICULTY, optional=True),
            category=row.text(*CATEGORY, optional=True),
        )


def _answers(row: Row) -> tuple[str, ...]:
    """Return the accepted answers: one column, a list, or one column of several between bars."""
    many = row.value(*ANSWERS)
    found: list[str] = []
    if isinstance(many, str):
        many = _listed(many)
    if isinstance(many, list):
        for item in many:
            if isinstance(item, bool) or not isinstance(item, str | int | float):
                row.refuse("holds something else than text among its answers")
            found.append(row.checked(str(item).strip(), "answers"))
    elif many is not None:
        row.refuse("holds answers that are no list")
    one = row.value(*ANSWER)
    if isinstance(one, list):
        row.refuse("holds a list in answer; call the column answers")
    found += [row.text(*ANSWER, optional=True)]
    answers = tuple(dict.fromkeys(answer for answer in found if answer))
    if not answers:
        row.refuse(f"has no {' or '.join(ANSWER)}")
    if len(answers) > MAX_ANSWERS:
        row.refuse(f"has more than {MAX_ANSWERS} answers")
    return answers


def _listed(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        try:
            return msgspec.json.decode(text, type=list[Any])
        except (msgspec.DecodeError, RecursionError):
            pass  # then it is a text with bars, or one answer
    return text.split("|")


OWN = Benchmark(
    name="own",
    title="Your own questions",
    splits={"all": ("*.jsonl", "*.csv", "*.json", "*.xlsx", "*.parquet")},
    scorer="exact",
    read=read,
    size="up to 100,000 rows",
    source="a table of yours with a column question and a column answer",
    licence="yours",
    notes="The question goes to the agent as it stands: say in it how to answer.",
)
