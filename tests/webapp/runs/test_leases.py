from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from tests.webapp.personas import Room
from webapp.runs import leases
from webapp.runs.models import Run, RunEvent


def expire(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(
        enqueued_at=Now() - timedelta(seconds=5), lease_until=Now() - timedelta(seconds=1)
    )


def test_of_two_claimers_one_gets_the_run(room: Room) -> None:
    run = room.submit()
    first, second = leases.claim(run.pk, "a"), leases.claim(run.pk, "b")
    assert first is not None
    assert second is None
    assert (first.fence, first.recoveries, len(first.history)) == (1, 0, 1)


def test_an_expired_lease_is_taken_over_with_a_higher_fence(room: Room) -> None:
    run = room.submit()
    leases.claim(run.pk, "a")
    expire(run)
    taken = leases.claim(run.pk, "b")
    assert taken is not None
    assert (taken.fence, taken.recoveries) == (2, 1)


def test_renewing_extends_only_ones_own(room: Room) -> None:
    run, other = room.submit(), room.submit()
    leases.claim(run.pk, "a")
    leases.claim(other.pk, "b")
    expire(run)
    expire(other)
    assert leases.renew("a") == 1
    assert leases.claim(run.pk, "c") is None
    assert leases.claim(other.pk, "c") is not None


def test_a_run_handed_back_is_not_a_recovery(room: Room) -> None:
    run = room.submit()
    for fence in range(1, 8):
        claim = leases.claim(run.pk, "a")
        assert claim is not None
        assert (claim.fence, claim.recoveries) == (fence, 0)
        assert leases.release(run.pk, claim.fence)


def test_nobody_hands_back_what_is_anothers(room: Room) -> None:
    run = room.submit()
    leases.claim(run.pk, "a")
    expire(run)
    leases.claim(run.pk, "b")
    assert not leases.release(run.pk, 1)


def test_the_reaper_sees_what_nobody_works_on(room: Room) -> None:
    fresh, forgotten, dead, alive = (room.submit() for _ in range(4))
    Run.objects.filter(pk=forgotten.pk).update(enqueued_at=Now() - timedelta(minutes=5))
    leases.claim(dead.pk, "a")
    leases.claim(alive.pk, "a")
    expire(dead)
    found = leases.waiting(requeue_after_s=30)
    assert found == [forgotten.pk, dead.pk]
    assert fresh.pk not in found


def test_of_several_reapers_one_sends_the_message(room: Room) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(enqueued_at=None)
    assert leases.mark_enqueued(run.pk, requeue_after_s=30)
    assert not leases.mark_enqueued(run.pk, requeue_after_s=30)


def test_of_several_reapers_one_wakes_a_worker_for_an_expired_lease(room: Room) -> None:
    run = room.submit()
    leases.claim(run.pk, "a")
    expire(run)
    assert leases.waiting(requeue_after_s=30) == [run.pk]
    assert leases.mark_enqueued(run.pk, requeue_after_s=30)
    assert not leases.mark_enqueued(run.pk, requeue_after_s=30)


def test_nobody_is_woken_for_a_run_that_was_claimed_meanwhile(room: Room) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(enqueued_at=None)
    [seen] = leases.waiting(requeue_after_s=30)
    leases.claim(run.pk, "a")
    assert not leases.mark_enqueued(seen, requeue_after_s=30)


def test_a_message_from_the_future_is_not_waited_for(room: Room) -> None:
    """The database's clock jumped back after the run was submitted."""
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(enqueued_at=Now() + timedelta(hours=1))
    assert leases.waiting(requeue_after_s=30) == [run.pk]
    assert leases.mark_enqueued(run.pk, requeue_after_s=30)
    assert leases.waiting(requeue_after_s=30) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda: RunEvent.objects.update(body="{}"),
        lambda: RunEvent.objects.all().delete(),
    ],
)
def test_the_database_refuses_to_change_a_log(room: Room, change: Callable[[], object]) -> None:
    room.submit()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change()


def test_a_log_goes_with_its_run(room: Room) -> None:
    run = room.submit()
    run.delete()
    assert not RunEvent.objects.exists()


def test_a_workspace_goes_with_all_its_runs(room: Room) -> None:
    room.submit()
    room.ladder.rungs.all().delete()
    room.workspace.delete()
    assert not RunEvent.objects.exists()
