"""Everything in one command: web server, worker, scheduler, simulated tiers. One process and a child.

The child ends when its standard input does, so not even ``kill -9`` of this process leaves it behind.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Any

import uvicorn
from celery import beat
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now

from webapp.celery import app as celery_app
from webapp.learning.models import Training, TrainingStatus
from webapp.learning.tasks import reap as reap_trainings
from webapp.learning.trainer import stop_trainings
from webapp.runs.models import Run, Status
from webapp.runs.tasks import canary, check_sandbox, reap
from webapp.runs.worker import stop_worker, worker
from webapp.seeding import Demo, seed

logger = logging.getLogger(__name__)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
RESTART_S = (0.5, 10.0)
"""Wait before the simulated tiers are started again: at first, and at most."""


class SimulatedTiers:
    """The child process that serves the simulated models; started again when it dies."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, name="simulated-tiers", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._child = self._spawn()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._child is not None:
            _end(self._child)
        self._thread.join(timeout=10)

    def _spawn(self) -> subprocess.Popen[bytes]:
        scale = str(settings.TANDEM["simulator_time_scale"])
        return subprocess.Popen(  # noqa: S603 - our own module
            [
                *(sys.executable, "-m", "collab_core", "simulate-tiers", "--exit-with-stdin"),
                *("--host", "127.0.0.1", "--port", str(self.port), "--time-scale", scale),
            ],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the parent: runs are handed back first
        )

    def _watch(self) -> None:
        wait_s = RESTART_S[0]
        while not self._stopping.is_set():
            assert self._child is not None
            began = time.monotonic()
            status = self._child.wait()
            if self._stopping.is_set():
                return
            wait_s = (
                RESTART_S[0] if time.monotonic() - began > 60 else min(wait_s * 2, RESTART_S[1])
            )
            logger.warning("the simulated tiers ended (%s); again in %.1f s", status, wait_s)
            if self._stopping.wait(wait_s):
                return
            self._child = self._spawn()


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.stdin is not None:
        child.stdin.close()
    child.terminate()
    try:
        child.wait(timeout=5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout=5)


class Background:
    """The Celery worker and its clock, as threads."""

    def __init__(self) -> None:
        self._controller: Any = celery_app.WorkController(
            pool="threads",
            concurrency=settings.CELERY["worker_concurrency"],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel="WARNING",
        )
        self._beat: Any = beat.EmbeddedService(
            celery_app, thread=True, scheduler_cls="celery.beat:Scheduler"
        )
        self._thread = threading.Thread(target=self._controller.start, name="celery", daemon=True)

    def start(self) -> None:
        worker()
        self._thread.start()
        self._beat.daemon = True
        self._beat.start()
        canary.delay()
        check_sandbox.delay()
        reap.delay()
        reap_trainings.delay()

    def stop(self) -> None:
        """Hand runs and trainings back, then stop what would start new ones."""
        stop_trainings()
        stop_worker()
        self._beat.stop()
        self._controller.stop()
        self._thread.join(timeout=10)


class _Server(uvicorn.Server):
    """Says where it is once it really listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()


def run(*, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        CommandError: the port or the data folder is in use.
    """
    data_dir = Path(settings.DATA_DIR)
    data_dir.mkdir(parents=True, exist_ok=True)
    listener = _listen(settings.HOST, settings.PORT)
    lock = _only_one(data_dir)
    signal.signal(signal.SIGTERM, _exit)
    tiers = SimulatedTiers()
    tiers.start()
    background: Background | None = None
    try:
        _migrate(say)
        demo = seed(simulator_url=tiers.url)
        _forget_earlier_process()
        background = Background()
        background.start()
        _serve(listener, lambda: _greet(say, demo))
    except KeyboardInterrupt:
        logger.debug("stopped by Ctrl-C")
    finally:
        say("Stopping …")
        if background is not None:
            background.stop()
        tiers.stop()
        listener.close()
        lock.close()


def stop_with_parent() -> None:
    """Ask the kernel for a SIGTERM when the parent dies, even by ``kill -9``; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _serve(listener: socket.socket, announce: Callable[[], None]) -> None:
    # imported late: it sets Django up and indexes the static files
    from webapp.asgi import application  # noqa: PLC0415

    config = uvicorn.Config(
        application,
        lifespan="off",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=3,
    )
    _Server(config, announce).run(sockets=[listener])


def _greet(say: Callable[[str], None], demo: Demo) -> None:
    host = "127.0.0.1" if settings.HOST in ("", "0.0.0.0") else settings.HOST  # noqa: S104
    say(f"Tandem is ready at http://{host}:{settings.PORT}/")
    if demo.password:
        say(f"  user {demo.user.username}, password {demo.password}")
    say("  Ctrl-C stops it.")


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2_048)
    except OSError as error:
        listener.close()
        raise CommandError(
            f"Cannot listen on {host}:{port}: {error.strerror}."
            f" Choose another port, for example: make run PORT={port + 1}"
        ) from error
    return listener


def _only_one(data_dir: Path) -> IO[str]:
    lock = (data_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise CommandError(
            f"Another Tandem uses the data folder {data_dir}."
            " Stop it, or choose another folder: make run DATA_DIR=…"
        ) from error
    return lock


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _migrate(say: Callable[[str], None]) -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        say("Preparing the database …")
        call_command("migrate", verbosity=0, interactive=False)


def _forget_earlier_process() -> None:
    """The folder's lock is ours: whatever an earlier process was running or had queued is free."""
    Run.objects.alive().filter(status=Status.RUNNING).update(lease_until=Now())
    Run.objects.alive().filter(status=Status.QUEUED).update(enqueued_at=None)
    Training.objects.filter(status=TrainingStatus.RUNNING).update(lease_until=Now())
    Training.objects.filter(status=TrainingStatus.QUEUED).update(enqueued_at=None)
