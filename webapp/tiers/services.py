"""Changes of endpoints and ladders, and the check of an endpoint; the only writer of both."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

from django.db import transaction
from django.db.models import F, Max
from django.urls import reverse
from django.utils import timezone

from collab_core.backends.probe import ProbeReport, probe
from collab_core.domain import Tier
from collab_core.errors import InvalidInput
from webapp.teams.audit import Action, record
from webapp.teams.models import User
from webapp.tiers.models import Endpoint, Ladder, Rung, origin

CHECK_FIRST_BYTE_S = 30.0
CHECK_TOTAL_S = 60.0
_ASIDE = 30_000
"""A position no rung has: where one waits while two change places."""
_NO_SETTINGS = [
    "id",
    "uuid",
    "workspace_id",
    "key_origin",
    "last_check",
    "checked_at",
    "archived_at",
    "created_at",
]
"""Columns of an endpoint that nobody sets: identity, and what was found out."""


@transaction.atomic
def save_endpoint(endpoint: Endpoint, *, by: User) -> bool:
    """Store an endpoint; True if a key's variable was removed because the address changed.

    Whoever wants the key to go to the new address has to name the variable again.
    """
    stored = Endpoint.objects.filter(pk=endpoint.pk).first() if endpoint.pk else None
    place = origin(endpoint.base_url)
    moved = stored is not None and bool(stored.api_key_env) and stored.key_origin != place
    dropped = moved and stored is not None and endpoint.api_key_env == stored.api_key_env
    if dropped:
        endpoint.api_key_env = ""
    endpoint.key_origin = place if endpoint.api_key_env else ""
    if stored is not None and (stored.base_url, stored.model) != (
        endpoint.base_url,
        endpoint.model,
    ):
        endpoint.last_check, endpoint.checked_at = None, None
        endpoint.simulated = False
    endpoint.save()
    action = Action.ENDPOINT_CHANGED if stored else Action.ENDPOINT_ADDED
    _record(endpoint, by, action, **_changes(stored, endpoint))
    return dropped


def _changes(before: Endpoint | None, after: Endpoint) -> dict[str, object]:
    """Return the settings of an endpoint that are new or different; keys are only ever named."""
    return {
        field: getattr(after, field)
        for field in (column.attname for column in Endpoint._meta.concrete_fields)  # noqa: SLF001 - Django's public model API
        if field not in _NO_SETTINGS
        and (before is None or getattr(before, field) != getattr(after, field))
    }


@transaction.atomic
def archive_endpoint(endpoint: Endpoint, *, by: User) -> None:
    """Take an endpoint out of use; runs that used it keep their log.

    Raises:
        InvalidInput: a ladder in use holds it.
    """
    ladder = Ladder.objects.filter(rungs__endpoint=endpoint, archived_at=None).first()
    if ladder is not None:
        raise InvalidInput(f"Ladder {ladder.name} uses {endpoint.name}: remove it there first.")
    Endpoint.objects.filter(pk=endpoint.pk).update(archived_at=timezone.now())
    _record(endpoint, by, Action.ENDPOINT_ARCHIVED)


def check_endpoint(endpoint: Endpoint, *, by: User) -> ProbeReport:
    """Ask the endpoint for real completions, at most a minute each, and store what was found."""
    report = asyncio.run(probe(_hurried(endpoint.to_core(endpoint.name))))
    with transaction.atomic():
        Endpoint.objects.filter(pk=endpoint.pk).update(
            last_check=asdict(report), checked_at=timezone.now()
        )
        _record(endpoint, by, Action.ENDPOINT_CHECKED, works=report.works)
    return report


def _hurried(tier: Tier) -> Tier:
    limits = tier.timeouts
    return replace(
        tier,
        timeouts=replace(
            limits,
            first_byte_s=min(limits.first_byte_s, CHECK_FIRST_BYTE_S),
            total_s=min(limits.total_s, CHECK_TOTAL_S),
        ),
    )


@transaction.atomic
def save_ladder(ladder: Ladder, *, by: User) -> None:
    """Store a new ladder or its new name."""
    before = Ladder.objects.filter(pk=ladder.pk).values_list("name", flat=True).first()
    ladder.save()
    if before is None:
        _record(ladder, by, Action.LADDER_ADDED)
    elif before != ladder.name:
        _record(ladder, by, Action.LADDER_CHANGED, was_called=before)


@transaction.atomic
def archive_ladder(ladder: Ladder, *, by: User) -> None:
    """Take a ladder out of use; runs that used it keep theirs."""
    Ladder.objects.filter(pk=ladder.pk).update(archived_at=timezone.now())
    _record(ladder, by, Action.LADDER_ARCHIVED)


@transaction.atomic
def add_rung(ladder: Ladder, endpoint: Endpoint, tier_name: str, *, by: User) -> Rung:
    """Put an endpoint on top of the ladder."""
    _lock(ladder)
    last = ladder.rungs.aggregate(last=Max("position"))["last"]
    position = 0 if last is None else last + 1
    _record(ladder, by, Action.LADDER_CHANGED, tier_added=tier_name, endpoint=endpoint.name)
    return Rung.objects.create(
        ladder=ladder, endpoint=endpoint, tier_name=tier_name, position=position
    )


@transaction.atomic
def move_rung(ladder: Ladder, position: int, *, up: bool, by: User) -> None:
    """Swap a rung with the one above or below it; at an end nothing changes."""
    _lock(ladder)
    other = position + 1 if up else position - 1
    here = ladder.rungs.filter(position=position)
    there = ladder.rungs.filter(position=other)
    if not here.exists() or not there.exists():
        return
    moved = here.values_list("tier_name", flat=True)[0]
    _record(ladder, by, Action.LADDER_CHANGED, tier_moved=moved, to=other + 1)
    there.update(position=_ASIDE)
    here.update(position=other)
    ladder.rungs.filter(position=_ASIDE).update(position=position)


@transaction.atomic
def remove_rung(ladder: Ladder, position: int, *, by: User) -> None:
    """Take a rung away and close the gap."""
    _lock(ladder)
    removed = ladder.rungs.filter(position=position).values_list("tier_name", flat=True).first()
    if removed is None:
        return
    _record(ladder, by, Action.LADDER_CHANGED, tier_removed=removed)
    ladder.rungs.filter(position=position).delete()
    for pk in (
        ladder.rungs.filter(position__gt=position).order_by("position").values_list("pk", flat=True)
    ):
        Rung.objects.filter(pk=pk).update(position=F("position") - 1)


def _lock(ladder: Ladder) -> None:
    Ladder.objects.select_for_update().get(pk=ladder.pk)


def _record(thing: Endpoint | Ladder, by: User, action: Action, **detail: object) -> None:
    record(
        thing.workspace_id,
        by,
        action,
        target=thing.name,
        url=reverse("tiers:overview"),
        detail=detail,
    )
