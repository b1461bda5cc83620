"""What leaves the house, as downloads."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest, HttpResponseBase

from webapp.experiments import reads
from webapp.experiments.models import Experiment
from webapp.streams import streamed
from webapp.teams import audit
from webapp.teams.access import current_user
from webapp.teams.audit import Action


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
    """Keep in the audit log that somebody has taken something out."""
    with transaction.atomic():
        audit.record(
            experiment.workspace,
            current_user(request),
            Action.EXPERIMENT_EXPORTED,
            target=experiment.ref,
            detail={"format": what},
        )
