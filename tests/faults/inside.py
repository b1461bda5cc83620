"""What the fault tests do inside processes of their own: ``python -m tests.faults.inside <command>``.

They look at the same database as the processes that are killed, through the same code.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import django
from django.db.models import F

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
django.setup()

from django.contrib.auth import (  # noqa: E402
    BACKEND_SESSION_KEY,
    HASH_SESSION_KEY,
    SESSION_KEY,
)
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402

from tests.webapp.runs import oracle  # noqa: E402
from webapp.runs import leases, services, tasks  # noqa: E402
from webapp.runs.models import Collection, Run, SampleTask  # noqa: E402
from webapp.runs.worker import worker  # noqa: E402
from webapp.seeding import PRESETS  # noqa: E402
from webapp.teams.models import User  # noqa: E402
from webapp.tiers.models import Ladder  # noqa: E402


def submit(count: str, copies: str = "1") -> None:
    """Submit sample tasks; send each run's message ``copies`` times."""
    user = User.objects.get(username="demo")
    collection = Collection.objects.get(name="world")
    ladder = Ladder.objects.get(name=PRESETS[0])
    samples = SampleTask.objects.filter(collection=collection).order_by("pk")
    for task in samples[: int(count)]:
        submission = services.Submission(
            question=task.question,
            task_id=task.task_id,
            collection=collection,
            strategies=[("agentcollab", {})],
            ladder=ladder,
            seed=1,
        )
        [run] = services.submit(ladder.workspace, user, submission)
        for _ in range(int(copies) - 1):
            tasks.execute_run.delay(run.pk)


def work() -> None:
    """Be a worker without Celery: take what is free until every run has ended."""
    me = worker()
    while Run.objects.alive().exists():
        for run_id in leases.waiting(requeue_after_s=0):
            me.submit(run_id)
        time.sleep(0.1)
    me.stop()


def reap() -> None:
    """Be one turn of the reaper: send the messages that are due."""
    sys.stdout.write(f"{tasks.reap()} woken\n")


def wait(deadline_s: str) -> None:
    """Return when every run has ended; fail after the deadline."""
    end = time.monotonic() + float(deadline_s)
    while Run.objects.alive().exists():
        if time.monotonic() > end:
            left = list(Run.objects.alive().values_list("number", "status", "steps", "fence"))
            raise SystemExit(
                f"after {deadline_s} s not ended (number, status, steps, fence): {left}"
            )
        time.sleep(0.1)


def session() -> None:
    """Sign the demo user in; print the session's key."""
    user = User.objects.get(username="demo")
    store = SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    sys.stdout.write(f"{store.session_key}\n")


def jump(hours: str) -> None:
    """Make every lease look as if the database's clock had jumped by this many hours."""
    shift = timedelta(hours=-float(hours))
    Run.objects.alive().exclude(lease_until=None).update(lease_until=F("lease_until") + shift)


def check(count: str, poison: str = "never") -> None:
    """Hold every run against the promises I1-I5; none may have failed for want of a worker."""
    runs = list(Run.objects.order_by("pk"))
    if len(runs) != int(count):
        raise SystemExit(f"{len(runs)} runs are stored, {count} were accepted: I1")
    oracle.check(runs)
    failed = [(run.number, run.error_code, run.error_message) for run in runs if run.error_code]
    if failed and poison == "never":
        raise SystemExit(f"runs failed: {failed}")
    takeovers = sum(run.fence - 1 for run in runs)
    sys.stdout.write(f"{len(runs)} runs, {takeovers} take-overs, failed: {failed}\n")


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {
        "submit": submit,
        "work": work,
        "reap": reap,
        "wait": wait,
        "session": session,
        "jump": jump,
        "check": check,
    }
    commands[sys.argv[1]](*sys.argv[2:])
