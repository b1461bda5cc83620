"""Changes of endpoints and ladders, and the check of an endpoint; the only writer of both."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from collab_core.backends.probe import ProbeReport, probe
from collab_core.domain import Tier
from collab_core.errors import InvalidInput
from webapp.tiers.models import Endpoint, Ladder, Rung, origin

CHECK_FIRST_BYTE_S = 30.0
CHECK_TOTAL_S = 60.0
_ASIDE = 30_000
"""A position no rung has: where one waits while two change places."""


def save_endpoint(endpoint: Endpoint) -> bool:
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
    return dropped


@transaction.atomic
def archive_endpoint(endpoint: Endpoint) -> None:
    """Take an endpoint out of use; runs that used it keep their log.

    Raises:
        InvalidInput: a ladder in use holds it.
    """
    ladder = Ladder.objects.filter(rungs__endpoint=endpoint, archived_at=None).first()
    if ladder is not None:
        raise InvalidInput(f"Ladder {ladder.name} uses {endpoint.name}: remove it there first.")
    Endpoint.objects.filter(pk=endpoint.pk).update(archived_at=timezone.now())


def check_endpoint(endpoint: Endpoint) -> ProbeReport:
    """Ask the endpoint for real completions, at most a minute each, and store what was found."""
    report = asyncio.run(probe(_hurried(endpoint.to_core(endpoint.name))))
    Endpoint.objects.filter(pk=endpoint.pk).update(
        last_check=asdict(report), checked_at=timezone.now()
    )
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


def archive_ladder(ladder: Ladder) -> None:
    """Take a ladder out of use; runs that used it keep theirs."""
    Ladder.objects.filter(pk=ladder.pk).update(archived_at=timezone.now())


@transaction.atomic
def add_rung(ladder: Ladder, endpoint: Endpoint, tier_name: str) -> Rung:
    """Put an endpoint on top of the ladder."""
    _lock(ladder)
    last = ladder.rungs.aggregate(last=Max("position"))["last"]
    position = 0 if last is None else last + 1
    return Rung.objects.create(
        ladder=ladder, endpoint=endpoint, tier_name=tier_name, position=position
    )


@transaction.atomic
def move_rung(ladder: Ladder, position: int, *, up: bool) -> None:
    """Swap a rung with the one above or below it; at an end nothing changes."""
    _lock(ladder)
    other = position + 1 if up else position - 1
    here = ladder.rungs.filter(position=position)
    there = ladder.rungs.filter(position=other)
    if not here.exists() or not there.exists():
        return
    there.update(position=_ASIDE)
    here.update(position=other)
    ladder.rungs.filter(position=_ASIDE).update(position=position)


@transaction.atomic
def remove_rung(ladder: Ladder, position: int) -> None:
    """Take a rung away and close the gap."""
    _lock(ladder)
    ladder.rungs.filter(position=position).delete()
    for pk in (
        ladder.rungs.filter(position__gt=position).order_by("position").values_list("pk", flat=True)
    ):
        Rung.objects.filter(pk=pk).update(position=F("position") - 1)


def _lock(ladder: Ladder) -> None:
    Ladder.objects.select_for_update().get(pk=ladder.pk)
