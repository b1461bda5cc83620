"""What a workspace has learned: weights with their provenance, and the trainings that make them."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.db import models
from django.db.models import Q

from webapp.teams.models import User, Workspace


class WeightsQuerySet(models.QuerySet["Weights"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)


class Weights(models.Model):
    """A weights folder of a workspace. ``reference`` is the folder's name and what runs name.

    The folder never changes: it carries the digest of its content in its name.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="weights")
    reference = models.CharField(max_length=120)
    """``<name>-<first 12 digits of the digest>``, below ``DATA_DIR/learned/<workspace id>``."""
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=60)
    digest = models.CharField(max_length=64)
    stand_in = models.BooleanField(default=False)
    """Made with the hashed bag of words: every figure made with it says so."""
    simulated = models.BooleanField(default=False)
    manifest = models.JSONField(default=dict)
    """As stored beside the tensors, for reading and listing; the file is the truth."""
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = WeightsQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "reference"], name="weights_once_in_workspace"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def tiers(self) -> str:
        """The ladder that they are for, in words."""
        return " < ".join(str(tier["name"]) for tier in self.manifest.get("ladder", []))


class TrainingStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Stopped"


ALIVE = (TrainingStatus.QUEUED, TrainingStatus.RUNNING)


class TrainingQuerySet(models.QuerySet["Training"]):
    def alive(self) -> Self:
        return self.filter(status__in=ALIVE)

    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)


class Training(models.Model):
    """One training. A worker owns it by a lease, like a run; nothing is kept of a broken attempt.

    ::

        queued ──claim──► running ──┬─► finished   (its weights are stored)
          ▲                 │       ├─► failed
          └──── release ────┘       └─► cancelled
          └───────────────────────────► cancelled  (stopped before a worker took it)
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="trainings")
    submitted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001

    # what to do
    kind = models.CharField(max_length=60)
    name = models.CharField(max_length=80)
    seed = models.PositiveIntegerField(default=0)
    encoder = models.CharField(max_length=500)
    options = models.JSONField(default=dict)
    source = models.JSONField(default=dict)
    """``{"words": …, "runs": [ids]}``, or ``{"words": …, "upload": true}``."""

    # how far it is
    status = models.CharField(
        max_length=10, choices=TrainingStatus.choices, default=TrainingStatus.QUEUED
    )
    fraction = models.FloatField(default=0.0)
    """0..1."""
    message = models.CharField(max_length=300, blank=True)
    error = models.JSONField(null=True, default=None)
    """``{"message", "hint"}`` of a failed one."""
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    weights = models.ForeignKey(
        Weights, null=True, blank=True, on_delete=models.SET_NULL, related_name="trainings"
    )

    # who does it
    owner = models.CharField(max_length=120, blank=True)
    fence = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)

    objects = TrainingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["submitted_by", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="training_once_per_key",
            )
        ]
        indexes = [
            # the list of a workspace, newest first
            models.Index(fields=["workspace", "-id"], name="training_list"),
            # what a reaper looks for
            models.Index(
                fields=["status", "lease_until"],
                condition=Q(status__in=("queued", "running")),
                name="training_alive",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def ended(self) -> bool:
        return self.status not in ALIVE

    @property
    def per_cent(self) -> int:
        return int(100 * self.fraction)

    @property
    def shown_options(self) -> dict[str, Any]:
        return {name: value for name, value in self.options.items() if value is not None}
