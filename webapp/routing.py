"""The sockets."""

from __future__ import annotations

from django.urls import path

from webapp.experiments.live import ExperimentConsumer
from webapp.runs.consumers import RunConsumer

websocket_urlpatterns = [
    path("ws/runs/<uuid:uuid>/", RunConsumer.as_asgi()),
    path("ws/experiments/<uuid:uuid>/", ExperimentConsumer.as_asgi()),
]
