"""Runs one server process per tier: starts, checks, restarts with back-off, leaves none behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from collab_core.backends.probe import answers
from collab_core.backends.serving import (
    ServedTier,
    ServingFile,
    arguments,
    as_tier,
    environment,
    launcher,
)
from collab_core.errors import EndpointTimeout

Report = Callable[[str], None]
MAX_BACKOFF_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How patiently the servers are watched, in seconds."""

    start_poll_s: float = 1.0
    check_every_s: float = 15.0
    check_patience_s: float = 30.0
    failures_to_restart: int = 3
    """Slow is not dead: a burst may starve a few checks (a Ray Serve user saw 10 s)."""
    stop_patience_s: float = 20.0
    stable_after_s: float = 120.0
    """A server that lived this long starts its back-off anew."""


async def serve(
    file: ServingFile,
    *,
    log_folder: Path,
    report: Report,
    stop: asyncio.Event,
    environ: Mapping[str, str] | None = None,
    watch: Watch | None = None,
) -> None:
    """Run every server of the file until ``stop`` is set; afterwards none of their processes is left.

    ``report`` gets one line per change of state. Output goes to ``<log_folder>/<name>.log``.

    Raises:
        InvalidInput: vLLM is not there, or a key variable is not set.
    """
    environ = os.environ if environ is None else environ
    start = await asyncio.to_thread(launcher, file)
    await asyncio.to_thread(log_folder.mkdir, parents=True, exist_ok=True)
    servers = [
        _Server(
            tier=tier,
            command=[*_leash(), *start, *arguments(tier)],
            environ=environment(tier, environ),
            log_path=log_folder / f"{tier.name}.log",
            report=report,
            watch=watch or Watch(),
            start_timeout_s=file.start_timeout_s,
        )
        for tier in file.tier
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(server.run()) for server in servers]
        await stop.wait()
        for task in tasks:
            task.cancel()


def run(file: ServingFile, *, log_folder: Path, report: Report) -> None:
    """Run every server of the file until Ctrl-C or SIGTERM; see :func:`serve`."""
    asyncio.run(_until_signal(file, log_folder, report))


async def _until_signal(file: ServingFile, log_folder: Path, report: Report) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await serve(file, log_folder=log_folder, report=report, stop=stop)


def _leash() -> list[str]:
    """Return the prefix that ends a server when we are killed with -9 (util-linux, where it is)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


async def _kill_group(group: int) -> None:
    """Kill what is left of a process group and wait, at most some 2 s, until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
        for _ in range(100):
            if not await asyncio.to_thread(_has_members, group):
                return
            await asyncio.sleep(0.02)


def _has_members(group: int) -> bool:
    """Return whether a process of the group still runs; one that only waits to be reaped does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member_of = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # it ended while we looked
        if int(member_of) == group and state != "Z":
            return True
    return False


@dataclass
class _Server:
    tier: ServedTier
    command: list[str]
    environ: dict[str, str]
    log_path: Path
    report: Report
    watch: Watch
    start_timeout_s: float
    state: str = ""
    _process: asyncio.subprocess.Process | None = None
    _failed_starts: int = field(default=0)

    async def run(self) -> None:
        """Keep the server running until this task is cancelled."""
        while True:
            started = time.monotonic()
            try:
                reason = await self._live()
            except asyncio.CancelledError:
                self._say("stopping", "")
                raise
            finally:
                await self._end()
            if time.monotonic() - started > self.watch.stable_after_s:
                self._failed_starts = 0
            delay_s = min(MAX_BACKOFF_S, 2.0**self._failed_starts)
            self._failed_starts += 1
            self._say("down", f"{reason}; again in {delay_s:g} s, log: {self.log_path}")
            await asyncio.sleep(delay_s)

    async def _live(self) -> str:
        """Start it and watch it; return why it has to be started again."""
        with self.log_path.open("ab") as log:
            await self._start(log)
        assert self._process is not None
        self._say(
            "starting", f"pid {self._process.pid}, port {self.tier.port}, model {self.tier.model}"
        )
        watching = asyncio.create_task(self._watch())
        exited = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({watching, exited}, return_when=asyncio.FIRST_COMPLETED)
            return f"exited with {exited.result()}" if exited.done() else watching.result()
        finally:
            for task in (watching, exited):
                task.cancel()
            await asyncio.gather(watching, exited, return_exceptions=True)

    async def _start(self, log: IO[bytes]) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.environ,
            # a group of its own: vLLM's engine and workers end with it
            start_new_session=True,
        )

    async def _watch(self) -> str:
        """Wait until it answers, then check it; return why it is given up."""
        began = time.monotonic()
        while await self._check() is not None:
            if time.monotonic() - began > self.start_timeout_s:
                return f"did not answer within {self.start_timeout_s:g} s"
            await asyncio.sleep(self.watch.start_poll_s)
        await self._warm_up()
        self._say("ready", f"after {time.monotonic() - began:.0f} s, {as_tier(self.tier).base_url}")
        failures = 0
        while True:
            await asyncio.sleep(self.watch.check_every_s)
            error = await self._check()
            failures = failures + 1 if error is not None else 0
            if error is None:
                self._say("ready", "answers again")
            elif failures >= self.watch.failures_to_restart:
                return f"gave no completion {failures} times: {error}"
            else:
                slow = isinstance(error, EndpointTimeout)
                self._say("slow" if slow else "failing", str(error))

    async def _warm_up(self) -> None:
        """Have vLLM compile its log-probability path now: 16 s that no run should pay."""
        patient = as_tier(self.tier, patience_s=self.start_timeout_s)
        error = await answers(patient, environ=self._keys(), logprobs=True)
        if error is not None:
            self._say("failing", f"warm-up with log-probabilities: {error}")

    async def _check(self) -> Exception | None:
        return await answers(
            as_tier(self.tier, patience_s=self.watch.check_patience_s), environ=self._keys()
        )

    def _keys(self) -> dict[str, str]:
        key = self.environ.get("VLLM_API_KEY", "")
        return {self.tier.api_key_env: key} if key else {}

    async def _end(self) -> None:
        """End the process and its whole group."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), self.watch.stop_patience_s)
        # the group may outlive its leader: an engine whose server was killed
        await _kill_group(process.pid)
        await process.wait()
        if self.state == "stopping":
            self._say("stopped", "")

    def _say(self, state: str, text: str) -> None:
        if state != self.state:
            self.state = state
            self.report(f"{self.tier.name}: {state}{' - ' if text else ''}{text}")
