"""REST of experiments: submit from a definition, follow, steer, take the figures out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from collab_core.experiments.definition import build
from webapp.api.access import ERRORS, IDEMPOTENCY_KEY, membership_of, user_of
from webapp.api.schemas import ExperimentInput, ExperimentOut, TaskSetOut
from webapp.experiments import control, creation, exports, reads, results
from webapp.experiments.models import Experiment, TaskSet
from webapp.teams.access import require_may_run

MOST = 200
router = Router(tags=["experiments"])


def _experiment(request: HttpRequest, uuid: UUID) -> Experiment:
    found = Experiment.objects.for_user(user_of(request)).select_related(
        "workspace", "created_by", "task_set"
    )
    return get_object_or_404(found, uuid=uuid)


@router.get("/task-sets", response={200: list[TaskSetOut], **ERRORS})
def list_task_sets(request: HttpRequest, workspace: UUID | None = None) -> list[TaskSet]:
    """Return the task sets of the workspace."""
    membership = membership_of(request, workspace)
    return list(TaskSet.objects.live().filter(workspace=membership.workspace).order_by("name"))


@router.post("/experiments", response={201: ExperimentOut, **ERRORS})
def create_experiment(
    request: HttpRequest, payload: ExperimentInput, idempotency_key: str | None = IDEMPOTENCY_KEY
) -> Status[dict[str, Any]]:
    """Begin an experiment. The same `Idempotency-Key` gives the same experiment again."""
    membership = membership_of(request, payload.workspace)
    # before the definition is read: who may not begin anything is not told what is wrong with it
    require_may_run(membership)
    made = creation.create(
        membership.workspace,
        membership.user,
        build(payload.definition),
        max_parallel=payload.max_parallel,
        idempotency_key=idempotency_key,
    )
    return Status(201, reads.experiment_dict(made))


@router.get("/experiments", response={200: list[ExperimentOut], **ERRORS})
def list_experiments(request: HttpRequest, workspace: UUID | None = None) -> list[dict[str, Any]]:
    """Return the newest experiments of the workspace."""
    membership = membership_of(request, workspace)
    found = (
        Experiment.objects.filter(workspace=membership.workspace)
        .select_related("created_by", "task_set")
        .order_by("-id")
    )
    return reads.experiment_dicts(list(found[:MOST]))


@router.get("/experiments/{uuid:uuid}", response={200: ExperimentOut, **ERRORS})
def get_experiment(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """Return one experiment and how far it is."""
    return reads.experiment_dict(_experiment(request, uuid))


@router.get("/experiments/{uuid:uuid}/results")
def get_results(request: HttpRequest, uuid: UUID, baseline: str = "") -> HttpResponse:
    """Return the figures as they stand: the table with its intervals, tests, frontier, sweeps.

    `baseline` is the arm that speedups are against; left out, the definition's."""
    body = results.body(_experiment(request, uuid), baseline)
    return HttpResponse(body, content_type="application/json")


@router.get("/experiments/{uuid:uuid}/archive")
def get_archive(request: HttpRequest, uuid: UUID) -> HttpResponseBase:
    """Return a .tar of the definition, the trials and every run's log."""
    return exports.archive(request, _experiment(request, uuid))


@router.post("/experiments/{uuid:uuid}/pause", response={202: ExperimentOut, **ERRORS})
def pause(request: HttpRequest, uuid: UUID) -> Status[dict[str, Any]]:
    """Begin no more runs."""
    control.pause(_experiment(request, uuid), user_of(request))
    return Status(202, reads.experiment_dict(_experiment(request, uuid)))


@router.post("/experiments/{uuid:uuid}/resume", response={202: ExperimentOut, **ERRORS})
def resume(request: HttpRequest, uuid: UUID) -> Status[dict[str, Any]]:
    """Go on after a pause."""
    control.resume(_experiment(request, uuid), user_of(request))
    return Status(202, reads.experiment_dict(_experiment(request, uuid)))


@router.post("/experiments/{uuid:uuid}/cancel", response={202: ExperimentOut, **ERRORS})
def cancel(request: HttpRequest, uuid: UUID) -> Status[dict[str, Any]]:
    """Stop it; what is done stays."""
    control.cancel(_experiment(request, uuid), user_of(request))
    return Status(202, reads.experiment_dict(_experiment(request, uuid)))


@router.post("/experiments/{uuid:uuid}/retry", response={202: ExperimentOut, **ERRORS})
def retry(request: HttpRequest, uuid: UUID) -> Status[dict[str, Any]]:
    """Begin again what failed or was stopped, and only that."""
    control.retry(_experiment(request, uuid), user_of(request))
    return Status(202, reads.experiment_dict(_experiment(request, uuid)))
