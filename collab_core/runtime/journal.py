"""Where a run's events are kept: the protocol and a file of JSON lines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from collab_core.errors import InvalidInput
from collab_core.events import AnyEvent, Recorded, decode, encode


class Journal(Protocol):
    """The log of one run, open for one writer."""

    @property
    def history(self) -> Sequence[Recorded]:
        """What was stored when the run was opened, in order; not changed by ``append``."""
        ...

    async def append(self, events: Sequence[AnyEvent]) -> None:
        """Store the events in order, all or none; they are durable when this returns.

        Raises:
            LeaseLost: another worker owns the run; nothing was stored.
        """
        ...


class MemoryJournal:
    """Keeps the log in memory: for tests, benchmarks and throw-away runs."""

    def __init__(self, history: Sequence[Recorded] = ()) -> None:
        self.history = tuple(history)
        self.records: list[Recorded] = list(history)

    async def append(self, events: Sequence[AnyEvent]) -> None:
        for event in events:
            self.records.append(Recorded(seq=len(self.records), at=time.time(), event=event))


class FileJournal:
    """Keeps the log as JSON lines; every batch is flushed to the disk before ``append`` returns.

    ``synced=False`` leaves that to the system: a killed process loses nothing, a power cut may.
    A torn last line, left by a crash in mid-write, is dropped when the file is opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_event: Callable[[Recorded], None] | None = None,
        synced: bool = True,
    ) -> None:
        self.history: tuple[Recorded, ...] = tuple(self._open(path))
        self._next_seq = len(self.history)
        self._on_event = on_event
        self._synced = synced
        self._file = path.open("ab", buffering=0)

    async def append(self, events: Sequence[AnyEvent]) -> None:
        now = time.time()
        records = [
            Recorded(seq=self._next_seq + i, at=now, event=event) for i, event in enumerate(events)
        ]
        self._write(b"".join(encode(record) + b"\n" for record in records))
        self._next_seq += len(records)
        if self._on_event is not None:
            for record in records:
                self._on_event(record)

    def close(self) -> None:
        self._file.close()

    def _write(self, batch: bytes) -> None:
        file = self._file.fileno()
        size, rest = os.fstat(file).st_size, memoryview(batch)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            if self._synced:
                os.fsync(file)
        except OSError:
            # half a line of a full disk must not stand before the next batch
            os.ftruncate(file, size)
            raise

    @staticmethod
    def _open(path: Path) -> list[Recorded]:
        if not path.exists():
            return []
        whole, _, torn = path.read_bytes().rpartition(b"\n")
        if torn:
            with path.open("r+b") as file:
                file.truncate(len(whole) + 1 if whole else 0)
        return read_log(whole, name=str(path))


def read_log(lines: bytes, *, name: str) -> list[Recorded]:
    """Decode JSON lines and check that ``seq`` counts 0, 1, 2 …

    Raises:
        InvalidInput: a line is not an event, or one is missing.
    """
    records: list[Recorded] = []
    for number, line in enumerate(lines.splitlines()):
        try:
            record = decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(f"{name}, line {number + 1} is not an event: {error}") from error
        if record.seq != number:
            raise InvalidInput(f"{name}, line {number + 1} has seq {record.seq}, not {number}.")
        records.append(record)
    return records
