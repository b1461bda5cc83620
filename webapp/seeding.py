"""The demo workspace: a user, the shipped world with its questions, ladders of simulated tiers.

Everything is made once and left alone afterwards; only the address of the simulated tiers follows
the port they were started on.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from collab_core.benchmarks.registry import load
from collab_core.benchmarks.tasks import DOCUMENTS_FOLDER, TASKS_FILE, load_tasks, write_world
from collab_core.benchmarks.world import generate
from collab_core.domain import Tier
from collab_core.simulator.presets import ladder as preset_ladder
from collab_core.tools.indexing import IndexReport, index_folder
from webapp.experiments.models import TaskSet
from webapp.experiments.task_sets import store
from webapp.runs.models import Collection, SampleTask
from webapp.teams.models import Membership, Role, User, Workspace
from webapp.tiers.models import Endpoint, Ladder, Rung

PRESETS = ("ddv2-7b-38b", "websailor-7b-32b")
WORLD = "world"
DEMO_USER = "demo"


@dataclass(frozen=True, kw_only=True)
class Demo:
    workspace: Workspace
    user: User
    password: str
    """"" where the demo user was made elsewhere."""


def seed(*, simulator_url: str) -> Demo:
    """Make what is missing of the demo workspace and point its tiers at ``simulator_url``."""
    demo = _account()
    _world(demo.workspace)
    _task_set(demo.workspace)
    for preset in PRESETS:
        _ladder(demo.workspace, preset, simulator_url)
    return demo


def index_into(
    workspace: Workspace, *, name: str, title: str, source: Path
) -> tuple[Collection, IndexReport]:
    """Index a folder of documents as a collection of the workspace; again replaces the index.

    Raises:
        InvalidInput: nothing usable in the folder.
    """
    file_name = f"{workspace.uuid}-{name}.sqlite3"
    report = index_folder(source, Path(settings.DATA_DIR) / "collections" / file_name)
    collection, _ = Collection.objects.update_or_create(
        workspace=workspace,
        name=name,
        defaults={"title": title, "index_file": file_name, "documents": report.indexed},
    )
    return collection, report


def load_tasks_into(collection: Collection, path: Path) -> int:
    """Replace the sample tasks of a collection by those of a task file; return how many.

    Raises:
        InvalidInput: not a task file.
    """
    tasks = load_tasks(path)
    with transaction.atomic():
        SampleTask.objects.filter(collection=collection).delete()
        SampleTask.objects.bulk_create(
            [
                SampleTask(
                    collection=collection,
                    task_id=task.id,
                    question=task.question,
                    answers=list(task.answers),
                    difficulty=task.difficulty,
                )
                for task in tasks
            ],
            batch_size=500,
        )
    return len(tasks)


@transaction.atomic
def _account() -> Demo:
    password_file = Path(settings.DATA_DIR) / "demo_password"
    user = User.objects.filter(username=DEMO_USER).first()
    # an owner may have renamed it
    known = Membership.objects.filter(user=user, role=Role.OWNER).order_by("id").first()
    workspace = known.workspace if known else Workspace.objects.filter(name="Demo").first()
    workspace = workspace or Workspace.objects.create(name="Demo")
    if user is None:
        password = secrets.token_urlsafe(9)
        user = User.objects.create_user(DEMO_USER, password=password)
        _write_private(password_file, password)
    Membership.objects.get_or_create(workspace=workspace, user=user, defaults={"role": Role.OWNER})
    written = password_file.read_text().strip() if password_file.exists() else ""
    return Demo(workspace=workspace, user=user, password=written)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def _world(workspace: Workspace) -> None:
    known = Collection.objects.filter(workspace=workspace, name=WORLD).first()
    index = Path(settings.DATA_DIR) / "collections" / (known.index_file if known else "missing")
    if known is not None and index.is_file() and known.tasks.exists():
        return
    folder = Path(settings.DATA_DIR) / WORLD
    write_world(generate(), folder)
    collection, _ = index_into(
        workspace, name=WORLD, title="Shipped world", source=folder / DOCUMENTS_FOLDER
    )
    load_tasks_into(collection, folder / TASKS_FILE)


def _task_set(workspace: Workspace) -> None:
    if TaskSet.objects.filter(workspace=workspace, name=WORLD).exists():
        return  # also an archived one: somebody did not want it
    tasks = load(WORLD, Path(settings.DATA_DIR) / WORLD)
    collection = Collection.objects.get(workspace=workspace, name=WORLD)
    store(workspace, None, tasks, name=WORLD, collection=collection)


@transaction.atomic
def _ladder(workspace: Workspace, preset: str, simulator_url: str) -> None:
    core = preset_ladder(preset, simulator_url)
    endpoints = [_endpoint(workspace, tier) for tier in core.tiers]
    if Ladder.objects.filter(workspace=workspace, name=core.name).exists():
        return  # also an archived one: somebody did not want it
    ladder = Ladder.objects.create(workspace=workspace, name=core.name)
    Rung.objects.bulk_create(
        Rung(ladder=ladder, endpoint=endpoint, position=position, tier_name=tier.name)
        for position, (tier, endpoint) in enumerate(zip(core.tiers, endpoints, strict=True))
    )


def _endpoint(workspace: Workspace, tier: Tier) -> Endpoint:
    known = Endpoint.objects.filter(workspace=workspace, model=tier.model, simulated=True).first()
    if known is not None:
        if known.base_url != tier.base_url:
            Endpoint.objects.filter(pk=known.pk).update(base_url=tier.base_url)
        return known
    return Endpoint.objects.create(
        workspace=workspace,
        name=f"simulated {tier.model}",
        base_url=tier.base_url,
        model=tier.model,
        price_input_usd=tier.price_input_usd,
        price_cached_usd=tier.price_cached_usd,
        price_output_usd=tier.price_output_usd,
        context_tokens=tier.context_tokens,
        max_concurrency=tier.max_concurrency,
        simulated=True,
        structured_output=tier.structured_output,
        supports_priority=tier.supports_priority,
    )
