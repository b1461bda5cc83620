"""Task sets on disk: documents as Markdown beside ``tasks.jsonl``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from collab_core.benchmarks.world import World
from collab_core.errors import InvalidInput

DOCUMENTS_FOLDER = "documents"
TASKS_FILE = "tasks.jsonl"
CHAINS_FILE = "chains.jsonl"
_MAX_TASKS_BYTES = 200_000_000


class BenchmarkTask(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a task set; all but ``question`` is for graders only and never reaches an agent."""

    id: str
    question: str
    """Complete: with the benchmark's instructions on how to answer."""
    answers: tuple[str, ...] = ()
    difficulty: str = ""
    category: str = ""
    scorer: str = "exact"
    """Who grades the answer, by its name in ``benchmarks/grading.py``."""
    reference: dict[str, Any] = {}
    """What the grader needs besides: tests, a checklist."""


def write_world(world: World, folder: Path) -> None:
    """Write documents/*.md, tasks.jsonl and (for people) chains.jsonl below ``folder``.

    Raises:
        InvalidInput: the folder already holds documents that would mix with these.
    """
    documents = folder / DOCUMENTS_FOLDER
    documents.mkdir(parents=True, exist_ok=True)
    names = {f"{number:05d}-{_slug(e.name)}.md": e for number, e in enumerate(world.entities, 1)}
    foreign = [path.name for path in documents.iterdir() if path.name not in names]
    if foreign:
        raise InvalidInput(
            f"{documents} already holds other files, for example {foreign[0]}.",
            field="out",
            hint="Choose an empty folder.",
        )
    for name, entity in names.items():
        (documents / name).write_text(f"# {entity.name}\n\n{entity.text}\n", encoding="utf-8")
    write_tasks(
        folder / TASKS_FILE,
        [
            BenchmarkTask(
                id=task.id, question=task.question, answers=task.answers, difficulty=task.difficulty
            )
            for task in world.tasks
        ],
    )
    _write_lines(folder / CHAINS_FILE, [{"id": t.id, "chain": t.chain} for t in world.tasks])


def write_tasks(path: Path, tasks: Iterable[BenchmarkTask]) -> None:
    """Write a task set that :func:`load_tasks` reads."""
    _write_lines(path, tasks)


def load_tasks(path: Path) -> list[BenchmarkTask]:
    """Read a task set.

    Raises:
        InvalidInput: there is no such file, or a line is no task; the message names the line.
    """
    if not path.is_file() or path.stat().st_size > _MAX_TASKS_BYTES:
        raise InvalidInput(f"{path.name} is not a task file.", field="tasks")
    decoder = msgspec.json.Decoder(BenchmarkTask)
    tasks: list[BenchmarkTask] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            tasks.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"Line {number} of {path.name} is not a task: {error}.",
                field="tasks",
                hint='Each line is {"id": …, "question": …, "answers": […], "difficulty": …}.',
            ) from error
    return tasks


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _write_lines(path: Path, rows: Iterable[object]) -> None:
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
