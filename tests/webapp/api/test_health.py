"""What probes and alarms are told."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from tests.services import free_port
from webapp.api.health import CANARY_AGE_S
from webapp.runs.tasks import CANARY, canary

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_canary() -> None:
    cache.delete(CANARY)


def test_the_process_is_healthy_without_a_worker(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_worker_that_took_a_task_lately_makes_it_ready(client: Client) -> None:
    canary()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


def test_without_a_worker_it_is_not_ready_and_says_so(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "No worker" in answer.json()["problems"]["worker"]


def test_a_worker_that_stopped_taking_tasks_is_noticed(client: Client) -> None:
    cache.set(CANARY, time.time() - CANARY_AGE_S - 1)
    assert client.get("/readyz").status_code == 503


def test_a_redis_that_is_gone_is_named(client: Client, settings: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
        }
    }
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["problems"] == {"broker": "Redis does not answer."}
