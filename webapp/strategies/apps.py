from __future__ import annotations

from django.apps import AppConfig


class StrategiesConfig(AppConfig):
    name = "webapp.strategies"
    label = "strategies"
    default_auto_field = "django.db.models.BigAutoField"
