"""Task sets of a workspace: read from the operator's folder or an upload, kept as rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from collab_core.benchmarks.registry import BENCHMARKS, load
from collab_core.benchmarks.registry import TaskSet as Loaded
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput
from webapp.experiments.models import TaskItem, TaskSet
from webapp.runs.checks import MAX_QUESTION_BYTES
from webapp.runs.models import Collection
from webapp.teams import audit
from webapp.teams.access import require_may_run, role_in
from webapp.teams.audit import Action
from webapp.teams.models import User, Workspace

MAX_UPLOAD_BYTES = 50 * 1024**2
MAX_NAME = 80
_MOST_CHARS = {"id": 80, "difficulty": 40, "category": 80}
"""As many as the columns of ``TaskItem`` hold."""
UPLOADABLE = "own"
"""The one benchmark whose file a person may send: questions and answers of their own."""


class Offer(NamedTuple):
    """A benchmark that can be read from the operator's folder."""

    benchmark: str
    folder: str
    """Below ``TANDEM_BENCHMARKS``."""


def offers() -> list[Offer]:
    """Return what lies in the operator's folder: sub-folders named like a benchmark, or like one
    with a suffix (``math-500`` is read as ``math``)."""
    root = settings.BENCHMARKS
    if root is None or not root.is_dir():
        return []
    found = []
    for path in sorted(root.iterdir()):
        fitting = [n for n in BENCHMARKS if path.name == n or path.name.startswith(f"{n}-")]
        if fitting and not path.name.startswith("."):
            found.append(Offer(max(fitting, key=len), path.name))
    return found


def read_offered(
    workspace: Workspace,
    user: User,
    *,
    folder: str,
    name: str = "",
    collection: Collection | None = None,
) -> TaskSet:
    """Read a benchmark of the operator's folder into the workspace.

    Raises:
        InvalidInput: there is no such folder, or it does not hold the benchmark's files.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, workspace.pk))
    offer = next((one for one in offers() if one.folder == folder), None)
    root = settings.BENCHMARKS
    if offer is None or root is None:
        raise InvalidInput(
            f"There is no benchmark folder {folder[:80]!r} here.",
            field="folder",
            hint="The operator puts the published files below TANDEM_BENCHMARKS.",
        )
    loaded = load(offer.benchmark, root / offer.folder)
    return store(workspace, user, loaded, name=name or folder, collection=collection)


def read_upload(
    workspace: Workspace,
    user: User,
    pieces: Iterable[bytes],
    *,
    file_name: str,
    name: str = "",
    collection: Collection | None = None,
) -> TaskSet:
    """Read questions and answers of one's own, as JSON lines or CSV.

    Raises:
        InvalidInput: empty, too large, or a line is no task; the message names it.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, workspace.pk))
    suffix = Path(file_name).suffix.lower()
    if suffix not in (".jsonl", ".csv"):
        raise InvalidInput(
            "The file's name must end in .jsonl or .csv.",
            field="file",
            hint='One task a line: {"question": …, "answers": […]}, or columns question, answer.',
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"tasks{suffix}"
        size = 0
        with path.open("wb") as file:
            for piece in pieces:
                size += len(piece)
                if size > MAX_UPLOAD_BYTES:
                    raise InvalidInput(
                        f"The file is larger than {MAX_UPLOAD_BYTES // 1024**2} MiB.", field="file"
                    )
                file.write(piece)
        loaded = load(UPLOADABLE, path)
    return store(workspace, user, loaded, name=name or Path(file_name).stem, collection=collection)


def store(
    workspace: Workspace,
    user: User | None,
    loaded: Loaded,
    *,
    name: str,
    collection: Collection | None = None,
) -> TaskSet:
    """Keep a set that was read; the same content under the same name is the set that is there.

    Raises:
        InvalidInput: the name is taken by other tasks, or the collection is not of the workspace.
    """
    name = _checked_name(name)
    _check_sizes(loaded.tasks)
    if collection is not None and collection.workspace_id != workspace.pk:
        raise InvalidInput("There is no such collection in this workspace.", field="collection")
    known = TaskSet.objects.live().filter(workspace=workspace, name=name).first()
    if known is not None:
        return _same(known, loaded)
    try:
        with transaction.atomic():
            made = TaskSet.objects.create(
                workspace=workspace,
                name=name,
                title=loaded.title,
                benchmark=loaded.name,
                digest=loaded.digest,
                tasks_total=len(loaded.tasks),
                needs=loaded.needs or "",
                closed=loaded.closed,
                notes=f"{loaded.licence}. {loaded.notes}".strip(". "),
                collection=collection,
                created_by=user,
            )
            TaskItem.objects.bulk_create(_items(made, loaded.tasks), batch_size=500)
            audit.record(workspace, user, Action.TASK_SET_ADDED, target=name)
    except IntegrityError:
        # the same name arrived twice at once; the other one was first
        return _same(TaskSet.objects.live().get(workspace=workspace, name=name), loaded)
    return made


def archive(task_set: TaskSet, user: User) -> None:
    """Take a set off the lists; experiments on it stay as they are.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, task_set.workspace_id))
    with transaction.atomic():
        gone = TaskSet.objects.filter(pk=task_set.pk, archived_at=None)
        if gone.update(archived_at=timezone.now()):
            audit.record(task_set.workspace, user, Action.TASK_SET_ARCHIVED, target=task_set.name)


def _same(known: TaskSet, loaded: Loaded) -> TaskSet:
    if known.digest == loaded.digest:
        return known
    raise InvalidInput(
        f"This workspace has other tasks under the name {known.name}.",
        field="name",
        hint="Give these another name, or archive the other ones.",
    )


def _checked_name(name: str) -> str:
    text = " ".join(name.split())
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
        raise InvalidInput(f"A name has 1 to {MAX_NAME} printable characters.", field="name")
    return text


def _check_sizes(tasks: Sequence[BenchmarkTask]) -> None:
    """Refuse a task that does not fit into its row, before the database does."""
    for number, task in enumerate(tasks, 1):
        for column, text in (
            ("id", task.id),
            ("difficulty", task.difficulty),
            ("category", task.category),
        ):
            most = _MOST_CHARS[column]
            if len(text) > most:
                raise InvalidInput(
                    f"Task {number} has {len(text):,} characters in {column}; at most {most} fit.",
                    field="file",
                    hint="Shorten it.",
                )
        if (size := len(task.question.encode())) > MAX_QUESTION_BYTES:
            raise InvalidInput(
                f"The question of task {number} is {size:,} bytes long; at most "
                f"{MAX_QUESTION_BYTES:,} are allowed.",
                field="file",
                hint="Put long material into a document collection.",
            )


def _items(made: TaskSet, tasks: Sequence[BenchmarkTask]) -> list[TaskItem]:
    return [
        TaskItem(
            task_set=made,
            position=position,
            task_id=task.id,
            question=task.question,
            answers=list(task.answers),
            difficulty=task.difficulty,
            category=task.category,
            scorer=task.scorer,
            reference=task.reference,
        )
        for position, task in enumerate(tasks)
    ]
