"""Graders that take time: judges, critics, tests in the sandbox, symbolic mathematics.

A trial whose run has finished waits here. Whoever grades it holds it for a while; a judge that does
not answer is asked again later, and after the last try the trial fails with words, to be retried. A
verdict is kept under the key of all that it depends on, and the same question is not asked twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from collab_core.backends.base import Backend
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.benchmarks.grading import Grade, find, grade, verdict_key
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Tier
from collab_core.errors import TandemError
from collab_core.tools.sandbox import Sandbox, self_check
from webapp.experiments.models import Experiment, Trial, TrialState, Verdict
from webapp.experiments.progress import trials_changed
from webapp.runs.threads import query
from webapp.tiers.models import Endpoint

logger = logging.getLogger(__name__)
BATCH = 16
"""Answers that are graded side by side."""
HOLD = timedelta(minutes=15)
"""Nobody else takes an answer that is being graded; longer than any judge may take."""
TRIES = 5
WAIT_S = (5, 20, 60, 180)
"""Between the tries."""
TRIED_AGAIN = "An answer could not be graded and is tried again:"


@dataclass(frozen=True, kw_only=True)
class _Job:
    trial: Trial
    task: BenchmarkTask
    answer: str
    tier: Tier | None
    key: str


def wake() -> None:
    """Ask for a grader if something waits; without a broker the next tick does it."""
    if not _waiting().exists():
        return
    try:
        current_app.send_task("experiments.grade", expires=30)
    except (OperationalError, OSError) as error:
        logger.warning("answers wait to be graded, the broker is down: %s", error)


def grade_batch(backend: Callable[[], Backend] = OpenAICompatible) -> int:
    """Grade up to ``BATCH`` answers; return how many were taken on. ``backend`` makes the judges'."""
    jobs = [_job(trial) for trial in _take()]
    asked = [job for job in jobs if not _lost(job) and not _known(job)]
    if asked:
        asyncio.run(_grade_all(asked, backend, _sandbox(asked)))
    return len(jobs)


# --- what waits ---------------------------------------------------------------------------------
def _waiting() -> QuerySet[Trial]:
    free = Q(grade_until=None) | Q(grade_until__lt=Now())
    return Trial.objects.filter(free, state=TrialState.GRADING)


def _take() -> list[Trial]:
    """Hold a batch of answers, so that nobody else grades them meanwhile."""
    taken = []
    for pk in list(_waiting().order_by("pk").values_list("pk", flat=True)[:BATCH]):
        mine = (
            _waiting()
            .filter(pk=pk)
            .update(grade_until=Now() + HOLD, grade_tries=F("grade_tries") + 1)
        )
        if mine:
            taken.append(pk)
    found = Trial.objects.filter(pk__in=taken).select_related("run", "task", "experiment__judge")
    return list(found)


def _job(trial: Trial) -> _Job:
    task = trial.task.to_core()
    answer = trial.run.answer if trial.run else ""
    judge = _judge(trial.experiment)
    tier = judge.to_core("judge") if judge is not None else None
    key = verdict_key(task, answer, model=tier.model if tier else "")
    return _Job(trial=trial, task=task, answer=answer, tier=tier, key=key)


def _judge(experiment: Experiment) -> Endpoint | None:
    """Return the experiment's judge; once it is archived, the one that took its name and model."""
    judge = experiment.judge
    if judge is None or judge.archived_at is None:
        return judge
    live = Endpoint.objects.live().filter(workspace=experiment.workspace_id)
    return live.filter(name=judge.name, model=judge.model).first()


def _lost(job: _Job) -> bool:
    """Fail an answer that cannot be graded whatever is tried."""
    if job.trial.run is None:
        _fail(job, "run_deleted", "Its run was deleted. Retry it to run the task again.")
        return True
    if find(job.task.scorer).prompts and job.tier is None:
        known = job.trial.experiment.judge
        name = f" Add one named {known.name} with the model {known.model}." if known else ""
        _fail(job, "judge_gone", f"Its judge is archived or deleted.{name} Then retry it.")
        return True
    if job.trial.grade_tries > TRIES:
        # nobody came back from the last try, not even with an error: an answer may bring graders down
        _fail(job, "grader_lost", f"{TRIES} graders took it and none came back.")
        return True
    return False


def _known(job: _Job) -> bool:
    """Use the verdict that is known on this answer, if one may be used."""
    if job.trial.fresh:
        return False
    verdict = (
        Verdict.objects.filter(workspace_id=job.trial.experiment.workspace_id, key=job.key)
        .order_by("-id")
        .first()
    )
    if verdict is None:
        return False
    _done(job, verdict)
    return True


# --- grading ------------------------------------------------------------------------------------
async def _grade_all(
    jobs: Sequence[_Job], make: Callable[[], Backend], sandbox: Sandbox | None
) -> None:
    backend = make()
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(_grade(job, backend, sandbox))
    finally:
        await backend.aclose()


async def _grade(job: _Job, backend: Backend, sandbox: Sandbox | None) -> None:
    try:
        given = await grade(job.task, job.answer, backend=backend, tier=job.tier, sandbox=sandbox)
        await asyncio.to_thread(query, _store, job, given)
    except TandemError as error:
        await asyncio.to_thread(query, _again, job, f"{error.message} {error.hint}".strip())
    except Exception as error:
        # one answer that breaks its grader must not keep the others from being graded
        logger.exception("trial %s: its grader broke", job.trial)
        await asyncio.to_thread(query, _again, job, f"The grader broke: {type(error).__name__}.")


def _sandbox(jobs: Sequence[_Job]) -> Sandbox | None:
    """Return this machine's sandbox where an answer needs it; the first look takes two seconds."""
    if any(find(job.task.scorer).needs == "sandbox" for job in jobs):
        return self_check(settings.TOOLS.sandbox).sandbox
    return None


def _store(job: _Job, given: Grade) -> None:
    if not given.is_verdict:
        # nobody was there to grade it: that may change, so it is no verdict to be kept
        _fail(job, "not_graded", given.reason)
        return
    verdict = Verdict.objects.create(
        workspace_id=job.trial.experiment.workspace_id,
        key=job.key,
        scorer=job.task.scorer,
        model=job.tier.model if job.tier else "",
        outcome=given.outcome,
        score=given.score,
        parsed=given.parsed,
        grade=msgspec.to_builtins(given),
    )
    _done(job, verdict)


def _done(job: _Job, verdict: Verdict) -> None:
    stale = Experiment.objects.filter(notice__startswith=TRIED_AGAIN)
    stale.filter(pk=job.trial.experiment_id).update(notice="")
    _end(
        job,
        TrialState.DONE,
        outcome=verdict.outcome,
        score=verdict.score,
        verdict=verdict,
        fresh=False,
    )


def _again(job: _Job, message: str) -> None:
    """Try again later, or give up: an answer that could not be graded is no wrong answer."""
    tries = job.trial.grade_tries
    if tries >= TRIES:
        _fail(job, "grader_unreachable", message)
        return
    wait = timedelta(seconds=WAIT_S[min(tries, len(WAIT_S)) - 1])
    Trial.objects.filter(pk=job.trial.pk, state=TrialState.GRADING).update(
        grade_until=Now() + wait, error_message=message
    )
    Experiment.objects.filter(pk=job.trial.experiment_id).update(notice=f"{TRIED_AGAIN} {message}")


def _fail(job: _Job, code: str, message: str) -> None:
    _end(job, TrialState.FAILED, failed=1, error_code=code, error_message=message)


@transaction.atomic
def _end(job: _Job, state: TrialState, *, failed: int = 0, **columns: Any) -> None:
    mine = Trial.objects.filter(pk=job.trial.pk, state=TrialState.GRADING)
    cleared = {"error_message": ""} | columns
    if mine.update(state=state, grade_until=None, finished_at=Now(), **cleared):
        trials_changed(job.trial.experiment_id, done=1, failed=failed)
