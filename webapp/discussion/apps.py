from __future__ import annotations

from django.apps import AppConfig


class DiscussionConfig(AppConfig):
    name = "webapp.discussion"
    label = "discussion"
    default_auto_field = "django.db.models.BigAutoField"
