"""The real product as child processes: ``manage.py tandem`` and a second, slower set of tiers."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.services import free_port, wait_for

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
FAST, SLOW, REAL = "0.02", "0.15", "1"
"""Time scales of the simulated tiers: of the product's own, of those for runs to be watched, and of
those for runs that must not end before they are stopped."""
_OUR_VARIABLES = re.compile(
    r"^(TANDEM_|DJANGO_|DATA_DIR|DATABASE_URL|REDIS_URL|SECRET_KEY|ALLOWED|DEBUG|PORT|HOST$)"
)


class Child:
    """A process that is ended with the fixture that started it; its output is in ``log``."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"tandem-e2e-{name}-"))
        self.log = self.folder / "log"
        self._arguments = [sys.executable, *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: str) -> None:
        """Start it and wait until its output holds ``ready``."""
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_for(lambda: self._is_up(ready), f"{self._arguments[1:]}", START_S)

    def _is_up(self, ready: str) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended with {self._process.returncode}:\n{self.log.read_text()}")
        return ready in self.log.read_text()

    def stop(self) -> int:
        """End it as Ctrl-C would and return its exit status; -9 where it had to be killed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(timeout=10)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class SlowTiers(Child):
    """Simulated tiers whose runs last for some time, so that they can be watched."""

    def __init__(self, time_scale: str) -> None:
        self.port = free_port()
        options = ["--port", str(self.port), "--time-scale", time_scale]
        super().__init__(
            "tiers", ["-u", "-m", "collab_core", "simulate-tiers", *options], dict(os.environ)
        )
        self.url = f"http://127.0.0.1:{self.port}/v1"


class Product(Child):
    """Everything in one command, on a data folder of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__("product", ["-u", "manage.py", "tandem"], {})
        kept = {k: v for k, v in os.environ.items() if not _OUR_VARIABLES.match(k)}
        self._environment = kept | {
            "DATA_DIR": str(self.folder / "data"),
            "PORT": str(self.port),
            "TANDEM_TIME_SCALE": FAST,
            # planted runs stay "running" or "queued" in nobody's hands for that long
            "TANDEM_LEASE_S": "600",
            "TANDEM_REQUEUE_AFTER_S": "3600",
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
        }

    @property
    def password(self) -> str:
        """The demo user's."""
        return (self.folder / "data" / "demo_password").read_text().strip()

    def run_python(self, module: str, stdin: str) -> str:
        """Run a module on the product's database and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{module} failed:\n{done.stderr}")
        return done.stdout
