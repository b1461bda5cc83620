"""Celery tasks of trainings: hints to look at the database."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from webapp.learning import leases, trainer
from webapp.learning.models import Training

logger = logging.getLogger(__name__)


@shared_task(name="learning.train")  # type: ignore[untyped-decorator]
def train(training_id: int) -> None:
    """Do a training if it is free and nothing else is being trained here; then wake the next one."""
    if trainer.execute(training_id):
        _wake(requeue_after_s=0.0)


@shared_task(name="learning.reap")  # type: ignore[untyped-decorator]
def reap() -> int:
    """Wake workers up for trainings that nobody works on; return how many."""
    return _wake(requeue_after_s=settings.TANDEM["requeue_after_s"])


def _wake(*, requeue_after_s: float) -> int:
    woken = 0
    for training_id in leases.waiting(requeue_after_s=requeue_after_s):
        if leases.mark_enqueued(training_id, requeue_after_s=requeue_after_s):
            enqueue(training_id)
            woken += 1
    return woken


def enqueue(training_id: int) -> None:
    """Send the hint; a broker that is down costs time (the reaper's sweep), not the training."""
    try:
        train.apply_async((training_id,), expires=6 * settings.TANDEM["requeue_after_s"])
    except (OperationalError, OSError) as error:
        logger.warning("training %s waits for the reaper, no broker: %s", training_id, error)
        Training.objects.filter(pk=training_id).update(enqueued_at=None)
