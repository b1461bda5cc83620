"""From a stored run to what the engine takes: tiers resolved to addresses, tools to files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from django.conf import settings

from collab_core.domain import Ladder, Limits, Task, Tier
from collab_core.errors import InvalidInput
from collab_core.runtime.engine import RunSpec
from collab_core.strategies.base import Resources
from webapp.runs.models import Collection, Run
from webapp.tiers.models import Endpoint, Rung

_LIMITS = {field.name for field in fields(Limits)}


def limits_of(stored: dict[str, Any]) -> Limits:
    return Limits(**{name: value for name, value in stored.items() if name in _LIMITS})


def collection_path(collection: Collection) -> Path:
    return Path(settings.DATA_DIR) / "collections" / collection.index_file


def resources(workspace_id: int) -> Resources:
    """Return what strategies of a workspace may load: its own folder, nothing outside of it."""
    return Resources(
        folder=Path(settings.DATA_DIR) / "learned" / str(workspace_id), encoder=settings.ENCODER
    )


def stored_tiers(rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """Return tiers as a run keeps them: resolved to addresses when it begins."""
    return [
        {"name": r.tier_name, "endpoint": str(r.endpoint.uuid), "model": r.endpoint.model}
        for r in rungs
    ]


def resolve_ladder(run: Run) -> Ladder:
    """Return the run's tiers with the addresses their endpoints have now.

    Raises:
        InvalidInput: an endpoint is gone.
    """
    wanted = [tier["endpoint"] for tier in run.tiers]
    found = {
        str(endpoint.uuid): endpoint
        for endpoint in Endpoint.objects.filter(workspace_id=run.workspace_id, uuid__in=wanted)
    }
    return Ladder(name=run.ladder_name, tiers=tuple(_tier(tier, found) for tier in run.tiers))


def _tier(stored: dict[str, Any], found: dict[str, Endpoint]) -> Tier:
    endpoint = found.get(stored["endpoint"])
    if endpoint is None:
        raise InvalidInput(
            f"The endpoint of tier {stored['name']} does not exist any more.",
            field="ladder",
            hint="Choose another ladder and run the task again.",
        )
    return replace(endpoint.to_core(stored["name"]), model=stored["model"])


def run_spec(run: Run) -> RunSpec:
    """Return the engine's specification of a stored run.

    Raises:
        InvalidInput: an endpoint is gone.
    """
    return RunSpec(
        task=Task(
            question=run.question,
            collection=run.collection.name if run.collection else "",
            task_id=run.task_id,
        ),
        strategy=run.strategy,
        parameters=run.parameters,
        ladder=resolve_ladder(run),
        seed=run.seed,
        limits=limits_of(run.limits),
        gold=tuple(run.gold),
        scorer=run.scorer or "exact",
        run_id=str(run.uuid),
        fork_step=run.fork_step or 0,
        tools=None if run.tools is None else tuple(run.tools),
    )
