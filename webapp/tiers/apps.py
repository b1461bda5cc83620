from __future__ import annotations

from django.apps import AppConfig


class TiersConfig(AppConfig):
    name = "webapp.tiers"
    label = "tiers"
    default_auto_field = "django.db.models.BigAutoField"
