"""What leaves the house, as downloads."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase

from webapp.experiments import reads
from webapp.experiments.models import Experiment
from webapp.review.labels import note_opened
from webapp.runs.models import Run
from webapp.streams import streamed
from webapp.teams import audit
from webapp.teams.access import current_user
from webapp.teams.audit import Action

TELLS_VERDICTS = ("archive", "trials")
"""Exports that say of single runs what their steps were judged to be."""
RUNS_AT_ONCE = 5_000


def archive(request: HttpRequest, experiment: Experiment) -> HttpResponseBase:
    """Stream the .tar of ``reads.archive``; the caller has scoped the experiment to the user."""
    note(request, experiment, "archive")
    return streamed(
        request,
        reads.archive(experiment),
        content_type="application/x-tar",
        filename=f"{experiment.ref}.tar",
    )


def note(request: HttpRequest, experiment: Experiment, what: str) -> None:
    """Keep in the audit log that somebody has taken something out, and what it tells of blind steps."""
    user = current_user(request)
    if what in TELLS_VERDICTS:
        runs = list(Run.objects.filter(trial__experiment=experiment).values_list("uuid", flat=True))
        for first in range(0, len(runs), RUNS_AT_ONCE):
            note_opened(user, runs[first : first + RUNS_AT_ONCE])
    with transaction.atomic():
        audit.record(
            experiment.workspace,
            user,
            Action.EXPERIMENT_EXPORTED,
            target=experiment.ref,
            detail={"format": what},
        )
