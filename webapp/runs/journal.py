"""The only writer of logs: events, their sequence numbers and the cached columns in one transaction.

A worker process has one ``Committer``: a thread with one connection that stores whatever the runs of
the process have appended meanwhile in one transaction (group commit). Each run's part is guarded by
its fence; a stale one is left out and told ``LeaseLost``, the others are stored.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import psycopg
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection

from collab_core.errors import LeaseLost
from collab_core.events import AnyEvent, Recorded, encode_body, event_type, frame
from webapp.runs import fold, leases
from webapp.runs.faults import point

logger = logging.getLogger(__name__)
MAX_BATCH = 128
RETRY_S = (0.05, 0.5)
"""Bounds of the random wait between tries while the database does not answer."""

_NOW = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f','now','{ttl:+.3f} seconds')",
    "postgresql": "statement_timestamp() + interval '{ttl:.3f} seconds'",
}
_BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}
_MARK = {"sqlite": "?", "postgresql": "%s"}
_GUARD = " WHERE id=? AND fence=? AND next_seq=? AND status='running'"
_INSERT = "INSERT INTO runs_runevent (run_id, seq, at, type, step, body) VALUES (?,?,?,?,?,?)"


class Statements:
    """The three statements of a commit, in the words of the database in use."""

    def __init__(self, vendor: str, ttl_s: float) -> None:
        until = _NOW[vendor].format(ttl=ttl_s)
        columns = ", ".join(f"{name}=?" for name in fold.COLUMNS)
        self.begin = _BEGIN[vendor]
        self.extend = self._words(vendor, f"next_seq=?, lease_until={until}")
        self.store = self._words(
            vendor,
            f"next_seq=?, lease_until={until}, {columns},"
            " recoveries=CASE WHEN ?=1 THEN 0 ELSE recoveries END",
        )
        self.insert = _INSERT.replace("?", _MARK[vendor])
        self.place = "SELECT fence, next_seq FROM runs_run WHERE id=?".replace("?", _MARK[vendor])

    @staticmethod
    def _words(vendor: str, assignments: str) -> str:
        sql = f"UPDATE runs_run SET {assignments}{_GUARD}"  # noqa: S608 - constants only
        return sql.replace("?", _MARK[vendor]) if vendor == "sqlite" else _escape(sql)


def _escape(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


class Doorbell(Protocol):
    """Told of frames that are durable now; never raises, never blocks."""

    def ring(self, run_id: int, frames: Sequence[tuple[int, bytes]]) -> None: ...


@dataclass(slots=True)
class Append:
    """One run's part of a transaction."""

    run_id: int
    fence: int
    first_seq: int
    rows: list[tuple[int, int, float, str, int, str]]
    columns: list[Any] | None
    """Values of ``fold.COLUMNS``; None if no column changed."""
    step_stored: bool
    deadline: Callable[[], float]
    """Monotonic time after which the lease is not ours for sure."""
    done: Callable[[float | BaseException], Any]
    """Called with the monotonic start of the transaction that stored it, or with the error."""
    in_doubt: bool = field(default=False)
    """An earlier try broke off; it may have been committed all the same."""

    @property
    def next_seq(self) -> int:
        return self.first_seq + len(self.rows)


class Committer:
    """A thread that stores appends in the order they come, many at a time."""

    def __init__(self, doorbell: Doorbell, *, name: str = "committer") -> None:
        self._queue: queue.SimpleQueue[Append | None] = queue.SimpleQueue()
        self._doorbell = doorbell
        self._statements: Statements | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Store what is queued, then end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=20)

    def put(self, append: Append) -> None:
        self._queue.put(append)

    def _work(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                batch, ended = self._drain(first)
                self.store(batch)
                if ended:
                    return
        finally:
            connection.close()

    def _drain(self, first: Append) -> tuple[list[Append], bool]:
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

    def store(self, batch: Sequence[Append]) -> None:
        """Store every append, or tell it why not; while the database is away, try again until the
        leases run out."""
        while batch := self._drop_expired(batch):
            started = time.monotonic()
            try:
                stored, lost = self._transaction(batch)
            except (OperationalError, InterfaceError) as error:
                logger.warning("commit failed, trying again: %s", str(error).strip())
                _forget_connection()
                for append in batch:
                    append.in_doubt = True
                time.sleep(random.uniform(*RETRY_S))
                continue
            except (DatabaseError, ValueError) as error:
                _forget_connection()
                self._one_by_one(batch, error)
                return
            point("after_commit")
            self._tell(stored, lost, started)
            return

    def _one_by_one(self, batch: Sequence[Append], error: Exception) -> None:
        """One append cannot be stored: let it not take its neighbours along."""
        if len(batch) == 1:
            batch[0].done(error)
            return
        for append in batch:
            self.store([append])

    @staticmethod
    def _drop_expired(batch: Sequence[Append]) -> list[Append]:
        now, alive = time.monotonic(), []
        for append in batch:
            if now < append.deadline():
                alive.append(append)
            else:
                append.done(LeaseLost("The lease ran out before the database answered."))
        return alive

    def _transaction(self, batch: Sequence[Append]) -> tuple[list[Append], list[Append]]:
        connection.ensure_connection()
        raw: Any = connection.connection
        if self._statements is None:
            self._statements = Statements(connection.vendor, leases.lease_s())
        stored: list[Append] = []
        lost: list[Append] = []
        with connection.wrap_database_errors:
            cursor = _cursor(raw)
            point("before_commit")
            cursor.execute(self._statements.begin)
            try:
                rows: list[tuple[Any, ...]] = []
                # always in one order: whoever else locks several runs (leases.renew) does so too
                for append in sorted(batch, key=lambda append: append.run_id):
                    if self._guarded_update(cursor, append):
                        rows += append.rows
                        stored.append(append)
                    elif append.in_doubt and self._already_there(cursor, append):
                        stored.append(append)
                    else:
                        lost.append(append)
                if rows:
                    cursor.executemany(self._statements.insert, rows)
                point("in_transaction")
                cursor.execute("COMMIT")
            except BaseException:
                _roll_back(cursor)
                raise
        return stored, lost

    def _guarded_update(self, cursor: Any, append: Append) -> bool:
        assert self._statements is not None
        guard = (append.run_id, append.fence, append.first_seq)
        if append.columns is None:
            cursor.execute(self._statements.extend, (append.next_seq, *guard))
        else:
            values = (append.next_seq, *append.columns, int(append.step_stored), *guard)
            cursor.execute(self._statements.store, values)
        return bool(cursor.rowcount == 1)

    def _already_there(self, cursor: Any, append: Append) -> bool:
        """Whether an earlier try was committed although its answer never came: nobody else writes
        under our fence."""
        assert self._statements is not None
        cursor.execute(self._statements.place, (append.run_id,))
        row = cursor.fetchone()
        return row is not None and tuple(row) == (append.fence, append.next_seq)

    def _tell(self, stored: list[Append], lost: list[Append], started: float) -> None:
        for append in stored:
            frames = [
                (seq, frame(seq, at, body.encode())) for _, seq, at, _, _, body in append.rows
            ]
            self._doorbell.ring(append.run_id, frames)
            append.done(started)
        for append in lost:
            append.done(LeaseLost("Another worker owns this run now."))


def _cursor(raw: Any) -> Any:
    """Return a plain cursor; psycopg's own prepares repeated statements, Django's never does."""
    return psycopg.Cursor(raw) if isinstance(raw, psycopg.Connection) else raw.cursor()


def _roll_back(cursor: Any) -> None:
    """End the transaction; on a broken connection there is none left, which is as good."""
    try:
        cursor.execute("ROLLBACK")
    except Exception as error:  # noqa: BLE001 - the first error is the one that counts
        logger.debug("rollback: %s", error)


def _forget_connection() -> None:
    try:
        connection.close()
    except DatabaseError as error:
        logger.debug("closing a broken connection: %s", error)
        connection.connection = None


class DatabaseJournal:
    """The log of one run as its owner sees it: ``collab_core.runtime``'s ``Journal``."""

    def __init__(
        self,
        claim: leases.Claim,
        committer: Committer,
        *,
        extend: Callable[[float], None],
        deadline: Callable[[], float],
    ) -> None:
        self.history: Sequence[Recorded] = claim.history
        self._run_id = claim.run.pk
        self._fence = claim.fence
        self._committer = committer
        self._extend = extend
        self._deadline = deadline
        self._folded = fold.fold(claim.history)
        self._next_seq = len(claim.history)
        self._pending: asyncio.Future[None] | None = None

    async def append(self, events: Sequence[AnyEvent]) -> None:
        """Store the events; durable on return.

        A caller that is cancelled while it waits does not undo the append: the next one queues up
        behind it and takes the next free numbers.

        Raises:
            LeaseLost: the run is not ours any more; nothing was stored.
        """
        if not events:
            return
        while self._pending is not None and not self._pending.done():
            await asyncio.wait([self._pending])
        loop = asyncio.get_running_loop()
        future = self._pending = loop.create_future()
        folded, append = self._prepare(
            events, lambda result: loop.call_soon_threadsafe(settle, result)
        )

        def settle(result: float | BaseException) -> None:
            if isinstance(result, BaseException):
                future.set_exception(result)
                future.exception()  # the waiter may be gone
                return
            self._folded, self._next_seq = folded, append.next_seq
            self._extend(result)
            future.set_result(None)

        self._committer.put(append)
        await asyncio.shield(future)

    def _prepare(
        self, events: Sequence[AnyEvent], done: Callable[[float | BaseException], Any]
    ) -> tuple[fold.Folded, Append]:
        at, folded, rows = time.time(), fold.copy(self._folded), []
        for offset, event in enumerate(events):
            folded.add(at, event)
            rows.append(event_row(self._run_id, self._next_seq + offset, at, event))
        changed = folded.version != self._folded.version
        append = Append(
            run_id=self._run_id,
            fence=self._fence,
            first_seq=self._next_seq,
            rows=rows,
            columns=column_values(folded) if changed else None,
            step_stored=folded.steps_stored != self._folded.steps_stored,
            deadline=self._deadline,
            done=done,
        )
        return folded, append


def event_row(
    run_id: int, seq: int, at: float, event: AnyEvent
) -> tuple[int, int, float, str, int, str]:
    """Return the values of one row of ``runs_runevent``."""
    body = encode_body(event).decode()
    return run_id, seq, at, event_type(event), getattr(event, "step", 0), body


def column_values(folded: fold.Folded) -> list[Any]:
    """Return the values of ``fold.COLUMNS`` as the database in use wants them."""
    adapt = _adapter()
    return [
        adapt(value) if name.endswith("_at") else value for name, value in folded.columns().items()
    ]


@cache
def _adapter() -> Callable[[Any], Any]:
    """Return what makes a time storable; looked up once, because ``connection`` is another object in
    every task of an event loop and costs more to make than the whole append."""
    return connection.ops.adapt_datetimefield_value
