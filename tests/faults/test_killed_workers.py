"""kill -9 at every labelled point, at random, and again and again."""

from __future__ import annotations

import os
import random
import re
import signal
import time

import pytest

from tests.faults.stack import ROOT, Stack, wait_for_death
from webapp.runs.faults import POINTS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
KILLS = int(os.environ.get("TANDEM_CHAOS_KILLS", "10"))
SEED = int(os.environ.get("TANDEM_CHAOS_SEED", "1"))


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_a_point_loses_and_doubles_nothing(stack: Stack, point: str) -> None:
    nth = 2 if point in ("after_claim", "after_terminal") else 9
    stack.inside("submit", "4")
    victim = stack.plain_worker(FAULT=f"{point}:{nth}")
    wait_for_death(victim)
    assert victim.returncode == -signal.SIGKILL, stack.stderr()
    wait_for_death(stack.plain_worker())
    assert "4 runs" in stack.inside("check", "4")


def test_every_point_in_the_code_is_walked() -> None:
    used = {
        name
        for path in (ROOT / "webapp").rglob("*.py")
        for name in re.findall(r'\bpoint\("(\w+)"\)', path.read_text())
    }
    assert used == set(POINTS)


def test_random_kills_under_load(stack: Stack) -> None:
    print(f"TANDEM_CHAOS_SEED={SEED} TANDEM_CHAOS_KILLS={KILLS}")
    chance = random.Random(SEED)
    stack.inside("submit", "8")
    workers = [stack.plain_worker(), stack.plain_worker()]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.8, 2.2))
        victim = chance.randrange(2)
        if workers[victim].poll() is None:
            workers[victim].kill()
        workers[victim] = stack.plain_worker()
    stack.inside("wait", "90")
    stack.inside("check", "8", "possible")


def test_a_frozen_worker_wakes_up_and_stores_nothing(stack: Stack) -> None:
    stack.inside("submit", "3")
    frozen = stack.plain_worker()
    time.sleep(2.0)
    os.kill(frozen.pid, signal.SIGSTOP)
    time.sleep(2.5)  # past its lease
    other = stack.plain_worker()
    time.sleep(1.5)
    os.kill(frozen.pid, signal.SIGCONT)
    wait_for_death(other)
    wait_for_death(frozen)
    stack.inside("check", "3")


def test_a_run_that_always_kills_its_worker_ends_as_poison(stack: Stack) -> None:
    stack.inside("submit", "1")
    for _ in range(4):
        victim = stack.plain_worker(FAULT="before_model_call:1")
        wait_for_death(victim)
    wait_for_death(stack.plain_worker())
    assert "poison" in stack.inside("check", "1", "possible")


@pytest.mark.parametrize("hours", [1, -1])
def test_a_database_clock_that_jumps_doubles_and_stalls_nothing(stack: Stack, hours: int) -> None:
    """Leases seem expired, or to last for an hour, while two workers run and one dies."""
    stack.inside("submit", "4")
    dying, other = stack.plain_worker(), stack.plain_worker()
    time.sleep(2.0)
    stack.inside("jump", str(hours))
    dying.kill()
    wait_for_death(other)
    stack.inside("check", "4")
