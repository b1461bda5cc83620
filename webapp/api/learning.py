"""REST of learned parts: what can be trained, trainings, weights."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Status

from collab_core.learned.training import TRAINERS
from webapp.api.access import ERRORS, IDEMPOTENCY_KEY, membership_of, named, user_of
from webapp.api.schemas import ErrorBody, KindOut, TrainingInput, TrainingOut, WeightsOut
from webapp.learning import services
from webapp.learning.models import Training, Weights
from webapp.runs.models import Collection
from webapp.tiers.models import Ladder

MOST = 200
router = Router(tags=["learning"])


def _body(training: Training) -> dict[str, Any]:
    return {
        "uuid": training.uuid,
        "kind": training.kind,
        "name": training.name,
        "status": training.status,
        "fraction": training.fraction,
        "message": training.message,
        "error": training.error,
        "source": training.source.get("words", ""),
        "options": training.options,
        "encoder": services.encoder_words(training.encoder),
        "seed": training.seed,
        "created_at": training.created_at,
        "started_at": training.started_at,
        "finished_at": training.finished_at,
        "weights": training.weights.reference if training.weights else None,
    }


def _training(request: HttpRequest, uuid: UUID) -> Training:
    found = Training.objects.for_user(user_of(request)).select_related("weights")
    return get_object_or_404(found, uuid=uuid)


@router.get("/weights/kinds", response=list[KindOut])
def list_kinds(request: HttpRequest) -> list[dict[str, Any]]:
    """Return what can be trained, with the JSON schema of its options."""
    return [
        {
            "kind": trainer.kind,
            "title": trainer.title,
            "summary": trainer.summary,
            "needs_encoder": trainer.needs_encoder,
            "needs_classifier": trainer.needs_classifier,
            "needs_labels": trainer.needs_labels,
            "options": trainer.options.model_json_schema(),
        }
        for trainer in TRAINERS.values()
    ]


@router.get("/weights", response={200: list[WeightsOut], **ERRORS})
def list_weights(
    request: HttpRequest, kind: str = "", workspace: UUID | None = None
) -> list[Weights]:
    """Return the weights of a workspace, the newest first, at most 200."""
    membership = membership_of(request, workspace)
    found = Weights.objects.filter(workspace=membership.workspace).order_by("-id")
    return list((found.filter(kind=kind) if kind else found)[:MOST])


@router.post("/trainings", response={201: TrainingOut, 200: TrainingOut, 429: ErrorBody, **ERRORS})
def create_training(
    request: HttpRequest,
    payload: TrainingInput,
    idempotency_key: str | None = IDEMPOTENCY_KEY,
) -> Status[dict[str, Any]]:
    """Train on finished runs. The same `Idempotency-Key` gives the same training, with status 200."""
    membership = membership_of(request, payload.workspace)
    workspace = membership.workspace
    ladders = Ladder.objects.live().filter(workspace=workspace)
    collections = Collection.objects.filter(workspace=workspace)
    order = services.Order(
        kind=payload.kind,
        name=payload.name,
        options=payload.options,
        seed=payload.seed,
        encoder=payload.encoder,
        ladder=named(ladders, payload.ladder, "ladder"),
        collection=named(collections, payload.collection, "collection")
        if payload.collection
        else None,
        classifier=payload.classifier,
        labels=[payload.labels.encode()] if payload.labels else None,
        labels_name="labels.jsonl",
        most=payload.most,
        idempotency_key=idempotency_key,
    )
    last = Training.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    training = services.submit(workspace, membership.user, order)
    return Status(201 if training.pk > last else 200, _body(training))


@router.get("/trainings", response={200: list[TrainingOut], **ERRORS})
def list_trainings(request: HttpRequest, workspace: UUID | None = None) -> list[dict[str, Any]]:
    """Return the trainings of a workspace, the newest first, at most 200."""
    membership = membership_of(request, workspace)
    found = Training.objects.filter(workspace=membership.workspace).select_related("weights")
    return [_body(training) for training in found.order_by("-id")[:MOST]]


@router.get("/trainings/{uuid:uuid}", response={200: TrainingOut, **ERRORS})
def get_training(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """Return how far a training is."""
    return _body(_training(request, uuid))


@router.post("/trainings/{uuid:uuid}/cancel", response={202: TrainingOut, **ERRORS})
def cancel_training(request: HttpRequest, uuid: UUID) -> Status[dict[str, Any]]:
    """Ask a training to stop; it does within seconds. An ended one stays as it is."""
    services.cancel(_training(request, uuid), user_of(request))
    return Status(202, _body(_training(request, uuid)))
