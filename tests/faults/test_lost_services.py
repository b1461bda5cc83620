"""Redis flushed and killed, PostgreSQL crashed, messages doubled: runs go on, logs stay whole."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import copy
from tests.faults.stack import Stack, wait_for_death
from tests.services import PostgresServer, RedisServer

pytestmark = [pytest.mark.faults, pytest.mark.services, pytest.mark.timeout(240)]


@pytest.fixture
def redis_of_my_own() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def with_redis(prepared: Stack, tmp_path: Path, redis_of_my_own: RedisServer) -> Iterator[Stack]:
    """Redis and SQLite; nobody works yet."""
    stack = copy(prepared, tmp_path, REDIS_URL=redis_of_my_own.url)
    yield stack
    stack.stop()


@pytest.fixture
def with_celery(with_redis: Stack) -> Stack:
    """Redis, a Celery worker and the scheduler, on SQLite."""
    with_redis.celery_worker()
    with_redis.celery_beat()
    return with_redis


def test_ten_copies_of_each_message_run_it_once(with_celery: Stack) -> None:
    with_celery.inside("submit", "4", "10")
    with_celery.inside("wait", "60")
    assert "4 runs, 0 take-overs" in with_celery.inside("check", "4")


def test_a_flushed_redis_loses_no_run(with_celery: Stack, redis_of_my_own: RedisServer) -> None:
    with_celery.inside("submit", "5")
    for _ in range(5):
        redis_of_my_own.flush()
        time.sleep(0.7)
    with_celery.inside("wait", "60")
    with_celery.inside("check", "5")


def test_messages_lost_again_and_again_lose_no_run(
    with_redis: Stack, redis_of_my_own: RedisServer
) -> None:
    with_redis.inside("submit", "3")
    for _ in range(3):
        redis_of_my_own.flush()
        time.sleep(2)  # what a message is waited for, see Stack
        assert with_redis.inside("reap") == "3 woken\n"
    redis_of_my_own.flush()
    with_redis.celery_worker()
    with_redis.celery_beat()
    with_redis.inside("wait", "60")
    with_redis.inside("check", "3")


def test_a_killed_redis_loses_no_run(with_celery: Stack, redis_of_my_own: RedisServer) -> None:
    with_celery.inside("submit", "3")
    redis_of_my_own.kill()
    with_celery.inside("submit", "3")  # the broker is down: accepted all the same
    redis_of_my_own.start()
    with_celery.inside("wait", "90")
    with_celery.inside("check", "6")


def test_a_worker_stopped_by_sigterm_hands_over(with_celery: Stack) -> None:
    with_celery.inside("submit", "4")
    second = with_celery.celery_worker()
    for _ in range(2):
        time.sleep(2)
        second.send_signal(signal.SIGTERM)
        wait_for_death(second, 15)
        second = with_celery.celery_worker()
    with_celery.inside("wait", "60")
    with_celery.inside("check", "4")


def test_a_killed_celery_worker_is_replaced(with_celery: Stack) -> None:
    victim = with_celery.celery_worker()
    with_celery.inside("submit", "6")
    time.sleep(1.5)
    victim.kill()
    with_celery.inside("wait", "60")
    with_celery.inside("check", "6")


def test_a_run_whose_celery_worker_is_killed_twice_goes_on(with_redis: Stack) -> None:
    with_redis.celery_beat()
    with_redis.inside("submit", "1")
    for _ in range(2):
        wait_for_death(with_redis.celery_worker(FAULT="before_model_call:1"), 60)
    with_redis.celery_worker()
    with_redis.inside("wait", "60")
    assert "1 runs, 2 take-overs" in with_redis.inside("check", "1")


@pytest.fixture
def on_postgres(prepared: Stack, tmp_path: Path) -> Iterator[tuple[Stack, PostgresServer]]:
    server = PostgresServer()
    server.start()
    stack = Stack(tmp_path, model_port=prepared.model_port, DATABASE_URL=server.new_database())
    stack.prepare()
    yield stack, server
    stack.stop()
    server.remove()


def test_a_crashing_postgresql_loses_and_doubles_nothing(
    on_postgres: tuple[Stack, PostgresServer],
) -> None:
    stack, server = on_postgres
    stack.env["TANDEM_LEASE_S"] = "6"
    stack.inside("submit", "8")
    workers = [stack.plain_worker(), stack.plain_worker()]
    chance = random.Random(5)
    for _ in range(4):
        time.sleep(chance.uniform(0.8, 2.0))
        server.stop(immediate=True)
        time.sleep(chance.uniform(0.0, 1.0))
        server.start()
    wait_for_death(stack.plain_worker(), 90)
    for process in workers:
        wait_for_death(process, 60)
    stack.inside("check", "8")
