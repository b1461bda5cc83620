"""Model endpoints and the ladders built of them."""

from __future__ import annotations

import uuid
from typing import Self
from urllib.parse import urlsplit

from django.db import models

from collab_core.domain import Ladder as CoreLadder
from collab_core.domain import Tier, Timeouts
from webapp.teams.models import User, Workspace


def origin(url: str) -> str:
    """Return scheme://host:port in lower case, with the default port written out."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


class EndpointQuerySet(models.QuerySet["Endpoint"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)

    def live(self) -> Self:
        return self.filter(archived_at=None)


class Endpoint(models.Model):
    """One model at one OpenAI-compatible address.

    ``api_key_env`` names an environment variable, never holds a key. It is bound to ``key_origin``;
    a changed scheme, host or port clears it, so that no edit can carry a key to another server.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="endpoints")
    name = models.CharField(max_length=80)
    base_url = models.CharField(max_length=500)
    model = models.CharField(max_length=200)
    api_key_env = models.CharField(max_length=80, blank=True)
    key_origin = models.CharField(max_length=300, blank=True)
    price_input_usd = models.FloatField(null=True, blank=True)
    price_cached_usd = models.FloatField(null=True, blank=True)
    price_output_usd = models.FloatField(null=True, blank=True)
    context_tokens = models.PositiveIntegerField(default=32_768)
    max_concurrency = models.PositiveIntegerField(default=64)
    connect_timeout_s = models.FloatField(default=5.0)
    first_byte_timeout_s = models.FloatField(default=120.0)
    between_chunks_timeout_s = models.FloatField(default=60.0)
    total_timeout_s = models.FloatField(default=600.0)
    simulated = models.BooleanField(default=False)
    structured_output = models.BooleanField(default=False)
    supports_priority = models.BooleanField(default=False)
    last_check = models.JSONField(null=True, blank=True)
    """What the latest check found: the fields of ``backends.probe.ProbeReport``."""
    checked_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EndpointQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=models.Q(archived_at=None),
                name="endpoint_name_in_workspace",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def usable_key_env(self) -> str:
        """The key's variable, only while it is bound to the address it was entered for."""
        return self.api_key_env if self.key_origin == origin(self.base_url) else ""

    def to_core(self, tier_name: str) -> Tier:
        """Return the tier this endpoint serves under ``tier_name``."""
        return Tier(
            name=tier_name,
            model=self.model,
            base_url=self.base_url,
            endpoint=self.name,
            api_key_env=self.usable_key_env,
            price_input_usd=self.price_input_usd,
            price_cached_usd=self.price_cached_usd,
            price_output_usd=self.price_output_usd,
            context_tokens=self.context_tokens,
            max_concurrency=self.max_concurrency,
            simulated=self.simulated,
            structured_output=self.structured_output,
            supports_priority=self.supports_priority,
            timeouts=Timeouts(
                connect_s=self.connect_timeout_s,
                first_byte_s=self.first_byte_timeout_s,
                between_chunks_s=self.between_chunks_timeout_s,
                total_s=self.total_timeout_s,
            ),
        )


class LadderQuerySet(models.QuerySet["Ladder"]):
    def for_user(self, user: User) -> Self:
        return self.filter(workspace__memberships__user=user)

    def live(self) -> Self:
        return self.filter(archived_at=None)


class Ladder(models.Model):
    """An ordered choice of endpoints, cheapest first."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="ladders")
    name = models.CharField(max_length=80)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = LadderQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=models.Q(archived_at=None),
                name="ladder_name_in_workspace",
            )
        ]

    def __str__(self) -> str:
        return self.name

    def to_core(self) -> CoreLadder:
        """Return the ladder as the engine takes it; one query if rungs are not prefetched."""
        return CoreLadder(
            name=self.name,
            tiers=tuple(rung.endpoint.to_core(rung.tier_name) for rung in self.ordered_rungs()),
        )

    def ordered_rungs(self) -> list[Rung]:
        return sorted(self.rungs.select_related("endpoint").all(), key=lambda rung: rung.position)


class Rung(models.Model):
    """An endpoint's place in a ladder; position 0 is the cheapest tier."""

    ladder = models.ForeignKey(Ladder, on_delete=models.CASCADE, related_name="rungs")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="rungs")
    position = models.PositiveSmallIntegerField()
    tier_name = models.CharField(max_length=30)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["ladder", "position"], name="one_rung_per_position"),
            models.UniqueConstraint(fields=["ladder", "tier_name"], name="one_tier_per_name"),
        ]

    def __str__(self) -> str:
        return f"{self.position}: {self.tier_name} ({self.endpoint})"
