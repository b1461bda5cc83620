"""Pause, go on, stop, retry what failed, judge again. The feeder's row is locked meanwhile, so no trial
begins behind the back of these."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from webapp.experiments import feeding, grading
from webapp.experiments.models import (
    Experiment,
    ExperimentArm,
    ExperimentStatus,
    Trial,
    TrialState,
)
from webapp.experiments.progress import trials_changed
from webapp.runs.models import Run
from webapp.runs.services import cancel as cancel_run
from webapp.teams import audit
from webapp.teams.access import require_may_run, role_in
from webapp.teams.audit import Action
from webapp.teams.models import User

RETRIED = (TrialState.FAILED, TrialState.CANCELLED)


def pause(experiment: Experiment, user: User) -> None:
    """Begin no more runs; those that run go on to their end.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, experiment.workspace_id))
    with transaction.atomic():
        feeding.lock()
        if _to(experiment, ExperimentStatus.RUNNING, ExperimentStatus.PAUSED):
            audit.record(
                experiment.workspace, user, Action.EXPERIMENT_PAUSED, target=experiment.ref
            )


def resume(experiment: Experiment, user: User) -> None:
    """Go on after a pause, and with the arms that were held because their runs failed.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, experiment.workspace_id))
    with transaction.atomic():
        feeding.lock()
        if _to(experiment, ExperimentStatus.PAUSED, ExperimentStatus.RUNNING) | _let_go(experiment):
            audit.record(
                experiment.workspace, user, Action.EXPERIMENT_RESUMED, target=experiment.ref
            )
    feeding.wake()


def cancel(experiment: Experiment, user: User) -> None:
    """Stop it: waiting trials are given up, running ones stop within a second. What is done stays.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, experiment.workspace_id))
    with transaction.atomic():
        feeding.lock()
        alive = Q(pk=experiment.pk) & ~Q(
            status__in=(ExperimentStatus.FINISHED, ExperimentStatus.CANCELLED)
        )
        if not Experiment.objects.filter(alive).update(
            status=ExperimentStatus.CANCELLED, finished_at=Now(), notice=""
        ):
            return
        waiting = Trial.objects.filter(experiment=experiment, state=TrialState.PENDING)
        given_up = waiting.update(state=TrialState.CANCELLED, finished_at=Now())
        trials_changed(experiment.pk, done=given_up, failed=given_up)
        audit.record(experiment.workspace, user, Action.EXPERIMENT_CANCELLED, target=experiment.ref)
    running = Run.objects.filter(trial__experiment=experiment, trial__state=TrialState.RUNNING)
    for run in running:
        cancel_run(run, user)


def retry(experiment: Experiment, user: User) -> int:
    """Begin the failed and the stopped trials again, and only those; return how many.

    A trial whose run has finished and only its grading failed is graded again, not run again.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, experiment.workspace_id))
    with transaction.atomic():
        feeding.lock()
        failed = Trial.objects.filter(experiment=experiment, state__in=RETRIED)
        regraded = failed.filter(run__status="finished").update(
            state=TrialState.GRADING, grade_tries=0, grade_until=None, **_CLEARED
        )
        again = list(failed.select_related("run"))
        for trial in again:
            if trial.run is not None:
                trial.earlier_runs = [*trial.earlier_runs, str(trial.run.uuid)]
            trial.run, trial.facts, trial.trace = None, "", ""
            trial.outcome, trial.score, trial.verdict = "", None, None
            trial.grade_tries, trial.grade_until, trial.fresh = 0, None, False
            trial.state, trial.error_code, trial.error_message = TrialState.PENDING, "", ""
            trial.finished_at = None
        Trial.objects.bulk_update(again, _RESET, batch_size=500)
        count = len(again) + regraded
        if count:
            _let_go(experiment)
            trials_changed(experiment.pk, done=-count, failed=-count)
            Experiment.objects.filter(pk=experiment.pk).exclude(
                status=ExperimentStatus.PAUSED
            ).update(status=ExperimentStatus.RUNNING, finished_at=None, notice="")
            audit.record(
                experiment.workspace,
                user,
                Action.EXPERIMENT_RETRIED,
                target=experiment.ref,
                detail={"trials": count},
            )
    feeding.wake()
    grading.wake()
    return count


def judge_again(experiment: Experiment, user: User) -> int:
    """Ask the judge anew about every answer that a judge has graded; the old verdicts are kept.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, experiment.workspace_id))
    with transaction.atomic():
        feeding.lock()
        judged = Trial.objects.filter(
            experiment=experiment,
            state=TrialState.DONE,
            verdict__isnull=False,
            run__isnull=False,
        )
        count = judged.update(
            state=TrialState.GRADING, fresh=True, grade_tries=0, grade_until=None, **_CLEARED
        )
        if count:
            trials_changed(experiment.pk, done=-count)
            Experiment.objects.filter(pk=experiment.pk, status=ExperimentStatus.FINISHED).update(
                status=ExperimentStatus.RUNNING, finished_at=None
            )
            audit.record(
                experiment.workspace,
                user,
                Action.EXPERIMENT_JUDGED_AGAIN,
                target=experiment.ref,
                detail={"trials": count},
            )
    grading.wake()
    return count


_CLEARED = {"error_code": "", "error_message": "", "finished_at": None}
_RESET = [
    "run",
    "earlier_runs",
    "facts",
    "trace",
    "outcome",
    "score",
    "verdict",
    "grade_tries",
    "grade_until",
    "fresh",
    "state",
    "error_code",
    "error_message",
    "finished_at",
]


def _to(experiment: Experiment, before: ExperimentStatus, after: ExperimentStatus) -> bool:
    mine = Experiment.objects.filter(pk=experiment.pk, status=before)
    return bool(mine.update(status=after, notice=""))


def _let_go(experiment: Experiment) -> bool:
    held = ExperimentArm.objects.filter(experiment=experiment, held=True).update(held=False)
    if held:
        Experiment.objects.filter(pk=experiment.pk).update(notice="", revision=F("revision") + 1)
    return bool(held)
