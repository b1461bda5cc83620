"""The Django project: a thin shell around the log."""

from __future__ import annotations

from webapp.celery import app as celery_app

__all__ = ["celery_app"]
