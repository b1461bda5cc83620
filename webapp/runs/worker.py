"""A worker process: one event loop for all its runs, one committer, one client of the models.

Celery's pool threads only wait here. Everything that concerns a lease is in ``_drive`` and
``_watch``: claimed, kept, checked against a monotonic deadline, handed back when the process stops.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import Error as DatabaseError

from collab_core.backends.base import Backend, DeltaSink, ModelReply, ModelRequest
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.errors import LeaseLost, TandemError
from collab_core.events import AnyEvent, ModelDelta, RunFailed
from collab_core.runtime.engine import RunControl, execute
from collab_core.tools.registry import Catalogue, RunTools
from webapp.runs import fold, leases, specs
from webapp.runs.faults import point
from webapp.runs.journal import Committer, DatabaseJournal
from webapp.runs.publisher import Coalescer, Publisher, publisher
from webapp.runs.threads import query

logger = logging.getLogger(__name__)
T = TypeVar("T")
POLL_S = 0.4
"""How often a worker looks for stop requests, lost leases and watchers: one query."""
DB_THREADS = 2


class _FaultyAt:
    """The process's backend with the two fault points around every call."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner

    async def complete(
        self, request: ModelRequest, on_delta: DeltaSink | None = None
    ) -> ModelReply:
        point("before_model_call")
        reply = await self._inner.complete(request, on_delta)
        point("after_model_call")
        return reply

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(slots=True)
class Active:
    """A run this worker owns. ``deadline`` is monotonic: past it the lease is not ours for sure."""

    claim: leases.Claim
    task: asyncio.Task[Any]
    deadline: float
    control: RunControl = field(default_factory=RunControl)
    watched: bool = False
    lost: bool = False

    def extend(self, since: float) -> None:
        """A commit or heart-beat that began at ``since`` has renewed the lease."""
        self.deadline = max(self.deadline, since + leases.lease_s() - leases.margin_s())


class Worker:
    """Runs many runs at once; one a process (:func:`worker`)."""

    def __init__(
        self,
        *,
        backend: Callable[[], Backend] = OpenAICompatible,
        doorbell: Publisher | None = None,
    ) -> None:
        self.name = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(3)}"
        self._make_backend = backend
        self._doorbell = doorbell or publisher()
        self._committer = Committer(self._doorbell)
        self._database = ThreadPoolExecutor(DB_THREADS, thread_name_prefix="worker-db")
        self._active: dict[int, Active] = {}
        self._stopping = False
        self._catalogue = Catalogue(settings.TOOLS)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="worker-loop", daemon=True)
        self._started = threading.Event()

    # --- from any thread ------------------------------------------------------------------------
    def start(self) -> None:
        self._committer.start()
        self._thread.start()
        self._started.wait()

    def run(self, run_id: int) -> None:
        """Do one run to its end, or until it is lost or handed back; blocks."""
        if not self._stopping:
            self.submit(run_id).result()

    def submit(self, run_id: int) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(self._drive(run_id), self._loop)

    def stop(self) -> None:
        """Hand every run back and end the threads; returns when that is done. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        asyncio.run_coroutine_threadsafe(self._hand_back(), self._loop).result(timeout=20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._committer.stop()
        self._database.shutdown(wait=True)

    # --- on the worker's loop -------------------------------------------------------------------
    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._backend = _FaultyAt(self._make_backend())
        self._watcher = self._loop.create_task(self._watch())
        self._loop.call_soon(self._started.set)
        self._loop.run_forever()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _hand_back(self) -> None:
        self._watcher.cancel()
        runs = [active.task for active in self._active.values()]
        for task in runs:
            task.cancel()
        await asyncio.gather(self._watcher, *runs, return_exceptions=True)
        await self._backend.aclose()
        await self._catalogue.aclose()

    async def _db(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        call = partial(query, function, *args, **kwargs)
        return await self._loop.run_in_executor(self._database, call)

    async def _drive(self, run_id: int) -> None:
        if self._stopping or run_id in self._active:
            return
        since = time.monotonic()
        claim = await self._db(leases.claim, run_id, self.name)
        if claim is None:
            logger.debug("run %s is not to be had", run_id)
            return
        point("after_claim")
        task = asyncio.current_task()
        assert task is not None
        active = Active(claim, task, since + leases.lease_s() - leases.margin_s())
        self._active[run_id] = active
        try:
            await self._execute(active)
        except LeaseLost:
            logger.warning("run %s: another worker owns it now", run_id)
        except asyncio.CancelledError:
            if not active.lost:
                await self._release(active)
        finally:
            self._active.pop(run_id, None)
        point("after_terminal")

    async def _release(self, active: Active) -> None:
        try:
            await self._db(leases.release, active.claim.run.pk, active.claim.fence)
        except DatabaseError as error:
            logger.warning("run %s not handed back, it will expire: %s", active.claim.run.pk, error)

    async def _execute(self, active: Active) -> None:
        claim = active.claim
        journal = DatabaseJournal(
            claim, self._committer, extend=active.extend, deadline=lambda: active.deadline
        )
        if claim.run.cancel_requested_at is not None:
            active.control.request_cancel(claim.run.cancelled_by)
        if claim.recoveries > leases.MAX_RECOVERIES:
            await journal.append([_poisoned(claim)])
            return
        try:
            spec = await self._db(specs.run_spec, claim.run)
            built = await self._tools(active)
            await execute(
                spec,
                journal,
                backend=self._backend,
                tools=built.tools,
                sandbox=built.sandbox,
                resources=specs.resources(claim.run.workspace_id),
                worker=self.name,
                fence=claim.fence,
                control=active.control,
                on_delta=self._sink(active),
            )
        except (LeaseLost, asyncio.CancelledError):
            raise
        except TandemError as error:
            # the run could not begin; once it has, the engine turns errors into its end
            await journal.append([_unable(claim, error.code, error.message, error.hint)])
        except Exception as error:
            logger.exception("run %s: the worker broke", claim.run.pk)
            message = f"The worker broke: {type(error).__name__}."
            hint = "This is a fault of Tandem; the worker's log has the traceback."
            await journal.append([_unable(claim, "internal_error", message, hint)])

    async def _tools(self, active: Active) -> RunTools:
        """Build the run's tools; none for a run that is stopped meanwhile, which then ends at once.

        A server that starts slowly may take long.
        """
        run = active.claim.run
        path = specs.collection_path(run.collection) if run.collection else None
        building = asyncio.ensure_future(self._catalogue.build(run.tools, path))
        active.control.watch(building)
        try:
            return await building
        except asyncio.CancelledError:
            if active.control.cancelled_by is None or not building.cancelled():
                building.cancel()
                raise
            return RunTools(())

    def _sink(self, active: Active) -> Callable[[ModelDelta], None]:
        run_id = active.claim.run.pk
        coalescer = Coalescer(
            partial(self._doorbell.ring_delta, run_id),
            lambda: active.watched,
            self._loop.call_later,
        )
        return coalescer.add

    async def _watch(self) -> None:
        """Renew the leases, obey stop requests, give up what is lost, notice who is watched."""
        renewed = 0.0
        while True:
            await asyncio.sleep(POLL_S)
            if not self._active:
                continue
            try:
                if time.monotonic() - renewed > leases.lease_s() / 4:
                    renewed = await self._renew()
                await self._obey(await self._db(leases.owned, self.name))
            except DatabaseError as error:
                logger.warning("the database does not answer: %s", str(error).strip())
            self._give_up_expired()
            watched = await self._loop.run_in_executor(
                None, self._doorbell.watched, list(self._active)
            )
            for run_id, active in self._active.items():
                active.watched = run_id in watched

    async def _renew(self) -> float:
        since = time.monotonic()
        known = list(self._active.values())
        await self._db(leases.renew, self.name)
        owned = await self._db(leases.owned, self.name)
        for active in known:
            mine = owned.get(active.claim.run.pk)
            if mine is not None and mine.fence == active.claim.fence:
                active.extend(since)
        return since

    async def _obey(self, owned: dict[int, leases.Owned]) -> None:
        for run_id, active in list(self._active.items()):
            row = owned.get(run_id)
            if row is not None and row.fence == active.claim.fence and row.cancel_requested:
                active.control.request_cancel(row.cancelled_by)

    def _give_up_expired(self) -> None:
        now = time.monotonic()
        for active in self._active.values():
            if now > active.deadline and not active.lost:
                logger.warning("run %s: the lease ran out, stopping", active.claim.run.pk)
                active.lost = True
                active.task.cancel()


def _poisoned(claim: leases.Claim) -> AnyEvent:
    return _unable(
        claim,
        "poison",
        f"The run was taken over {claim.recoveries} times without finishing another step: it seems"
        " to kill its workers.",
        "Look at the worker's log (memory, crashes), then re-run it.",
    )


def _unable(claim: leases.Claim, code: str, message: str, hint: str) -> AnyEvent:
    totals = fold.totals(claim.history)
    return RunFailed(
        code=code, message=message, hint=hint, where=f"step {totals.steps + 1}", totals=totals
    )


_worker: Worker | None = None
_worker_lock = threading.Lock()


def worker() -> Worker:
    """Return this process's worker, started on first use."""
    global _worker  # noqa: PLW0603 - one a process, made when the first task arrives
    with _worker_lock:
        if _worker is None:
            _worker = Worker()
            _worker.start()
        return _worker


def stop_worker() -> None:
    """Hand back what this process runs; later tasks do nothing."""
    with _worker_lock:
        if _worker is not None:
            _worker.stop()
