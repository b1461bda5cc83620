"""Celery tasks: hints to look at the database."""

from __future__ import annotations

import logging
import time

from celery import current_app, shared_task
from django.conf import settings
from django.core.cache import cache
from kombu.exceptions import OperationalError

from webapp.runs import leases
from webapp.runs.tools import report_sandbox
from webapp.runs.worker import worker

logger = logging.getLogger(__name__)
CANARY = "tandem:canary"


@shared_task(name="runs.execute")  # type: ignore[untyped-decorator]
def execute_run(run_id: int) -> None:
    """Do a run if it is free; a duplicate message finds it taken and does nothing."""
    worker().run(run_id)
    _tell_experiments(run_id)


@shared_task(name="runs.reap")  # type: ignore[untyped-decorator]
def reap() -> int:
    """Wake workers up for runs that nobody works on; return how many."""
    woken = 0
    after_s = float(settings.TANDEM["requeue_after_s"])
    for run_id in leases.waiting(requeue_after_s=after_s):
        if leases.mark_enqueued(run_id, requeue_after_s=after_s):
            enqueue(run_id)
            woken += 1
    return woken


@shared_task(name="runs.canary")  # type: ignore[untyped-decorator]
def canary() -> None:
    """Prove that a worker consumes and runs tasks."""
    cache.set(CANARY, time.time(), timeout=120)


@shared_task(name="runs.check_sandbox")  # type: ignore[untyped-decorator]
def check_sandbox() -> None:
    """Tell the web processes which sandbox this worker has."""
    report_sandbox()


def _tell_experiments(run_id: int) -> None:
    """Say that the run may have ended; whether it is a trial's is their business. A hint as well."""
    try:
        current_app.send_task("experiments.run_ended", (run_id,), expires=60)
    except (OperationalError, OSError) as error:
        logger.debug("run %s: the next tick sees its end, the broker is down: %s", run_id, error)


def enqueue(run_id: int) -> bool:
    """Send the hint; a broker that is down costs time (the reaper's sweep), not the run."""
    try:
        execute_run.apply_async((run_id,), expires=6 * settings.TANDEM["requeue_after_s"])
    except (OperationalError, OSError) as error:
        logger.warning("run %s waits for the reaper, the broker is down: %s", run_id, error)
        return False
    return True
