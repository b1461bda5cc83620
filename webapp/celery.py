"""The Celery application: it wakes workers up; who runs what is decided in the database."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")

app = Celery("tandem")
app.add_defaults(lambda: settings.CELERY)  # read when first needed
app.set_default()  # pool threads resolve tasks through the default app (realtime.md 4.1)
app.autodiscover_tasks(["webapp.runs", "webapp.learning", "webapp.experiments", "webapp.whatif"])


@signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
def _stop_runs(**_: Any) -> None:
    """On SIGTERM hand the leases back; the threads pool would wait for its runs otherwise."""
    # imported late: Django's models are not ready when this module is loaded
    from webapp.learning.trainer import stop_trainings  # noqa: PLC0415
    from webapp.runs.worker import stop_worker  # noqa: PLC0415

    stop_trainings()
    stop_worker()


@signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
def _pick_up_what_waits(**_: Any) -> None:
    """The broker may have lost everything while no worker ran."""
    from webapp.learning.tasks import reap as reap_trainings  # noqa: PLC0415
    from webapp.runs.tasks import check_sandbox, reap  # noqa: PLC0415

    reap.delay()
    check_sandbox.delay()
    reap_trainings.delay()
