"""Personas and the machinery all tests of the web application share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from hypothesis import HealthCheck, settings

from tests.services import PostgresServer, RedisServer
from tests.webapp.personas import Room, make_room

# no test asserts a time: a busy machine is no counter-example
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def room(db: None) -> Room:
    """A workspace with Alice (owner), Bob (member), Rita (reviewer), Vera (viewer); Charlie is a
    stranger."""
    return make_room()


@pytest.fixture
def alice(room: Room) -> Client:
    return room.client("alice")


@pytest.fixture
def bob(room: Room) -> Client:
    return room.client("bob")


@pytest.fixture
def rita(room: Room) -> Client:
    return room.client("rita")


@pytest.fixture
def vera(room: Room) -> Client:
    return room.client("vera")


@pytest.fixture
def charlie(room: Room) -> Client:
    return room.client("charlie")


@pytest.fixture(autouse=True)
def _emptied_runs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the flush after a test with real transactions pass the triggers that guard the logs."""
    marker = request.node.get_closest_marker("django_db")
    real = "transactional_db" in request.fixturenames or (
        marker is not None and marker.kwargs.get("transaction", False)
    )
    if real:
        request.getfixturevalue("transactional_db")
    yield
    if real:
        from webapp.runs.models import Run
        from webapp.teams.models import Workspace
        from webapp.tiers.models import Rung

        Run.objects.all().delete()
        Rung.objects.all().delete()
        Workspace.objects.all().delete()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A real Redis for the whole session; a test that kills it starts it again."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL for the whole session; ask it for a database of your own."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()
