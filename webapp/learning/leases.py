"""Who owns a training: claimed with a fence, kept by a heart-beat, taken over when it expires.

The same rules as for runs (``webapp/runs/leases.py``), without events: a training that is taken over
starts anew, because nothing of it was kept.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now

from webapp.learning.models import Training, TrainingStatus

MAX_ATTEMPTS = 3
"""Beginnings of one training; one more and it is ended, as it seems to kill its workers."""
SWEEP = 100


def lease() -> timedelta:
    return timedelta(seconds=float(settings.TANDEM["lease_s"]))


def _expired() -> Q:
    over = Q(lease_until__lt=Now()) | Q(lease_until=None)
    return Q(status=TrainingStatus.RUNNING) & over


def claim(training_id: int, owner: str) -> Training | None:
    """Take a queued training, or one whose lease has expired; None if it is not to be had."""
    free = Q(status=TrainingStatus.QUEUED) | _expired()
    taken = Training.objects.filter(free, pk=training_id).update(
        status=TrainingStatus.RUNNING,
        owner=owner,
        fence=F("fence") + 1,
        attempts=F("attempts") + 1,
        started_at=Now(),
        lease_until=Now() + lease(),
        fraction=0.0,
        message="Starting",
    )
    if not taken:
        return None
    return Training.objects.select_related("workspace", "submitted_by").get(pk=training_id)


def _mine(training: Training) -> Q:
    return Q(pk=training.pk, fence=training.fence, status=TrainingStatus.RUNNING)


def beat(training: Training, *, fraction: float, message: str) -> bool:
    """Renew the lease and say how far it is; False = somebody else owns it now."""
    return bool(
        Training.objects.filter(_mine(training)).update(
            lease_until=Now() + lease(), fraction=fraction, message=message[:300]
        )
    )


def stop_asked(training: Training) -> bool:
    return Training.objects.filter(pk=training.pk, cancel_requested_at__isnull=False).exists()


def release(training: Training) -> bool:
    """Hand a training back, unpunished."""
    return bool(
        Training.objects.filter(_mine(training)).update(
            status=TrainingStatus.QUEUED,
            owner="",
            lease_until=None,
            enqueued_at=None,
            attempts=F("attempts") - 1,
            fraction=0.0,
            message="",
        )
    )


def end(training: Training, status: TrainingStatus, **columns: object) -> bool:
    """Store the end, once; False = somebody else owns it now."""
    return bool(
        Training.objects.filter(_mine(training)).update(
            status=status, finished_at=Now(), lease_until=None, owner="", **columns
        )
    )


def _unattended(requeue_after_s: float) -> Q:
    """Nobody works on it, and no message is under way that is worth waiting for."""
    worth = timedelta(seconds=requeue_after_s)
    overdue = (
        Q(enqueued_at=None) | Q(enqueued_at__lt=Now() - worth) | Q(enqueued_at__gt=Now() + worth)
    )
    since_expired = overdue | Q(enqueued_at__lt=F("lease_until"))
    return Q(status=TrainingStatus.QUEUED) & overdue | _expired() & since_expired


def waiting(*, requeue_after_s: float) -> list[int]:
    """Return the trainings nobody works on, oldest first."""
    free = Training.objects.alive().filter(_unattended(requeue_after_s))
    return list(free.order_by("pk").values_list("pk", flat=True)[:SWEEP])


def mark_enqueued(training_id: int, *, requeue_after_s: float) -> bool:
    """Note that a message is being sent now: True for exactly one of several reapers."""
    unattended = Training.objects.filter(_unattended(requeue_after_s), pk=training_id)
    return bool(unattended.update(enqueued_at=Now()))
