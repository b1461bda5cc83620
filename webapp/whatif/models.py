"""Questions of the form: what would these runs have come to under another strategy?"""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from webapp.experiments.models import Experiment
from webapp.teams.models import User, Workspace


class State(models.TextChoices):
    QUEUED = "queued", "Waiting"
    RUNNING = "running", "Computing"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class WhatIfQuerySet(models.QuerySet["WhatIf"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)


class WhatIf(models.Model):
    """One question with its answer, kept: queued ──► running ──► done or failed.

    Whoever computes it holds it until ``claimed_until``; then somebody else may.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="what_ifs")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    experiment = models.ForeignKey(
        Experiment, null=True, blank=True, on_delete=models.SET_NULL, related_name="what_ifs"
    )
    """Whose runs they are; null = chosen one by one."""
    source = models.CharField(max_length=200)
    """Which runs, in words."""
    runs = models.JSONField(default=list)
    """UUIDs of the finished runs that are replayed."""
    strategy = models.CharField(max_length=60)
    parameters = models.JSONField(default=dict)
    """Only those that decide; what shapes prompts is each run's own."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    claimed_until = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(null=True, blank=True)
    """``collab_core.whatif.results.WhatIf``; null = not done."""
    error = models.TextField(blank=True)

    objects = WhatIfQuerySet.as_manager()

    class Meta:
        indexes = [
            # what waits, or was left behind by a worker that died
            models.Index(
                fields=["id"], condition=Q(state__in=("queued", "running")), name="what_if_open"
            ),
            # the latest of an experiment
            models.Index(fields=["experiment", "-id"], name="what_if_of_experiment"),
        ]

    def __str__(self) -> str:
        return f"{self.strategy} on {self.source}"

    @property
    def ended(self) -> bool:
        return self.state in (State.DONE, State.FAILED)
