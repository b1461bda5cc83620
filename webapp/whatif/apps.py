from __future__ import annotations

from django.apps import AppConfig


class WhatIfConfig(AppConfig):
    name = "webapp.whatif"
    label = "whatif"
    default_auto_field = "django.db.models.BigAutoField"
