"""Task sets, experiments, their arms and trials, and what judges said."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q

from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.experiments.definition import Definition
from webapp.runs.models import Collection, Run
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Endpoint, Ladder


class TaskSetQuerySet(models.QuerySet["TaskSet"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)

    def live(self) -> Self:
        return self.filter(archived_at=None)


class TaskSet(models.Model):
    """Tasks of one benchmark file, as they were read. They never change: another file is another set."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="task_sets")
    name = models.CharField(max_length=80)
    title = models.CharField(max_length=200)
    benchmark = models.CharField(max_length=40)
    """Name of ``collab_core.benchmarks.registry``."""
    digest = models.CharField(max_length=64)
    tasks_total = models.PositiveIntegerField(default=0)
    needs = models.CharField(max_length=20, blank=True)
    """judge, critic or sandbox: what grades the answers; "" = a rule."""
    closed = models.BooleanField(default=False)
    """Its authors ask not to show items in clear outside of the team."""
    notes = models.TextField(blank=True)
    """Licence, and what its figures cannot be compared with."""
    collection = models.ForeignKey(Collection, null=True, blank=True, on_delete=models.SET_NULL)
    """The documents that the tasks are about, where they are of the workspace."""
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = TaskSetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=Q(archived_at=None),
                name="task_set_name_in_workspace",
            )
        ]

    def __str__(self) -> str:
        return self.title


class TaskItem(models.Model):
    """One task of a set. All but the question is for graders."""

    task_set = models.ForeignKey(TaskSet, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    task_id = models.CharField(max_length=80)
    question = models.TextField()
    answers = models.JSONField(default=list)
    difficulty = models.CharField(max_length=40, blank=True)
    category = models.CharField(max_length=80, blank=True)
    scorer = models.CharField(max_length=20)
    reference = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task_set", "task_id"], name="task_once_in_set"),
            models.UniqueConstraint(fields=["task_set", "position"], name="task_order_in_set"),
        ]

    def __str__(self) -> str:
        return self.task_id

    def to_core(self) -> BenchmarkTask:
        return BenchmarkTask(
            id=self.task_id,
            question=self.question,
            answers=tuple(self.answers),
            difficulty=self.difficulty,
            category=self.category,
            scorer=self.scorer,
            reference=self.reference,
        )


class ExperimentStatus(models.TextChoices):
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Stopped"


class ExperimentQuerySet(models.QuerySet["Experiment"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)


class Experiment(models.Model):
    """Every arm on every task under every seed.

    ::

        running ◄──pause, resume──► paused
           │  ▲                        │
           │  └─ retry ─┐              │
           ▼            │              ▼
        finished ───────┘          cancelled

    ``definition`` never changes; a changed experiment is another one with this one as its parent.
    The counters are those of its trials, kept in the same transaction; ``revision`` grows whenever a
    figure may have changed.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="experiments")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=120)
    created_by = models.ForeignKey(
        User, null=True, on_delete=models.SET_NULL, related_name="experiments"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL)

    definition = models.JSONField()
    digest = models.CharField(max_length=64)
    task_set = models.ForeignKey(TaskSet, on_delete=models.RESTRICT, related_name="experiments")
    collection = models.ForeignKey(Collection, null=True, blank=True, on_delete=models.SET_NULL)
    judge = models.ForeignKey(Endpoint, null=True, blank=True, on_delete=models.SET_NULL)
    max_parallel = models.PositiveIntegerField(null=True, blank=True)
    """Runs at the same time; null = the installation's limit."""

    status = models.CharField(
        max_length=10, choices=ExperimentStatus.choices, default=ExperimentStatus.RUNNING
    )
    notice = models.TextField(blank=True)
    """What stands in its way now, in words; "" = nothing."""
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    revision = models.PositiveBigIntegerField(default=0)
    trials_total = models.PositiveIntegerField(default=0)
    trials_done = models.PositiveIntegerField(default=0)
    trials_failed = models.PositiveIntegerField(default=0)
    """Those of ``trials_done`` without a result: failed or stopped. Pages count the two apart."""
    simulated = models.BooleanField(default=False)

    objects = ExperimentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "number"], name="experiment_number"),
            models.UniqueConstraint(
                fields=["created_by", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="experiment_once_per_key",
            ),
        ]
        indexes = [
            # the list of a workspace, newest first
            models.Index(fields=["workspace", "-id"], name="experiment_list"),
            # what the feeder looks at
            models.Index(
                fields=["status"], condition=Q(status="running"), name="experiment_running"
            ),
        ]

    def __str__(self) -> str:
        return self.ref

    @property
    def ref(self) -> str:
        return f"experiment-{self.number}"

    @property
    def ended(self) -> bool:
        return self.status in (ExperimentStatus.FINISHED, ExperimentStatus.CANCELLED)

    @property
    def defined(self) -> Definition:
        return Definition.model_validate(self.definition)


class ExperimentArm(models.Model):
    """One row of the table. ``tiers`` is the ladder as it was: a changed one is another protocol."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    position = models.PositiveSmallIntegerField()
    label = models.CharField(max_length=80)
    strategy = models.CharField(max_length=60)
    parameters = models.JSONField(default=dict)
    """Complete: with the defaults."""
    ladder = models.ForeignKey(Ladder, null=True, on_delete=models.SET_NULL)
    ladder_name = models.CharField(max_length=80)
    tiers = models.JSONField(default=list)
    """[{"name", "endpoint": uuid, "model"}], cheapest first."""
    uses = models.JSONField(default=list)
    """UUIDs of the endpoints that it may call."""
    held = models.BooleanField(default=False)
    """Its latest runs all failed: no more of them begin until somebody says so."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "position"], name="arm_order"),
            models.UniqueConstraint(fields=["experiment", "label"], name="arm_label"),
        ]

    def __str__(self) -> str:
        return self.label


class TrialState(models.TextChoices):
    PENDING = "pending", "Waiting"
    RUNNING = "running", "Running"
    GRADING = "grading", "Being graded"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Stopped"


OPEN_STATES = (TrialState.PENDING, TrialState.RUNNING, TrialState.GRADING)


class Trial(models.Model):
    """One cell: an arm on a task under a seed.

    ::

        pending ──► running ──┬──► grading ──┬──► done
           ▲           │      │              │
           │           │      └──────────────┴──► failed
           └── retry ──┴───────────────────────── failed, cancelled

    Every arrow is one conditional update on the state that it leaves, so that whoever is second
    changes nothing.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="trials")
    position = models.PositiveIntegerField()
    arm = models.ForeignKey(ExperimentArm, on_delete=models.CASCADE, related_name="trials")
    task = models.ForeignKey(TaskItem, on_delete=models.RESTRICT, related_name="trials")
    seed = models.BigIntegerField()
    """The experiment's; the run's own follows from it and the task."""
    state = models.CharField(max_length=10, choices=TrialState.choices, default=TrialState.PENDING)
    run = models.OneToOneField(
        Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="trial"
    )
    earlier_runs = models.JSONField(default=list)
    """UUIDs of runs that failed and were tried again."""
    outcome = models.CharField(max_length=10, blank=True)
    score = models.FloatField(null=True, blank=True)
    facts = models.TextField(blank=True)
    """``collab_core.experiments.records.Facts`` as JSON; "" until the run has ended."""
    trace = models.TextField(blank=True)
    """``Trace`` as JSON."""
    verdict = models.ForeignKey("Verdict", null=True, blank=True, on_delete=models.SET_NULL)
    grade_until = models.DateTimeField(null=True, blank=True)
    """Somebody grades it, at most until then."""
    grade_tries = models.PositiveSmallIntegerField(default=0)
    fresh = models.BooleanField(default=False)
    """The judge is to be asked even where a verdict on this answer is known."""
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "arm", "task", "seed"], name="trial_once"
            ),
        ]
        indexes = [
            # the next ones to begin, the running ones, the failed ones; in order
            models.Index(fields=["experiment", "state", "position"], name="trial_by_state"),
            # what is running or being graded, over all experiments
            models.Index(
                fields=["state", "experiment"],
                condition=Q(state__in=("running", "grading")),
                name="trial_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id}/{self.position}"


class Verdict(models.Model):
    """What a grader said of one answer: kept, so that the same question is not asked twice."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=64)
    """SHA-256 of all that it depends on: ``collab_core.benchmarks.grading.verdict_key``."""
    scorer = models.CharField(max_length=20)
    model = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=10)
    score = models.FloatField(null=True, blank=True)
    parsed = models.BooleanField(default=True)
    """False = the judge answered nonsense: counted, never guessed."""
    grade = models.JSONField(default=dict)
    """``Grade`` as it was given, with the reason and the extracted answer."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            # the newest verdict with a key
            models.Index(fields=["workspace", "key", "-id"], name="verdict_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.scorer}: {self.outcome}"


class ResultCache(models.Model):
    """The result page's figures as they were last computed."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="results")
    part = models.CharField(max_length=20, default="table")
    """table, or what takes longer: details."""
    revision = models.PositiveBigIntegerField()
    version = models.CharField(max_length=40)
    """Of the code that computed them."""
    body = models.BinaryField()
    computed_at = models.DateTimeField(auto_now=True)
    took_s = models.FloatField(default=0.0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "part"], name="result_part_once")
        ]

    def __str__(self) -> str:
        return f"{self.experiment_id} at {self.revision}"


class Feeder(models.Model):
    """One row, locked by whoever begins runs: two feeders never begin more than may run."""

    fed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return "feeder"
