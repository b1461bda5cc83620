"""Who owns a run: claimed with a fence, kept by a heart-beat, taken over when it expires.

The database's own clock decides about expiry; each worker also keeps a monotonic deadline and stops
by itself before the database would let somebody else in. A Celery message is only a hint.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from collab_core.events import Recorded, decode_body
from webapp.runs.models import Run, RunEvent, Status

logger = logging.getLogger(__name__)
MAX_RECOVERIES = 3
"""Take-overs without a newly stored step; one more and the run is ended as poison."""
SWEEP = 500
"""Runs a reaper wakes up at once."""


def lease_s() -> float:
    return float(settings.TANDEM["lease_s"])


def margin_s() -> float:
    """A worker stops this long before the database would give its run away."""
    return min(3.0, lease_s() / 5)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A run and the proof that it is ours."""

    run: Run
    fence: int
    recoveries: int
    """Take-overs since the last stored step."""
    history: Sequence[Recorded]


class Owned(NamedTuple):
    fence: int
    cancel_requested: bool
    cancelled_by: str


def read_history(run_id: int) -> list[Recorded]:
    """Return the whole log, decoded."""
    rows = RunEvent.objects.filter(run_id=run_id).order_by("seq").values_list("seq", "at", "body")
    return [Recorded(seq=seq, at=at, event=decode_body(body)) for seq, at, body in rows]


def _expired() -> Q:
    """A lease that is over, or so long that the database's clock must have jumped back."""
    absurd = Now() + timedelta(seconds=4 * lease_s() + 60)
    over = Q(lease_until__lt=Now()) | Q(lease_until__gt=absurd) | Q(lease_until=None)
    return Q(status=Status.RUNNING) & over


def claim(run_id: int, owner: str) -> Claim | None:
    """Take a queued run, or one whose lease has expired; None if it is not to be had."""
    free = Q(status=Status.QUEUED) | _expired()
    with transaction.atomic():
        taken = Run.objects.filter(free, pk=run_id).update(
            status=Status.RUNNING,
            owner=owner,
            fence=F("fence") + 1,
            recoveries=F("recoveries") + 1,
            lease_until=Now() + timedelta(seconds=lease_s()),
        )
        if not taken:
            return None
        run = Run.objects.select_related("collection").get(pk=run_id)
    return Claim(
        run=run,
        fence=run.fence,
        recoveries=run.recoveries - 1,
        history=read_history(run_id),
    )


def release(run_id: int, fence: int) -> bool:
    """Hand a run back, unpunished; the reaper wakes up somebody else for it."""
    return bool(
        Run.objects.filter(pk=run_id, fence=fence, status=Status.RUNNING).update(
            status=Status.QUEUED,
            owner="",
            lease_until=None,
            enqueued_at=None,
            recoveries=Case(When(recoveries__gt=0, then=F("recoveries") - 1), default=Value(0)),
        )
    )


def renew(owner: str) -> int:
    """Extend every lease of this worker; return how many.

    The rows are locked in the order in which the worker's committer locks them: otherwise PostgreSQL
    finds the two in a deadlock now and then.
    """
    until = Now() + timedelta(seconds=lease_s())
    with transaction.atomic():
        mine = Run.objects.alive().filter(owner=owner, status=Status.RUNNING).order_by("pk")
        ids = list(mine.select_for_update().values_list("pk", flat=True))
        return Run.objects.filter(pk__in=ids).update(lease_until=until)


def owned(owner: str) -> dict[int, Owned]:
    """Return the runs this worker holds, with their fences and stop requests: one query."""
    rows = (
        Run.objects.alive()
        .filter(owner=owner, status=Status.RUNNING)
        .values_list("pk", "fence", "cancel_requested_at", "cancelled_by")
    )
    return {pk: Owned(fence, asked is not None, by) for pk, fence, asked, by in rows}


def _unattended(requeue_after_s: float) -> Q:
    """A run nobody works on and for which no message is under way that is worth waiting for.

    A message counts for ``requeue_after_s``; one sent before the lease ran out does not count, nor
    one from the future (the database's clock jumped back).
    """
    worth = timedelta(seconds=requeue_after_s)
    overdue = (
        Q(enqueued_at=None) | Q(enqueued_at__lt=Now() - worth) | Q(enqueued_at__gt=Now() + worth)
    )
    since_expired = overdue | Q(enqueued_at__lt=F("lease_until"))
    return Q(status=Status.QUEUED) & overdue | _expired() & since_expired


def waiting(*, requeue_after_s: float) -> list[int]:
    """Return the runs nobody works on: expired leases, and queued ones without a fresh message."""
    free = Run.objects.alive().filter(_unattended(requeue_after_s))
    return list(free.order_by("pk").values_list("pk", flat=True)[:SWEEP])


def mark_enqueued(run_id: int, *, requeue_after_s: float) -> bool:
    """Note that a message is being sent now: True for exactly one of several reapers.

    The update asks again whether the run waits. Comparing ``enqueued_at`` with the value read
    before is no way: SQLite keeps times as text, its ``Now()`` writes three decimals and a
    parameter has six, so the same instant is not equal and no run is ever marked twice.
    """
    unattended = Run.objects.filter(_unattended(requeue_after_s), pk=run_id)
    return bool(unattended.update(enqueued_at=Now()))
