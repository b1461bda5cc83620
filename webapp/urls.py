"""Every address of the site; the pages' own are in their apps."""

from __future__ import annotations

from django.urls import include, path

from webapp.api import health, v1
from webapp.runs import json_views

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("api/v1/", v1.urls),
    path("runs/<uuid:uuid>/snapshot.json", json_views.snapshot, name="run-snapshot"),
    path("runs/<uuid:uuid>/steps.json", json_views.steps, name="run-steps"),
    path("runs/<uuid:uuid>/export.jsonl", json_views.export_log, name="run-log"),
    path("runs/<uuid:uuid>/steps.csv", json_views.steps_csv, name="run-csv"),
    path("", include("webapp.runs.urls")),
    path("", include("webapp.compare.urls")),
    path("", include("webapp.strategies.urls")),
    path("", include("webapp.learning.urls")),
    path("", include("webapp.review.urls")),
    path("", include("webapp.discussion.urls")),
    path("", include("webapp.experiments.urls")),
    path("", include("webapp.whatif.urls")),
    path("", include("webapp.tiers.urls")),
    path("", include("webapp.teams.urls")),
]
