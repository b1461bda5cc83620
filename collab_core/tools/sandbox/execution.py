"""Drives one sandboxed process: hands over the code, reads what it writes, and ends it in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from collab_core.tools.sandbox.base import Ending, Execution, SandboxLimits, SandboxUnavailable
from collab_core.tools.sandbox.bootstrap import READY

logger = logging.getLogger(__name__)

MAX_PARALLEL = 4
"""Executions at a time in one event loop; more wait. It bounds the memory of a busy worker."""
START_TIMEOUT_S = 20.0
REAP_TIMEOUT_S = 5.0
_CHUNK_BYTES = 65_536
_SIGXCPU_CODES = frozenset({-signal.SIGXCPU, 128 + signal.SIGXCPU})
_SIGNAL_BASE = 128
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127) if chr(code) not in "\t\n\r"}
"""Databases refuse the first of them, terminals obey some of the others."""

_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def slot() -> asyncio.Semaphore:
    """Return what an execution holds while it runs."""
    return _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(MAX_PARALLEL))


class Capture:
    """Keeps the beginning and the end of a stream of bytes; memory is bounded."""

    def __init__(self, *, shown_chars: int) -> None:
        # four bytes are the longest UTF-8 character, so a half always has enough characters
        self._keep_bytes = 2 * shown_chars
        self._half = shown_chars // 2
        self._shown_chars = shown_chars
        self._head = bytearray()
        self._tail = bytearray()
        self.total_bytes = 0

    def add(self, chunk: bytes) -> None:
        self.total_bytes += len(chunk)
        room = self._keep_bytes - len(self._head)
        self._head += chunk[: max(room, 0)]
        self._tail += chunk[max(room, 0) :]
        del self._tail[: -self._keep_bytes]

    def text(self) -> tuple[str, bool]:
        """Return the text and whether a part is left out; the cut says how much."""
        head, tail = _decoded(self._head), _decoded(self._tail)
        kept_bytes = len(self._head) + len(self._tail)
        if kept_bytes == self.total_bytes:
            # nothing was thrown away: a character at the seam must not be broken
            whole = _decoded(self._head + self._tail)
            if len(whole) <= self._shown_chars:
                return whole, False
            head, tail = whole[: self._half], whole[self._half :]
        mark = f"\n[… cut here; the whole output has {self.total_bytes:,} bytes …]\n"
        half = self._half - len(mark) // 2 - 1
        return head[:half] + mark + tail[-half:], True


def _decoded(raw: bytes | bytearray) -> str:
    return raw.decode("utf-8", errors="backslashreplace").translate(_CONTROL)


async def execute(
    command: Sequence[str],
    code: str,
    limits: SandboxLimits,
    *,
    program: bytes,
    environment: Mapping[str, str],
) -> Execution:
    """Run the code in a fresh process; see :class:`Execution`.

    ``{seccomp}`` in the command becomes the number of the file that holds ``program``.

    Raises:
        SandboxUnavailable: the process did not say that it is confined; the message is what it said.
    """
    async with slot():
        # a start that is torn in the middle would leave a process that nobody knows
        starting = asyncio.ensure_future(_start(command, program, environment))
        try:
            process = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.shield(_discard(starting))
            raise
        try:
            await _until_ready(process)
            return await _finish(process, code, limits)
        finally:
            await asyncio.shield(_reap(process))


async def _start(
    command: Sequence[str], program: bytes, environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    descriptor = os.memfd_create("seccomp")
    try:
        os.write(descriptor, program)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return await asyncio.create_subprocess_exec(
            *(part.replace("{seccomp}", str(descriptor)) for part in command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
            pass_fds=(descriptor,),
            limit=_CHUNK_BYTES,
        )
    except OSError as error:
        raise SandboxUnavailable(f"The sandbox could not be started: {error}.") from error
    finally:
        os.close(descriptor)


async def _discard(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    try:
        process = await starting
    except SandboxUnavailable:
        return  # there is no process
    await _reap(process)


async def _until_ready(process: asyncio.subprocess.Process) -> None:
    """Wait for the byte that says: confined.

    Only then the code is sent. A parent that dies before leaves a process that reads the end of its
    input and goes; one that dies later is followed by the kernel's signal, armed by then.
    """
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            first = await process.stdout.read(1)
            if first == READY:
                return
            said = first + await process.stdout.read(_CHUNK_BYTES)
    except TimeoutError as error:
        raise SandboxUnavailable(
            f"The sandbox did not start within {START_TIMEOUT_S:g} s."
        ) from error
    lines = said.decode("utf-8", errors="backslashreplace").strip().splitlines()
    raise SandboxUnavailable(f"The sandbox did not start: {(lines or ['no message'])[-1][:300]}")


async def _finish(
    process: asyncio.subprocess.Process, code: str, limits: SandboxLimits
) -> Execution:
    capture = Capture(shown_chars=limits.shown_chars)
    started = time.monotonic()
    ending: Ending | None = None
    try:
        async with asyncio.timeout(limits.wall_s):
            if not await _exchange(process, code, capture, limits.output_bytes):
                ending = "flood"
            else:
                await process.wait()
    except TimeoutError:
        ending = "wall"
    await _reap(process)
    output, truncated = capture.text()
    exit_code = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Execution(
        ending=ending or _ending(exit_code),
        exit_code=exit_code,
        output=output,
        output_bytes=capture.total_bytes,
        truncated=truncated or ending == "flood",
        duration_s=time.monotonic() - started,
    )


async def _exchange(
    process: asyncio.subprocess.Process, code: str, capture: Capture, output_bytes: int
) -> bool:
    """Send the code and read until the end; False when it writes more than allowed."""
    assert process.stdin is not None
    assert process.stdout is not None
    raw = code.encode("utf-8", errors="backslashreplace")
    with contextlib.suppress(ConnectionError):  # dead already: its exit status tells why
        process.stdin.write(b"%d\n" % len(raw) + raw)
        await process.stdin.drain()
        process.stdin.close()
    while chunk := await process.stdout.read(_CHUNK_BYTES):
        capture.add(chunk)
        if capture.total_bytes > output_bytes:
            return False
    return True


def _ending(exit_code: int) -> Ending:
    if exit_code == 0:
        return "finished"
    if exit_code in _SIGXCPU_CODES:
        return "cpu"
    return "crashed" if exit_code < 0 or exit_code > _SIGNAL_BASE else "failed"


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Kill whatever is left and take its status, so that no zombie and no open pipe stays."""
    _kill(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    # whoever still waits for code reads its end and goes
    process.stdin.close()
    try:
        async with asyncio.timeout(REAP_TIMEOUT_S):
            # the transport ends with its pipes: what is still in them has to be taken out
            while await process.stdout.read(_CHUNK_BYTES):
                pass
            await process.wait()
            with contextlib.suppress(ConnectionError):
                await process.stdin.wait_closed()
    except TimeoutError:
        logger.error("sandbox process %s does not die", process.pid)


def _kill(pid: int) -> None:
    """Kill a process and its children, those first.

    bubblewrap's child is the init of its namespace, which dies with it. While it starts there is a
    moment when it has left the process group and does not yet follow its parent.
    """
    children = Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):  # gone already
        for child in map(int, children.read_text().split()):
            descriptor = os.pidfd_open(child)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
