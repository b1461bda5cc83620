"""``manage.py tandem`` as a user starts it: it serves, says so, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import free_port, wait_for

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


class Tandem:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.out = folder / "out.txt"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        plain = {
            k: v
            for k, v in os.environ.items()
            if k not in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY")
        }
        plain |= {"DJANGO_SETTINGS_MODULE": "webapp.settings", "ALLOWED_HOSTS": "127.0.0.1"}
        with self.out.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "tandem"],
                cwd=ROOT,
                env={**plain, "DATA_DIR": str(self.folder), "PORT": str(self.port), **env},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return self.process

    def status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def said(self) -> str:
        return self.out.read_text()

    def processes(self) -> list[int]:
        """Return every process of this session (the child has a session of its own) by its data
        folder or its parent."""
        assert self.process is not None
        return [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and _belongs(entry, str(self.folder))
        ]


def _belongs(entry: Path, folder: str) -> bool:
    try:
        if (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return False
        return f"DATA_DIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that was started once, so that later starts are quick."""
    return tmp_path_factory.mktemp("tandem")


@pytest.fixture
def tandem(folder: Path) -> Iterator[Tandem]:
    one = Tandem(folder)
    yield one
    for pid in one.processes() if one.process else []:
        os.kill(pid, signal.SIGKILL)
    if one.process:
        one.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_serves_and_leaves_nothing_behind(tandem: Tandem, number: signal.Signals) -> None:
    process = tandem.start()
    wait_for(lambda: tandem.status("/login/") == 200, "the login page", 60)
    wait_for(lambda: tandem.status("/readyz") == 200, "a worker that consumes", 20)
    assert tandem.status("/static/vendor/plotly/plotly.min.js") == 200
    assert tandem.status("/static/../webapp/settings.py") == 404
    assert len(tandem.processes()) == 2
    password = (tandem.folder / "demo_password").read_text().strip()
    assert f"user demo, password {password}" in tandem.said()
    process.send_signal(number)
    process.wait(timeout=20)
    wait_for(lambda: tandem.processes() == [], "the end of every process", 10)
    if number != signal.SIGKILL:
        assert "Traceback" not in tandem.said()


def test_the_simulated_tiers_come_back(tandem: Tandem) -> None:
    process = tandem.start()
    wait_for(lambda: tandem.status("/readyz") == 200, "the start", 60)
    [child] = [pid for pid in tandem.processes() if pid != process.pid]
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: len(set(tandem.processes()) - {child}) == 2, "another child", 20)


def test_a_used_port_is_said_plainly(tandem: Tandem, tmp_path: Path) -> None:
    tandem.start()
    wait_for(lambda: tandem.status("/healthz") == 200, "the start", 60)
    second = Tandem(tmp_path / "other")
    second.start(PORT=str(tandem.port)).wait(timeout=30)
    assert f"Cannot listen on 127.0.0.1:{tandem.port}" in second.said()
    assert "Traceback" not in second.said()


def test_a_used_data_folder_is_said_plainly(tandem: Tandem) -> None:
    tandem.start()
    wait_for(lambda: tandem.status("/healthz") == 200, "the start", 60)
    done = subprocess.run(
        [sys.executable, "manage.py", "tandem"],
        cwd=ROOT,
        env={
            **os.environ,
            "DATA_DIR": str(tandem.folder),
            "PORT": str(free_port()),
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Another Tandem uses the data folder" in done.stderr
