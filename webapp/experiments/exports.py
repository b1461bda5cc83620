"""What leaves the house, as downloads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from webapp.experiments import reads
from webapp.experiments.models import Experiment
from webapp.teams import audit
from webapp.teams.access import current_user
from webapp.teams.audit import Action


def archive(request: HttpRequest, experiment: Experiment) -> HttpResponseBase:
    """Stream the .tar of ``reads.archive``; the caller has scoped the experiment to the user."""
    note(request, experiment, "archive")
    pieces = reads.archive(experiment)
    # an ASGI server streams asynchronous iterators only, the test client the other kind
    return StreamingHttpResponse(
        _in_thread(pieces) if hasattr(request, "scope") else pieces,
        content_type="application/x-tar",
        headers={"Content-Disposition": f'attachment; filename="{experiment.ref}.tar"'},
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


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await sync_to_async(_next)(pieces):
        yield piece


def _next(pieces: Iterator[bytes]) -> bytes:
    return next(pieces, b"")
