"""Who may see what: users, workspaces, memberships, personal tokens; and what was done there."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from typing import Self

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone


class User(AbstractUser):
    """An account. Ours from the start, because Django cannot change it later."""


class WorkspaceQuerySet(models.QuerySet["Workspace"]):
    def for_user(self, user: User) -> Self:
        return self.filter(memberships__user=user)


class Workspace(models.Model):
    """A team's room: every run, ladder, endpoint and collection belongs to exactly one."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    last_run_number = models.PositiveIntegerField(default=0)
    blind_review = models.BooleanField(default=True)
    """Reviewers see verdicts, tiers and others' labels only after they saved their own."""
    created_at = models.DateTimeField(auto_now_add=True)
    members: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="workspaces"
    )

    objects = WorkspaceQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    MEMBER = "member", "Member"
    REVIEWER = "reviewer", "Reviewer"
    VIEWER = "viewer", "Viewer"


class Membership(models.Model):
    """A user's role in a workspace. Viewers read; reviewers also label; members also run; owners
    also edit endpoints and decide who is in."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="one_role_per_workspace")
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.workspace}"

    @property
    def may_run(self) -> bool:
        return self.role in (Role.OWNER, Role.MEMBER)

    @property
    def may_review(self) -> bool:
        return self.role in (Role.OWNER, Role.MEMBER, Role.REVIEWER)

    @property
    def may_edit_endpoints(self) -> bool:
        return self.role == Role.OWNER


class TokenQuerySet(models.QuerySet["Token"]):
    def issue(self, user: User, name: str) -> tuple[Token, str]:
        """Store a new token and return it with its secret, which is shown this once."""
        secret = "tandem_" + secrets.token_urlsafe(32)
        token = self.create(user=user, name=name, prefix=secret[:14], digest=Token.hash(secret))
        return token, secret

    def find(self, secret: str) -> Token | None:
        """Return the live token with this secret."""
        return (
            self.filter(digest=Token.hash(secret), revoked_at=None, user__is_active=True)
            .select_related("user")
            .first()
        )


class Token(models.Model):
    """A personal token: acts as its user over REST. Only its SHA-256 is stored (it is 256 bits of
    randomness, so a slow hash would add nothing)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=20)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"

    @staticmethod
    def hash(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def issue(self, **fields: object) -> tuple[Invitation, str]:
        """Store a new invitation and return it with its secret, which is shown this once."""
        secret = secrets.token_urlsafe(32)
        return self.create(digest=Token.hash(secret), **fields), secret

    def pending(self) -> Self:
        """Only those that could be accepted now; whoever made it must still be an owner."""
        return self.filter(
            accepted_at=None,
            revoked_at=None,
            expires_at__gt=timezone.now(),
            created_by__is_active=True,
            created_by__memberships__workspace=models.F("workspace"),
            created_by__memberships__role=Role.OWNER,
        )

    def find(self, secret: str) -> Invitation | None:
        """Return the pending invitation with this secret."""
        found = self.pending().filter(digest=Token.hash(secret))
        return found.select_related("workspace", "created_by").first()


class Invitation(models.Model):
    """A link that lets one person into one workspace with one role, once. Only its SHA-256 is stored,
    as of a token."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=10, choices=Role.choices)
    digest = models.CharField(max_length=64, unique=True)
    only_for = models.CharField(max_length=150, blank=True)
    """User name or e-mail address that the account must have; "" = whoever has the link."""
    attempts = models.PositiveSmallIntegerField(default=0)
    """Refused attempts to accept it: too many end it, so that it is no way to guess names."""
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    objects = InvitationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.get_role_display()} of {self.workspace}"


class AuditEntry(models.Model):
    """One thing somebody did in a workspace. Rows are only ever inserted (a trigger refuses anything
    else); another trigger on ``teams_workspace`` removes them together with their workspace.

    A migration that rebuilds ``teams_workspace`` on SQLite loses that trigger: make it again.
    """

    workspace = models.ForeignKey(
        Workspace, on_delete=models.DO_NOTHING, related_name="audit", db_index=False
    )
    at = models.DateTimeField()
    actor = models.ForeignKey(
        User,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    """Kept when the account is deleted; None = the operator, on the command line."""
    actor_name = models.CharField(max_length=150, blank=True)
    action = models.CharField(max_length=40)
    """A value of ``audit.Action``; kept as text, so that a new one needs no migration."""
    target = models.CharField(max_length=200, blank=True)
    url = models.CharField(max_length=300, blank=True)
    detail = models.JSONField(default=dict)
    words = models.TextField(blank=True)
    """What the search looks at: workspace, action, actor, target and detail in one line."""

    class Meta:
        indexes = [
            # the audit page, newest first, and its filters by action and by person
            models.Index(fields=["workspace", "at", "id"], name="audit_list"),
            models.Index(fields=["workspace", "action", "at", "id"], name="audit_by_action"),
            models.Index(fields=["workspace", "actor_name", "at", "id"], name="audit_by_person"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.target}"
