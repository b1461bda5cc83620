from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import pytest
from django.db import OperationalError, connection

from collab_core import events as ev
from collab_core.domain import Totals
from collab_core.errors import LeaseLost
from tests.webapp.personas import Room, make_room
from tests.webapp.runs import oracle
from tests.webapp.runs.test_fold import finished
from webapp.runs import journal as journal_module
from webapp.runs import leases
from webapp.runs.journal import Append, Committer, DatabaseJournal
from webapp.runs.models import Run, RunEvent

pytestmark = pytest.mark.django_db(transaction=True)
END = ev.RunCancelled(by="bob", totals=Totals())


class Bell:
    def __init__(self) -> None:
        self.rung: list[tuple[int, list[int]]] = []

    def ring(self, run_id: int, frames: Sequence[tuple[int, bytes]]) -> None:
        self.rung.append((run_id, [seq for seq, _ in frames]))


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def committer(bell: Bell, transactional_db: None) -> Iterator[Committer]:
    committer = Committer(bell)
    committer.start()
    yield committer
    committer.stop()


def opened(
    run: Run, committer: Committer, *, owner: str = "w", deadline_s: float = 30
) -> DatabaseJournal:
    claim = leases.claim(run.pk, owner)
    assert claim is not None
    end = time.monotonic() + deadline_s
    return DatabaseJournal(claim, committer, extend=lambda _: None, deadline=lambda: end)


def test_appended_events_are_stored_numbered_folded_and_rung(
    room: Room, committer: Committer, bell: Bell
) -> None:
    run = room.submit()
    log = opened(run, committer)

    async def write() -> None:
        await log.append([ev.RunStarted(worker="w", fence=1), finished(1)])
        await log.append([END])

    asyncio.run(write())
    assert bell.rung == [(run.pk, [1, 2]), (run.pk, [3])]
    oracle.check([run])


def test_a_stale_fence_is_refused_and_nothing_is_stored(room: Room, committer: Committer) -> None:
    run = room.submit()
    stale = opened(run, committer)
    Run.objects.filter(pk=run.pk).update(lease_until="2000-01-01T00:00:00Z")
    fresh = opened(run, committer, owner="other")
    with pytest.raises(LeaseLost):
        asyncio.run(stale.append([ev.RunStarted(worker="w", fence=1)]))
    asyncio.run(fresh.append([ev.RunStarted(worker="other", fence=2), END]))
    oracle.check([run])


def test_a_lost_run_does_not_take_its_neighbours_along(room: Room, committer: Committer) -> None:
    runs = [room.submit() for _ in range(20)]
    logs = [opened(run, committer) for run in runs]
    Run.objects.filter(pk=runs[3].pk).update(fence=99)

    async def write() -> list[object]:
        return await asyncio.gather(*(log.append([END]) for log in logs), return_exceptions=True)

    results = asyncio.run(write())
    assert [isinstance(r, LeaseLost) for r in results] == [i == 3 for i in range(20)]
    oracle.check([run for run in runs if run != runs[3]])


def test_appends_of_one_run_keep_their_order_even_if_a_waiter_gives_up(
    room: Room, committer: Committer
) -> None:
    run = room.submit()
    log = opened(run, committer)

    async def write() -> None:
        first = asyncio.create_task(log.append([ev.RunStarted(fence=1)]))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(*(log.append([finished(step)]) for step in range(1, 6)))
        await log.append([END])

    asyncio.run(write())
    assert Run.objects.get(pk=run.pk).next_seq == 8
    oracle.check([run])


def test_a_stored_step_forgives_the_recoveries(room: Room, committer: Committer) -> None:
    run = room.submit()
    log = opened(run, committer)
    Run.objects.filter(pk=run.pk).update(recoveries=3)
    asyncio.run(log.append([ev.RunStarted(fence=1)]))
    assert Run.objects.get(pk=run.pk).recoveries == 3
    asyncio.run(log.append([finished(1)]))
    assert Run.objects.get(pk=run.pk).recoveries == 0


def test_past_its_deadline_a_worker_writes_nothing(room: Room, committer: Committer) -> None:
    run = room.submit()
    log = opened(run, committer, deadline_s=-1)
    with pytest.raises(LeaseLost):
        asyncio.run(log.append([END]))
    assert RunEvent.objects.filter(run=run).count() == 1


class BreaksOff(Committer):
    """A database that stops answering: before the commit, or between it and its reply."""

    def __init__(self, bell: Bell, *, after_commit: bool, times: int) -> None:
        super().__init__(bell)
        self.after_commit, self.times = after_commit, times

    def _transaction(self, batch: Sequence[Append]) -> tuple[list[Append], list[Append]]:
        if self.times == 0:
            return super()._transaction(batch)
        self.times -= 1
        if self.after_commit:
            super()._transaction(batch)
        raise OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("after_commit", [False, True])
def test_an_append_of_unknown_fate_is_stored_exactly_once(
    room: Room, bell: Bell, monkeypatch: pytest.MonkeyPatch, *, after_commit: bool
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_S", (0.0, 0.01))
    run = room.submit()
    shaky = BreaksOff(bell, after_commit=after_commit, times=2)
    shaky.start()
    log = opened(run, shaky)
    asyncio.run(log.append([ev.RunStarted(fence=1), finished(1)]))
    asyncio.run(log.append([END]))
    shaky.stop()
    oracle.check([run])
    assert len(bell.rung) == 2


def test_an_event_the_database_refuses_fails_alone(room: Room, committer: Committer) -> None:
    good, bad = room.submit(), room.submit()
    log, other = opened(good, committer), opened(bad, committer)
    other._next_seq = 0  # a bug: the number is taken
    Run.objects.filter(pk=bad.pk).update(next_seq=0)

    async def write() -> list[object]:
        return await asyncio.gather(log.append([END]), other.append([END]), return_exceptions=True)

    first, second = asyncio.run(write())
    assert first is None
    assert isinstance(second, Exception)
    assert not isinstance(second, LeaseLost)
    oracle.check([good])


def test_the_committer_leaves_no_transaction_open(room: Room, committer: Committer) -> None:
    log = opened(room.submit(), committer)
    asyncio.run(log.append([END]))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE runs_run SET owner = 'x'")
        assert cursor.rowcount == 1
