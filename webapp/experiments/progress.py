"""The counters of an experiment, and its end: kept in the transaction that changes its trials."""

from __future__ import annotations

from django.db.models import F
from django.db.models.functions import Now

from webapp.experiments.models import (
    OPEN_STATES,
    Experiment,
    ExperimentStatus,
    Trial,
)


def trials_changed(experiment_id: int, *, done: int = 0, failed: int = 0) -> None:
    """Count trials that have ended (negative: that begin again) and see whether it was the last.

    ``done`` counts every end, ``failed`` those of them without a result.
    """
    mine = Experiment.objects.filter(pk=experiment_id)
    mine.update(
        revision=F("revision") + 1,
        trials_done=F("trials_done") + done,
        trials_failed=F("trials_failed") + failed,
    )
    if (
        done > 0
        and not Trial.objects.filter(experiment_id=experiment_id, state__in=OPEN_STATES).exists()
    ):
        mine.filter(status__in=(ExperimentStatus.RUNNING, ExperimentStatus.PAUSED)).update(
            status=ExperimentStatus.FINISHED, finished_at=Now(), notice=""
        )
