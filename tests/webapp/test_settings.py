"""Settings are read in a process of their own, as at a real start."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCTION = {
    "DATABASE_URL": "postgres://u:p@127.0.0.1:1/db",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEY": "k" * 50 + "-0123456789-abcdef",
    "ALLOWED_HOSTS": "tandem.example.org",
}


def start(code: str, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, *(["-c", code] if code else ["manage.py", "check", "--deploy"])],
        cwd=ROOT,
        env={
            **plain,
            "DATA_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "webapp.settings",
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


SHOW = "from django.conf import settings as s; print({})"


def test_embedded_needs_nothing_and_keeps_its_own_key(tmp_path: Path) -> None:
    code = SHOW.format("s.EMBEDDED, len(s.SECRET_KEY), s.SECRET_KEY")
    first, second = start(code, tmp_path), start(code, tmp_path)
    assert first.stdout.startswith("True 67"), first.stderr
    assert first.stdout == second.stdout
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"PORT": "eighty"}, "PORT='eighty' is not a number"),
        ({"PORT": "99999"}, "out of range"),
        ({"DEBUG": "maybe"}, "DEBUG='maybe'"),
        ({**PRODUCTION, "DATABASE_URL": "mysql://h/db"}, "only sqlite:// and postgres://"),
        (PRODUCTION | {"SECRET_KEY": ""}, "SECRET_KEY is not set"),
        (PRODUCTION | {"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS is not set"),
        ({"TANDEM_LEASE_S": "0"}, "TANDEM_LEASE_S"),
        ({"TANDEM_FETCH_ALLOW": "http://x"}, "no host and no network"),
        ({"TANDEM_SEARCH_URL": "search"}, "TANDEM_SEARCH_URL is no http(s) address"),
        ({"TANDEM_MCP_CONFIG": "none.json"}, "none.json cannot be read"),
        ({"TANDEM_SANDBOX": "best"}, "TANDEM_SANDBOX is 'best'"),
    ],
)
def test_a_bad_value_stops_the_start_and_says_what_to_set(
    tmp_path: Path, env: dict[str, str], says: str
) -> None:
    done = start(SHOW.format("s.PORT"), tmp_path, **env)
    assert done.returncode != 0
    assert says in done.stderr


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    done = start(SHOW.format("s.SECRET_KEY"), tmp_path, SECRET_KEY_FILE=str(tmp_path / "key"))
    assert done.stdout.strip() == "from-a-file"


def test_the_production_settings_pass_the_deployment_check(tmp_path: Path) -> None:
    done = start("", tmp_path, **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr, done.stdout + done.stderr
