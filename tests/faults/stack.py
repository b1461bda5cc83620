"""A deployment of real processes on one machine, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.services import free_port, wait_for

ROOT = Path(__file__).parents[2]


class Stack:
    """Simulated tiers, a database, workers; everything it started is gone after :meth:`stop`."""

    def __init__(self, folder: Path, *, model_port: int | None = None, **env: str) -> None:
        self.folder = folder
        self.model_port = model_port or free_port()
        self.env = {
            **{k: v for k, v in os.environ.items() if k not in ("REDIS_URL", "DATABASE_URL")},
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            "DATA_DIR": str(folder),
            "SECRET_KEY": "only-for-tests",
            "ALLOWED_HOSTS": "localhost",
            "TANDEM_HTTPS": "0",
            "TANDEM_LEASE_S": "2",
            "TANDEM_REAP_EVERY_S": "0.5",
            "TANDEM_REQUEUE_AFTER_S": "2",
            "LOG_LEVEL": "WARNING",
            **env,
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start_tiers(self) -> None:
        self._spawn(
            *("-m", "collab_core", "simulate-tiers", "--exit-with-stdin", "--time-scale", "0.03"),
            *("--preset", "ddv2-7b-38b", "--port", str(self.model_port)),
        )

    def prepare(self) -> None:
        """Make the database and the demo workspace."""
        self.call("manage.py", "migrate", "--verbosity", "0")
        self.call("manage.py", "seed", "--simulator-url", f"http://127.0.0.1:{self.model_port}/v1")

    def call(self, *arguments: str, timeout_s: float = 120) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-2_000:]}{done.stderr[-3_000:]}"
        return done.stdout

    def inside(self, *arguments: str, timeout_s: float = 120) -> str:
        return self.call("-m", "tests.faults.inside", *arguments, timeout_s=timeout_s)

    def plain_worker(self, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker without Celery; it ends when all runs have."""
        return self._spawn("-m", "tests.faults.inside", "work", **env)

    def celery_worker(self, **env: str) -> subprocess.Popen[bytes]:
        return self._spawn(
            *("-m", "celery", "-A", "webapp", "worker", "--without-gossip", "--without-mingle"),
            *("--loglevel", "WARNING"),
            **env,
        )

    def celery_beat(self) -> subprocess.Popen[bytes]:
        schedule = str(self.folder / "beat")
        return self._spawn(
            *("-m", "celery", "-A", "webapp", "beat", "--schedule", schedule),
            *("--pidfile", str(self.folder / "beat.pid"), "--loglevel", "WARNING"),
        )

    def web(self, port: int) -> subprocess.Popen[bytes]:
        return self._spawn(
            *("-m", "uvicorn", "webapp.asgi:application", "--port", str(port)),
            *("--lifespan", "off", "--log-level", "warning"),
        )

    def _spawn(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        with (self.folder / "stderr.txt").open("ab") as stderr:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.env | env,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def stderr(self) -> str:
        return (self.folder / "stderr.txt").read_text(errors="replace")[-4_000:]

    def stop(self) -> None:
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
            if process.poll() is None:
                process.kill()
            process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_for_death(process: subprocess.Popen[bytes], deadline_s: float = 40) -> None:
    wait_for(lambda: process.poll() is not None, "the death of a worker", deadline_s)
