"""Labels of people on the agent's verdicts: sets, queues of steps, labels and their history.

A *label set* asks one question of one group of steps; a *queue* is a sample of steps drawn for it; an
*item* is a step in a queue. A label is unique by (step, reviewer, label set). What a label says of
the verdict (correct, false progress, missed progress) is derived and never stored.
"""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from webapp.runs.models import Run
from webapp.teams.models import User, Workspace

MAX_REVIEWER_CHARS = 150
"""As many as a user name has."""
QUESTION = "Did this step move the task meaningfully forward?"


class LabelSetQuerySet(models.QuerySet["LabelSet"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)


class LabelSet(models.Model):
    """One question, asked of the steps of its queues by ``overlap`` reviewers each."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="label_sets")
    name = models.CharField(max_length=80)
    question = models.CharField(max_length=300, default=QUESTION)
    overlap = models.PositiveSmallIntegerField(default=1)
    """Reviewers an item."""
    blind = models.BooleanField(default=True)
    """Taken from the workspace's setting when the set is made: one set never mixes the two."""
    adjudicator = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    """Decides disagreements, as every owner may."""
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LabelSetQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="label_set_in_workspace")
        ]

    def __str__(self) -> str:
        return self.name


class Method(models.TextChoices):
    ALL = "all", "Every step"
    RANDOM = "random", "Random"
    STRATIFIED = "stratified", "Stratified"
    SUSPICIOUS = "suspicious", "Most suspicious first"
    IMPORTED = "imported", "Imported"


class QueueQuerySet(models.QuerySet["Queue"]):
    def for_user(self, user: User) -> Self:
        return self.filter(label_set__workspace__memberships__user=user)


class Queue(models.Model):
    """A sample of steps, in the order in which they are served."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    label_set = models.ForeignKey(LabelSet, on_delete=models.CASCADE, related_name="queues")
    name = models.CharField(max_length=120)
    source = models.JSONField(default=dict)
    """``{"words": …, "runs": how many}``: what the steps were drawn from."""
    method = models.CharField(max_length=12, choices=Method.choices)
    strata = models.JSONField(default=list)
    """Names of ``sampling.STRATA``, for a stratified draw."""
    seed = models.BigIntegerField(default=0)
    population = models.PositiveIntegerField(default=0)
    """Steps that could have been drawn; 0 = unknown (imported)."""
    drawn = models.PositiveIntegerField(default=0)
    people: models.ManyToManyField[User, models.Model] = models.ManyToManyField(
        User, related_name="+"
    )
    """Who may label in it; nobody named = everybody who may review."""
    dealt = models.BooleanField(default=False)
    """Each item is for certain ones of the people (``Assignment``), not for whoever comes first."""
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    """No more labels are taken."""

    objects = QueueQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["label_set", "-id"], name="queue_list")]

    def __str__(self) -> str:
        return self.name


class ItemQuerySet(models.QuerySet["Item"]):
    def of_step(self, label_set_id: int, run_uuid: uuid.UUID, step: int) -> Self:
        """The same step may be in several queues of a label set; its labels count in all."""
        return self.filter(queue__label_set_id=label_set_id, run_uuid=run_uuid, step=step)


class Item(models.Model):
    """A finished step that was drawn, with what its log said of it.

    The facts are copied, because labels outlive their run: a finished step never changes, also if its
    run is resumed. ``run`` is null once the run is deleted; such items are not served any more.
    """

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    """From 1: the order of the queue, and the item's name in addresses."""
    run = models.ForeignKey(
        Run, null=True, on_delete=models.SET_NULL, related_name="review_items", db_index=True
    )
    run_uuid = models.UUIDField()
    run_ref = models.CharField(max_length=20)
    step = models.PositiveIntegerField()
    probability = models.FloatField()
    """Of the step being drawn, given the queue's population."""
    stratum = models.CharField(max_length=300, blank=True)
    suspicion = models.FloatField(null=True)
    """What the draw went by; null unless it was by suspicion."""

    # copied from the log
    scope = models.CharField(max_length=300, blank=True)
    verdict = models.PositiveSmallIntegerField(null=True)
    """1 progress, 0 none, null nothing usable."""
    check_status = models.CharField(max_length=12)
    tier = models.PositiveSmallIntegerField()
    tier_name = models.CharField(max_length=300, blank=True)
    model = models.CharField(max_length=300, blank=True)
    strategy = models.CharField(max_length=60)
    ladder = models.CharField(max_length=80, blank=True)
    task_id = models.CharField(max_length=80, blank=True)
    collection = models.CharField(max_length=80, blank=True)
    step_position = models.PositiveIntegerField()
    """From 1 within its agent instance."""
    prompt_version = models.CharField(max_length=60, blank=True)
    simulated = models.BooleanField(default=False)

    # kept up with the labels, in their transaction
    labels = models.PositiveSmallIntegerField(default=0)
    """Current labels of its step in the label set."""
    closed = models.BooleanField(default=False)
    """It has as many as the label set asks for."""

    objects = ItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "position"], name="item_in_queue"),
            models.UniqueConstraint(
                fields=["queue", "run_uuid", "step"], name="step_once_in_queue"
            ),
        ]
        indexes = [
            # the next one to serve: a walk from the reviewer's place on
            models.Index(fields=["queue", "position"], condition=Q(closed=False), name="item_open"),
            # how many are done
            models.Index(fields=["queue", "closed", "labels"], name="item_progress"),
            # what is labelled of a run; the same step in other queues
            models.Index(fields=["run_uuid", "step"], name="item_by_step"),
        ]

    def __str__(self) -> str:
        return f"{self.run_ref}, step {self.step}"


class Assignment(models.Model):
    """An item of a dealt queue is for this person."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="assignments")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "user"], name="assigned_once")]

    def __str__(self) -> str:
        return f"{self.item_id} for {self.user_id}"


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def live(self) -> Self:
        """By the database's clock."""
        return self.filter(until__gt=Now())


class Reservation(models.Model):
    """Somebody is looking at an item: it holds a place until it expires or is used."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="reservations")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    until = models.DateTimeField()

    objects = ReservationQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "user"], name="reserved_once")]

    def __str__(self) -> str:
        return f"{self.item_id} by {self.user_id}"


class Skip(models.Model):
    """An item that a reviewer passed over; it is not served to them again."""

    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="skips")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["item", "user"], name="skipped_once")]

    def __str__(self) -> str:
        return f"{self.item_id} by {self.user_id}"


class Seat(models.Model):
    """How far a reviewer is in a queue: where the walk for the next item begins."""

    queue = models.ForeignKey(Queue, on_delete=models.CASCADE, related_name="seats")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["queue", "user"], name="one_seat")]

    def __str__(self) -> str:
        return f"{self.user_id} at {self.position}"


class Answer(models.TextChoices):
    YES = "yes", "Yes"
    NO = "no", "No"
    UNSURE = "unsure", "Cannot tell"


class StepLabelQuerySet(models.QuerySet["StepLabel"]):
    def current(self) -> Self:
        """Without the ones that were taken back."""
        return self.exclude(answer="")


class StepLabel(models.Model):
    """The current state of one reviewer's label; what it was before is in its revisions."""

    label_set = models.ForeignKey(LabelSet, on_delete=models.CASCADE, related_name="labels")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    """Through which it was made; another queue of the set may hold the same step."""
    run_uuid = models.UUIDField()
    step = models.PositiveIntegerField()
    reviewer = models.CharField(max_length=MAX_REVIEWER_CHARS)
    user = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    """Null for an imported label, or if the account is gone."""
    answer = models.CharField(max_length=6, choices=Answer.choices, blank=True)
    """"" = taken back."""
    comment = models.TextField(blank=True)
    first_error = models.BooleanField(default=False)
    """The first wrong step of the run, by this reviewer."""
    blind = models.BooleanField()
    """Given before the verdict was shown; false again once changed after that."""
    opened = models.BooleanField(default=False)
    """The reviewer had opened the run's own page, which shows verdicts, before this answer."""
    revealed_at = models.DateTimeField(null=True, blank=True)
    """When the verdict was shown to the reviewer after saving."""
    revision = models.PositiveIntegerField(default=0)
    saved_at = models.DateTimeField()
    seconds = models.FloatField(null=True)
    """That the item was looked at before the first save, as the browser tells; null = unknown."""

    objects = StepLabelQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["label_set", "run_uuid", "step", "reviewer"], name="one_label"
            ),
            models.UniqueConstraint(
                fields=["label_set", "run_uuid", "reviewer"],
                condition=Q(first_error=True),
                name="one_first_error",
            ),
        ]
        indexes = [
            # the labels of a run, for its pages
            models.Index(fields=["run_uuid", "step"], name="label_by_step"),
            # a reviewer's pace, and agreement over time
            models.Index(fields=["label_set", "user", "saved_at"], name="label_by_reviewer"),
        ]

    def __str__(self) -> str:
        return f"{self.reviewer}: {self.answer or 'taken back'}"


class LabelRevision(models.Model):
    """One state that a label was in. Rows are only ever inserted (a trigger refuses anything else);
    another trigger removes them together with their label."""

    label = models.ForeignKey(StepLabel, on_delete=models.DO_NOTHING, related_name="revisions")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    user_id = models.BigIntegerField(null=True)
    """Whose key it is: no foreign key, so that it stays as it was written."""
    key = models.CharField(max_length=100, null=True)  # noqa: DJ001
    """The browser's own, so that a save that is sent twice is stored once."""
    answer = models.CharField(max_length=6, blank=True)
    comment = models.TextField(blank=True)
    first_error = models.BooleanField()
    blind = models.BooleanField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["label", "number"], name="revision_of_label"),
            models.UniqueConstraint(
                fields=["user_id", "key"], condition=Q(key__isnull=False), name="saved_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label_id}/{self.number}"


class Decision(models.Model):
    """What an adjudicator decided on a disagreement; the latest one stands. Insert-only like the
    revisions, and removed together with its label set."""

    label_set = models.ForeignKey(LabelSet, on_delete=models.DO_NOTHING, related_name="decisions")
    run_uuid = models.UUIDField()
    step = models.PositiveIntegerField()
    number = models.PositiveIntegerField()
    answer = models.CharField(max_length=6, choices=Answer.choices)
    reason = models.TextField()
    by = models.CharField(max_length=150)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["label_set", "run_uuid", "step", "number"], name="decision_in_order"
            )
        ]
        indexes = [models.Index(fields=["run_uuid", "step"], name="decision_by_step")]

    def __str__(self) -> str:
        return f"{self.by}: {self.answer}"


class Opening(models.Model):
    """A reviewer with blind items of a run opened a page that shows its verdicts."""

    run_uuid = models.UUIDField()
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run_uuid", "user"], name="opened_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.run_uuid}"
