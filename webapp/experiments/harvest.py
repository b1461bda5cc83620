"""When a trial's run has ended: what its log adds up to, and what becomes of the trial."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from collab_core.benchmarks.grading import INLINE
from collab_core.events import Recorded, decode_body
from collab_core.experiments.facts import FACT_TYPES, facts_of
from webapp.experiments.models import (
    Experiment,
    ExperimentArm,
    ExperimentStatus,
    Trial,
    TrialState,
)
from webapp.experiments.progress import trials_changed
from webapp.runs.models import Run, RunEvent, Status

ENDED = (Status.FINISHED, Status.FAILED, Status.CANCELLED)
SWEEP = 500
HOPELESS = 8
"""Failed runs in a row after which an arm is held: a dead tier must not use up all its trials."""


def ended_runs() -> list[int]:
    """Return the runs whose end no trial has taken in: hints can be lost."""
    waiting = Trial.objects.filter(state=TrialState.RUNNING, run__status__in=ENDED)
    return [pk for pk in waiting.values_list("run_id", flat=True)[:SWEEP] if pk is not None]


def orphans() -> int:
    """Fail the trials whose runs are gone; return how many."""
    lost = Trial.objects.filter(state=TrialState.RUNNING, run=None)[:SWEEP]
    for trial in lost:
        _end(
            trial,
            TrialState.FAILED,
            error_code="run_deleted",
            error_message="Its run was deleted. Retry it to run the task again.",
        )
    return len(lost)


def harvest(run_id: int) -> Trial | None:
    """Take in the end of a run; return its trial if this call was the one that did.

    Doing it twice, or for a run that is nobody's trial or has not ended, changes nothing.
    """
    trial = (
        Trial.objects.filter(run_id=run_id, state=TrialState.RUNNING, run__status__in=ENDED)
        .select_related("run", "experiment", "task", "arm")
        .first()
    )
    if trial is None or trial.run is None:
        return None
    facts, trace = facts_of(_history(run_id))
    kept = {
        "facts": msgspec.json.encode(facts).decode(),
        "trace": msgspec.json.encode(trace).decode(),
    }
    state, columns = _becomes(trial, trial.run)
    if not _end(trial, state, **kept, **columns):
        return None
    if state == TrialState.FAILED and trial.run.status == Status.FAILED:
        _hold_if_hopeless(trial, columns["error_message"])
    return trial


def _history(run_id: int) -> list[Recorded]:
    rows = RunEvent.objects.filter(run_id=run_id, type__in=FACT_TYPES).order_by("seq")
    return [
        Recorded(seq=seq, at=at, event=decode_body(body))
        for seq, at, body in rows.values_list("seq", "at", "body")
    ]


def _becomes(trial: Trial, run: Run) -> tuple[TrialState, dict[str, Any]]:
    if run.status == Status.FINISHED:
        if trial.task.scorer in INLINE:
            return TrialState.DONE, {"outcome": run.outcome}
        return TrialState.GRADING, {}
    if run.status == Status.FAILED:
        message = f"{run.error_message} {run.error_hint}".strip()
        return TrialState.FAILED, {"error_code": run.error_code, "error_message": message}
    if trial.experiment.status == ExperimentStatus.CANCELLED:
        return TrialState.CANCELLED, {}
    by = run.cancelled_by or "somebody"
    return TrialState.FAILED, {
        "error_code": "stopped",
        "error_message": f"The run was stopped by {by}. Retry it to run the task again.",
    }


@transaction.atomic
def _end(trial: Trial, state: TrialState, **columns: Any) -> bool:
    """Let the running trial become something else, once; False = somebody else was first."""
    graded_later = state == TrialState.GRADING
    changed = Trial.objects.filter(pk=trial.pk, state=TrialState.RUNNING).update(
        state=state, finished_at=None if graded_later else Now(), **columns
    )
    if changed:
        failed = state in (TrialState.FAILED, TrialState.CANCELLED)
        trials_changed(trial.experiment_id, done=0 if graded_later else 1, failed=int(failed))
    return bool(changed)


def _hold_if_hopeless(trial: Trial, message: str) -> None:
    """Begin no more trials of an arm whose latest runs all failed; the other arms go on."""
    ended = Trial.objects.filter(arm_id=trial.arm_id, finished_at__isnull=False)
    latest = list(ended.order_by("-finished_at").values_list("state", flat=True)[:HOPELESS])
    if len(latest) < HOPELESS or set(latest) != {TrialState.FAILED}:
        return
    if ExperimentArm.objects.filter(pk=trial.arm_id, held=False).update(held=True):
        notice = (
            f"Arm {trial.arm.label} is held: its last {HOPELESS} runs failed. {message} "
            "Mend it, then resume the experiment and retry what failed."
        )
        Experiment.objects.filter(pk=trial.experiment_id).update(
            notice=notice, revision=F("revision") + 1
        )
