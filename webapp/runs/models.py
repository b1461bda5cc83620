"""Runs, their logs, and what they are run on."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models.expressions import RawSQL

from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder


class CollectionQuerySet(models.QuerySet["Collection"]):
    def for_user(self, user: User) -> Self:
        """Only what belongs to a workspace of this user; so in every queryset of this name."""
        return self.filter(workspace__memberships__user=user)


class Collection(models.Model):
    """An indexed folder of documents; the index is a SQLite file under ``DATA_DIR``."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="collections")
    name = models.SlugField(max_length=80)
    title = models.CharField(max_length=200)
    index_file = models.CharField(max_length=200)
    """File name below ``DATA_DIR/collections``."""
    documents = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CollectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="collection_in_workspace")
        ]

    def __str__(self) -> str:
        return self.title


class SampleTaskQuerySet(models.QuerySet["SampleTask"]):
    def for_user(self, user: User) -> Self:
        return self.filter(collection__workspace__memberships__user=user)


class SampleTask(models.Model):
    """A question with known answers that belongs to a collection."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="tasks")
    task_id = models.CharField(max_length=80)
    question = models.TextField()
    answers = models.JSONField(default=list)
    difficulty = models.CharField(max_length=20, blank=True)

    objects = SampleTaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collection", "task_id"], name="task_in_collection")
        ]

    def __str__(self) -> str:
        return self.task_id


class Status(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Stopped"


FILTER_COLUMNS = (
    "status",
    "outcome",
    "strategy",
    "ladder",
    "collection",
    "submitted_by",
)


ALIVE = RawSQL("runs_run.status IN ('queued', 'running')", [], output_field=models.BooleanField())
"""Word for word the condition of the index ``run_alive``, with the values written out: SQLite uses a
partial index only for a query that says the same, and bound parameters say nothing."""


class RunQuerySet(models.QuerySet["Run"]):
    def alive(self) -> Self:
        """Only what is queued or running: few among any number of ended runs."""
        return self.filter(ALIVE)

    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)


class Run(models.Model):
    """One run. Its truth is its events; every column below *cached from the log* is a fold of them.

    ::

        queued ──claim──► running ──┬─► finished
          ▲                 │       ├─► failed
          └──── release ────┘       └─► cancelled
          └───────────────────────────► cancelled   (stopped before a worker took it)

    A worker owns a run by its lease: ``fence`` counts the claims, and whoever holds the highest one
    is the only one whose events are stored. Times of the lease are the database's own clock.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField()
    submitted_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="runs"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="forks"
    )
    fork_step = models.PositiveIntegerField(null=True, blank=True)
    """Steps 1..fork_step are the parent's."""
    race = models.UUIDField(null=True, blank=True)
    """Runs submitted together over the same task share it."""

    # what to do
    question = models.TextField()
    collection = models.ForeignKey(Collection, null=True, blank=True, on_delete=models.SET_NULL)
    tools = models.JSONField(null=True, default=None)
    """Names of the catalogue in the order of the prompt; null = the default ones (older runs)."""
    task_id = models.CharField(max_length=80, blank=True)
    gold = models.JSONField(default=list)
    scorer = models.CharField(max_length=20, null=True, blank=True)  # noqa: DJ001
    """Who grades the answer; null = the normalised match. Nullable for the same reason as sandbox."""
    strategy = models.CharField(max_length=60)
    parameters = models.JSONField(default=dict)
    ladder = models.ForeignKey(Ladder, null=True, on_delete=models.SET_NULL)
    ladder_name = models.CharField(max_length=80)
    tiers = models.JSONField(default=list)
    """[{"name", "endpoint": uuid, "model"}], cheapest first: resolved to addresses by the worker."""
    seed = models.BigIntegerField()
    limits = models.JSONField(default=dict)
    simulated = models.BooleanField(default=False)
    stand_in = models.BooleanField(null=True)
    """Cached from the log: a scorer decided by the hashed stand-in of a sentence-encoder. None = a
    run older than the column (it could not); a default would make SQLite copy the whole table."""

    # lease
    fence = models.PositiveIntegerField(default=0)
    owner = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    recoveries = models.PositiveSmallIntegerField(default=0)
    """Claims since the last stored step: a run that kills its worker again and again is ended."""
    enqueued_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.CharField(max_length=150, blank=True)
    next_seq = models.PositiveIntegerField(default=0)

    # cached from the log
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.QUEUED)
    outcome = models.CharField(max_length=10, blank=True)
    """correct, incorrect, unscored; "" while there is no answer."""
    answer = models.TextField(blank=True)
    ended_by = models.CharField(max_length=30, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    error_hint = models.TextField(blank=True)
    sandbox = models.CharField(max_length=10, null=True, blank=True)  # noqa: DJ001
    """The rung that ``python`` ran in; null without it. Nullable: SQLite would rebuild the table for a
    default, and lose its triggers."""
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    steps = models.PositiveIntegerField(default=0)
    latency_s = models.FloatField(default=0.0)
    """Cumulative latency of the finished steps, and at the end what an unfinished one took."""
    switches = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    top_tier_output_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.FloatField(null=True, blank=True)
    tier_path = models.TextField(blank=True)
    """One character a finished step: its tier, 0-9 then a-z."""
    stall_path = models.TextField(blank=True)
    """One character a finished step: its verdict, 1 progress, 0 none, - no verdict."""

    objects = RunQuerySet.as_manager()

    class Meta:
        indexes = [
            # the list page: one index an order; the columns after the order's own let a filter be
            # answered inside the index, so that a rare value is found without reading the rows
            *(
                models.Index(
                    fields=["workspace", *key, "id", *FILTER_COLUMNS, *tail],
                    name=f"run_list_by_{key[0]}",
                )
                for key, tail in (
                    (("created_at",), ()),
                    (("latency_s",), ("created_at",)),
                    (("cost_usd",), ("created_at",)),
                    (("steps",), ("created_at",)),
                )
            ),
            # alive(): a worker's own runs (twice a second), the reaper's sweep, the queue position,
            # the quota, what a workspace is running now
            models.Index(
                fields=["workspace", "status", "owner"],
                condition=models.Q(status__in=["queued", "running"]),
                name="run_alive",
            ),
            models.Index(
                fields=["race"], condition=models.Q(race__isnull=False), name="run_by_race"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "number"], name="run_number_in_workspace"),
            models.UniqueConstraint(
                fields=["submitted_by", "idempotency_key"], name="one_run_per_idempotency_key"
            ),
        ]

    def __str__(self) -> str:
        return self.ref

    @property
    def ref(self) -> str:
        return f"run-{self.number}"

    @property
    def ended(self) -> bool:
        return self.status in (Status.FINISHED, Status.FAILED, Status.CANCELLED)


class RunEvent(models.Model):
    """One event of a run's log. Rows are only ever inserted (a trigger refuses anything else);
    another trigger removes them together with their run."""

    run = models.ForeignKey(Run, on_delete=models.DO_NOTHING, related_name="events")
    seq = models.PositiveIntegerField()
    at = models.FloatField()
    type = models.CharField(max_length=32)
    step = models.PositiveIntegerField(default=0)
    body = models.TextField()
    """``collab_core.events.encode_body``: the event without its place."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="log_is_gap_free")]
        indexes = [
            # the page's snapshot: all step.finished of a run, in order
            models.Index(fields=["run", "type", "seq"], name="event_by_type"),
            # the bodies of a range of steps
            models.Index(fields=["run", "step", "seq"], name="event_by_step"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}/{self.seq} {self.type}"
