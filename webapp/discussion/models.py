"""What people say about runs and steps, and who is told of it. None of it is in a run's log."""

from __future__ import annotations

import uuid
from typing import Self

from django.db import models
from django.urls import reverse

from webapp.runs.models import Run
from webapp.teams.models import User, Workspace


class CommentQuerySet(models.QuerySet["Comment"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)


class Comment(models.Model):
    """A comment on a run, or on one of its steps. The row is the present state; every text it ever had
    is a ``Revision``."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="comments")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="comments")
    step = models.PositiveIntegerField(null=True, blank=True)
    """None = about the run as a whole."""
    author = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.CharField(max_length=150)
    """Kept when the account is deleted."""
    text = models.TextField(blank=True)
    """"" once it is deleted."""
    created_at = models.DateTimeField(auto_now_add=True)
    edited_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    changes = models.PositiveIntegerField(default=0)

    objects = CommentQuerySet.as_manager()

    class Meta:
        indexes = [
            # the comments of a run, in order
            models.Index(fields=["run", "id"], name="comment_of_run"),
            # how much somebody wrote lately
            models.Index(fields=["author", "created_at"], name="comment_by_author"),
        ]

    def __str__(self) -> str:
        return f"{self.author_name} on {self.run}"

    @property
    def url(self) -> str:
        """The permalink: the run's page, at this comment."""
        return f"{reverse('runs:detail', args=[self.run.uuid])}#comment-{self.uuid}"

    @property
    def place(self) -> str:
        """run-12, or run-12, step 3."""
        return self.run.ref if self.step is None else f"{self.run.ref}, step {self.step}"


class Revision(models.Model):
    """A text that a comment had, or its deletion. Rows are only ever inserted (a trigger refuses
    anything else); another trigger removes them together with their comment."""

    comment = models.ForeignKey(Comment, on_delete=models.DO_NOTHING, related_name="revisions")
    number = models.PositiveIntegerField()
    text = models.TextField(blank=True)
    deleted = models.BooleanField(default=False)
    at = models.DateTimeField(auto_now_add=True)
    by_name = models.CharField(max_length=150)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comment", "number"], name="revision_of_comment")
        ]

    def __str__(self) -> str:
        return f"{self.comment_id}/{self.number}"


class Reason(models.TextChoices):
    MENTION = "mention", "mentioned you"
    OWN_RUN = "own_run", "commented on your run"


class NotificationQuerySet(models.QuerySet["Notification"]):
    def for_user(self, user: User) -> Self:
        """Only of workspaces the person still belongs to."""
        return self.filter(user=user, comment__workspace__memberships__user=user)

    def unread(self) -> Self:
        return self.filter(read_at=None)


class Notification(models.Model):
    """One person is told of one comment, once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notifications")
    comment = models.ForeignKey(Comment, on_delete=models.CASCADE, related_name="notifications")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NotificationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "comment"], name="told_once_of_a_comment")
        ]
        indexes = [
            # the page, newest first
            models.Index(fields=["user", "-id"], name="notification_list"),
            # the number beside the bell, on every page
            models.Index(
                fields=["user"],
                condition=models.Q(read_at=None),
                name="notification_unread",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.comment}"
