"""Celery tasks of experiments: hints to look at the database, and a clock for lost ones."""

from __future__ import annotations

import logging

from celery import shared_task

from webapp.experiments import feeding, grading, harvest, results

logger = logging.getLogger(__name__)


@shared_task(name="experiments.feed")  # type: ignore[untyped-decorator]
def feed() -> int:
    """Begin the trials that may begin."""
    return feeding.feed()


@shared_task(name="experiments.run_ended")  # type: ignore[untyped-decorator]
def run_ended(run_id: int) -> None:
    """Take in a run that may have ended, and begin the next ones in its place."""
    trial = harvest.harvest(run_id)
    if trial is None:
        return
    feeding.feed()
    grading.wake()


@shared_task(name="experiments.grade")  # type: ignore[untyped-decorator]
def grade() -> int:
    """Grade what waits for it, as much as one batch holds; then ask for the next batch."""
    graded = grading.grade_batch()
    if graded:
        grading.wake()
    return graded


@shared_task(name="experiments.tick")  # type: ignore[untyped-decorator]
def tick() -> None:
    """Do what lost hints have left undone. Cheap when there is nothing to do."""
    for run_id in harvest.ended_runs():
        try:
            harvest.harvest(run_id)
        except Exception:
            # one log that cannot be read must not keep all other experiments waiting
            logger.exception("run %s cannot be taken in", run_id)
    harvest.orphans()
    feeding.feed()
    grading.wake()
    results.warm()
