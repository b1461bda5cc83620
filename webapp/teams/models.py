"""Who may see what: users, workspaces, memberships, personal tokens."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from typing import Self

from django.contrib.auth.models import AbstractUser
from django.db import models


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
    VIEWER = "viewer", "Viewer"


class Membership(models.Model):
    """A user's role in a workspace. Viewers read; members run; owners also edit endpoints."""

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
