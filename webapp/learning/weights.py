"""Weights of a workspace: what may be chosen, whether it fits a run, how they come and go."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Q
from django.utils.text import slugify

from collab_core.domain import Ladder
from collab_core.errors import InvalidInput
from collab_core.learned.encoders import HASHED, folder_digest
from collab_core.learned.published import is_classifier
from collab_core.learned.scorers import PUBLISHED
from collab_core.learned.store import MANIFEST, TENSORS, Manifest, load
from collab_core.strategies.base import Strategy
from collab_core.strategies.registry import STRATEGIES, build_agent
from webapp.learning.models import Weights
from webapp.runs.models import Run
from webapp.runs.specs import resources
from webapp.schema_fields import kinds_of, properties_of
from webapp.teams.access import require_owner, role_in
from webapp.teams.audit import Action, record
from webapp.teams.models import User, Workspace

logger = logging.getLogger(__name__)
MODEL_FILES = frozenset({".safetensors", ".json", ".txt", ".model"})
"""Never pickled weights, and no code."""
RUN_IDS_KEPT = 200
"""Of a manifest's runs in the database; the file names more."""


# --- what may be chosen -------------------------------------------------------------------------
def weights_parameters(strategy: Strategy) -> dict[str, list[str]]:
    """Return the kinds that each weights parameter of a strategy takes."""
    properties = properties_of(strategy.parameters)
    found = {name: kinds_of(schema) for name, schema in properties.items()}
    return {name: kinds for name, kinds in found.items() if kinds}


def offers(workspace: Workspace) -> dict[str, list[tuple[str, str]]]:
    """Return (reference, words) of the workspace's weights by kind, newest first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in Weights.objects.filter(workspace=workspace).order_by("-id"):
        made = "hashed stand-in" if row.stand_in else row.digest[:8]
        words = f"{row.name} ({row.tiers or 'published'}, {made})"
        found.setdefault(row.kind, []).append((row.reference, words))
    return found


# --- does it fit --------------------------------------------------------------------------------
def check(workspace_id: int, strategy: Strategy, values: Mapping[str, Any], ladder: Ladder) -> None:
    """Check that a run with these parameters could begin: its weights are there and fit.

    The agent is built for it, except where that would load a sentence-encoder into this process.

    Raises:
        InvalidInput: with the parameter at fault in ``field``.
    """
    store = resources(workspace_id)
    slow = strategy.loads and store.encoder not in ("", HASHED)
    for name, kinds in weights_parameters(strategy).items():
        reference = values.get(name)
        if not reference or reference == properties_of(strategy.parameters)[name].get("default"):
            continue  # it does without
        folder = store.locate(str(reference), field=name)
        if not (folder / MANIFEST).is_file():
            slow = True  # a published model without provenance of ours
            continue
        manifest = _fitting(folder, kinds, ladder, field=name)
        slow |= manifest.encoder is not None and not manifest.encoder.stand_in
    if not slow:
        build_agent(strategy.name, values, ladder, store)


def _fitting(folder: Path, kinds: list[str], ladder: Ladder, *, field: str) -> Manifest:
    try:
        manifest = load(folder, ladder=ladder.snapshot()).manifest
    except InvalidInput as error:
        raise InvalidInput(error.message, field=field, hint=error.hint) from error
    if manifest.kind not in kinds:
        raise InvalidInput(
            f"The weights {manifest.name!r} are of kind {manifest.kind!r}; needed: "
            f"{', '.join(kinds)}.",
            field=field,
        )
    return manifest


def locate_classifier(workspace: Workspace, reference: str) -> Path:
    """Return the folder of a published classifier of the workspace.

    Raises:
        InvalidInput: it has none of that name.
    """
    known = Weights.objects.filter(workspace=workspace, kind=PUBLISHED, reference=reference)
    if not known.exists():
        raise InvalidInput(
            f"There is no published classifier {reference[:80]!r} in this workspace.",
            field="classifier",
            hint="The operator adds one with manage.py add_weights.",
        )
    return resources(workspace.pk).locate(reference, field="classifier")


# --- how they come ------------------------------------------------------------------------------
def adopt(workspace: Workspace, folder: Path, *, user: User | None) -> Weights:
    """Put a copy of a weights folder among the workspace's; the same content is stored once.

    Raises:
        InvalidInput: the folder is no weights folder, or damaged.
    """
    manifest = load(folder).manifest
    reference = f"{slugify(manifest.name)[:80] or manifest.kind}-{manifest.digest[:12]}"
    home = resources(workspace.pk).folder
    assert home is not None
    _copy(folder, home / reference)
    row, _ = Weights.objects.get_or_create(
        workspace=workspace,
        reference=reference,
        defaults={
            "name": manifest.name.replace("\0", "\ufffd")[:80],
            "kind": manifest.kind[:60],
            "digest": manifest.digest,
            "stand_in": bool(manifest.encoder and manifest.encoder.stand_in),
            "simulated": manifest.trained_on.simulated,
            "manifest": _short(manifest),
            "created_by": user,
        },
    )
    return row


def adopt_published(workspace: Workspace, folder: Path) -> Weights:
    """Put a copy of a published classifier (config.json, *.safetensors) among the workspace's.

    Raises:
        InvalidInput: it is none, or holds pickled weights only.
    """
    if not is_classifier(folder):
        raise InvalidInput(f"{folder.name!r} holds neither {MANIFEST} nor a saved classifier.")
    digest = folder_digest(folder)
    name = folder.resolve().name
    reference = f"{slugify(name)[:80] or 'classifier'}-{digest[:12]}"
    home = resources(workspace.pk).folder
    assert home is not None
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.suffix in MODEL_FILES]
    _copy(folder, home / reference, files)
    row, _ = Weights.objects.get_or_create(
        workspace=workspace,
        reference=reference,
        defaults={"name": name[:80], "kind": PUBLISHED, "digest": digest[:64]},
    )
    return row


def _copy(
    folder: Path, home: Path, files: Iterable[Path] = (Path(MANIFEST), Path(TENSORS))
) -> None:
    """Copy the files that count; the folder appears complete or not at all."""
    if home.exists():
        return
    home.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".adopting-", dir=home.parent))
    try:
        for name in files:
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, fresh / name)
        fresh.chmod(0o755)
        fresh.rename(home)
    except OSError:
        if not home.exists():  # somebody else put the same content there: fine
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _short(manifest: Manifest) -> dict[str, Any]:
    # an uploaded log may name its tiers with NUL, which PostgreSQL does not store
    text = manifest.model_dump_json().replace("\\u0000", "\ufffd")
    body: dict[str, Any] = json.loads(text)
    body["trained_on"]["run_ids"] = body["trained_on"]["run_ids"][:RUN_IDS_KEPT]
    return body


# --- how they go --------------------------------------------------------------------------------
class Uses(NamedTuple):
    alive: int
    ended: int


def uses(weights: Weights) -> Uses:
    """Return how many runs of the workspace name these weights."""
    named, strategies = Q(pk=None), []
    for strategy in STRATEGIES.values():
        for name in weights_parameters(strategy):
            named |= Q(**{f"parameters__{name}": weights.reference})
            strategies.append(strategy.name)
    runs = Run.objects.filter(named, workspace_id=weights.workspace_id, strategy__in=strategies)
    alive = runs.alive().count()
    return Uses(alive, runs.count() - alive)


def delete(weights: Weights, user: User) -> None:
    """Delete weights for good. Ended runs that name them stay readable but cannot be run again.

    Raises:
        InvalidInput: a run that waits or runs needs them.
        Http404, PermissionDenied: a stranger, or no owner.
    """
    require_owner(role_in(user, weights.workspace_id))
    with transaction.atomic():
        Weights.objects.select_for_update().get(pk=weights.pk)
        if alive := uses(weights).alive:
            raise InvalidInput(
                f"{alive} waiting or running {'run needs' if alive == 1 else 'runs need'} these "
                "weights.",
                hint="Wait for the end, or stop them.",
            )
        record(
            weights.workspace_id,
            user,
            Action.WEIGHTS_DELETED,
            target=weights.name,
            detail={"reference": weights.reference},
        )
        weights.delete()
    home = resources(weights.workspace_id).folder
    assert home is not None
    gone = home / f".deleted-{os.getpid()}-{weights.reference}"
    try:
        (home / weights.reference).rename(gone)
    except FileNotFoundError:
        logger.warning("weights %s had no folder", weights.reference)
        return
    shutil.rmtree(gone, ignore_errors=True)
