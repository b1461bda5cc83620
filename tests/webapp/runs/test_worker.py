from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from collab_core.backends.base import ModelRequest
from collab_core.events import RunFailed, RunResumed
from tests.services import wait_for
from tests.webapp.personas import Room, Script, answer_reply, make_room, step_reply
from tests.webapp.runs import oracle
from webapp.runs import leases, services, tasks
from webapp.runs import worker as worker_module
from webapp.runs.models import Run
from webapp.runs.publisher import LocalPublisher
from webapp.runs.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)
THREE_STEPS = [step_reply(), step_reply(0), answer_reply()]


class Watched(LocalPublisher):
    """Somebody looks at every run."""

    def __init__(self) -> None:
        self.deltas: list[bytes] = []
        self.asked = 0

    def watched(self, run_ids: Any) -> set[int]:
        self.asked += 1
        return set(run_ids)

    def ring_delta(self, run_id: int, text: bytes) -> None:
        self.deltas.append(text)


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start workers on a scripted backend; all are stopped at the end."""
    started: list[Worker] = []

    def make(replies: Sequence[Any] = THREE_STEPS, **options: Any) -> Worker:
        gate = options.pop("gate", None)
        one = Worker(backend=lambda: Script(replies, gate=gate), **options)
        one.start()
        started.append(one)
        return one

    yield make
    for one in started:
        one.stop()


class Hold:
    """A model call that takes until it is let go (or cancelled)."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.closed_by_cancel = threading.Event()

    async def __call__(self, request: ModelRequest, on_delta: Any) -> None:
        self.entered.set()
        try:
            while not self.open.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.closed_by_cancel.set()
            raise


def in_background(worker: Worker, run: Run) -> threading.Thread:
    thread = threading.Thread(target=worker.run, args=(run.pk,))
    thread.start()
    return thread


def test_a_run_is_executed_scored_and_stored(room: Room, start: Callable[..., Worker]) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(gold=["42"])
    start().run(run.pk)
    run.refresh_from_db()
    assert (run.status, run.outcome, run.answer, run.steps) == ("finished", "correct", "42", 3)
    assert run.cost_usd is not None
    assert run.stall_path[1] == "0"
    oracle.check([run])


def test_ten_copies_of_a_message_run_it_once(room: Room, start: Callable[..., Worker]) -> None:
    run = room.submit()
    workers = [start(), start()]
    threads = [in_background(workers[i % 2], run) for i in range(10)]
    for thread in threads:
        thread.join(timeout=20)
    oracle.check([run])


def test_cancelling_in_mid_call_takes_less_than_a_second_and_closes_the_call(
    room: Room, start: Callable[..., Worker]
) -> None:
    hold, run = Hold(), room.submit()
    thread = in_background(start(gate=hold), run)
    assert hold.entered.wait(5)
    services.cancel(run, room.users["bob"])
    thread.join(timeout=5)
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert hold.closed_by_cancel.is_set()
    oracle.check([run])


def test_a_stopping_worker_hands_its_runs_back_and_another_goes_on(
    room: Room, start: Callable[..., Worker]
) -> None:
    hold, run = Hold(), room.submit()
    first = start(gate=hold)
    thread = in_background(first, run)
    assert hold.entered.wait(5)
    first.stop()
    thread.join(timeout=5)
    run.refresh_from_db()
    assert (run.status, run.recoveries) == ("queued", 0)
    start().run(run.pk)
    assert any(isinstance(r.event, RunResumed) for r in leases.read_history(run.pk))
    oracle.check([run])


def test_a_stopped_worker_takes_nothing_new(room: Room, start: Callable[..., Worker]) -> None:
    worker, run = start(), room.submit()
    worker.stop()
    worker.run(run.pk)
    run.refresh_from_db()
    assert run.status == "queued"


def test_a_worker_that_lost_its_lease_stores_nothing_more(
    room: Room, start: Callable[..., Worker]
) -> None:
    hold, run = Hold(), room.submit()
    thread = in_background(start(gate=hold), run)
    assert hold.entered.wait(5)
    Run.objects.filter(pk=run.pk).update(lease_until=Now() - timedelta(seconds=1))
    start().run(run.pk)  # takes over and finishes
    hold.open.set()
    thread.join(timeout=10)
    run.refresh_from_db()
    assert run.status == "finished"
    oracle.check([run])


def test_past_its_deadline_a_run_stops_even_without_a_database(
    room: Room, start: Callable[..., Worker], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TANDEM = settings.TANDEM | {"lease_s": 1.5}
    monkeypatch.setattr(leases, "renew", lambda owner: 0)
    monkeypatch.setattr(leases, "owned", lambda owner: {})
    hold, run = Hold(), room.submit()
    thread = in_background(start(gate=hold), run)
    assert hold.entered.wait(5)
    thread.join(timeout=10)
    assert hold.closed_by_cancel.is_set()
    run.refresh_from_db()
    assert run.status == "running"  # not handed back: it may be another's by now


def test_heartbeats_keep_a_long_call_alive(
    room: Room, start: Callable[..., Worker], settings: Any
) -> None:
    settings.TANDEM = settings.TANDEM | {"lease_s": 1.0}
    hold, run = Hold(), room.submit()
    thread = in_background(start(gate=hold), run)
    assert hold.entered.wait(5)
    time.sleep(2.2)
    assert leases.claim(run.pk, "thief") is None
    hold.open.set()
    thread.join(timeout=10)
    oracle.check([run])


def test_a_run_that_kills_its_workers_is_ended(room: Room, start: Callable[..., Worker]) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(recoveries=leases.MAX_RECOVERIES + 1)
    start().run(run.pk)
    [*_, last] = leases.read_history(run.pk)
    assert isinstance(last.event, RunFailed)
    assert last.event.code == "poison"
    oracle.check([run])


def test_a_gone_endpoint_ends_the_run_with_what_to_do(
    room: Room, start: Callable[..., Worker]
) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(
        tiers=[{"name": "small", "model": "m", "endpoint": "00000000-0000-0000-0000-000000000000"}]
    )
    start().run(run.pk)
    run.refresh_from_db()
    assert run.status == "failed"
    assert "does not exist any more" in run.error_message
    assert run.error_hint


def test_a_fault_of_our_own_ends_the_run_instead_of_the_worker(
    room: Room, start: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(worker_module, "execute", broken)
    run = room.submit()
    start().run(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error_code) == ("failed", "internal_error")


def test_streaming_text_goes_out_while_somebody_watches(
    room: Room, start: Callable[..., Worker]
) -> None:
    async def stream(request: ModelRequest, on_delta: Any) -> None:
        before = bell.asked
        while bell.asked < before + 2:  # the watcher is noticed, with this run
            await asyncio.sleep(0.05)
        for offset in range(100):
            on_delta(0, offset, "Z", "text")
        await asyncio.sleep(0.1)

    bell = Watched()
    start([answer_reply()], gate=stream, doorbell=bell).run(room.submit().pk)
    assert 1 <= len(bell.deltas) <= 4
    assert sum(text.count(b"Z") for text in bell.deltas) == 100


def test_the_reaper_wakes_a_worker_for_a_lost_message(room: Room) -> None:
    run = room.submit()
    Run.objects.filter(pk=run.pk).update(enqueued_at=None)
    assert tasks.reap() == 1
    assert tasks.reap() == 0


@pytest.mark.parametrize("claimed", [False, True])
def test_the_reaper_does_not_tire_of_lost_messages(
    room: Room, settings: Any, claimed: bool
) -> None:
    """However often a message is lost, and also when worker after worker dies with the run."""
    settings.TANDEM = {**settings.TANDEM, "requeue_after_s": 0.005}
    run = room.submit()
    for _ in range(5):
        if claimed:
            assert leases.claim(run.pk, "a worker that dies") is not None
            Run.objects.filter(pk=run.pk).update(lease_until=Now())
        time.sleep(0.02)
        assert tasks.reap() == 1


def test_a_fork_shares_its_steps_and_goes_on(room: Room, start: Callable[..., Worker]) -> None:
    worker, run = start(), room.submit()
    worker.run(run.pk)
    fork = services.fork(
        run,
        room.users["bob"],
        after_step=1,
        strategy="large",
        parameters={},
        ladder=room.ladder,
    )
    assert fork.steps == 1
    worker.run(fork.pk)
    fork.refresh_from_db()
    assert (fork.status, fork.tier_path[1:]) == ("finished", "11")
    oracle.check([fork])


def test_many_runs_share_a_worker(room: Room, start: Callable[..., Worker]) -> None:
    worker = start()
    runs = [room.submit() for _ in range(30)]
    for done in [worker.submit(run.pk) for run in runs]:
        wait_for(done.done, "a run")
    oracle.check(runs)
