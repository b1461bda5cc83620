from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import PostgresServer

ROOT = Path(__file__).parents[2]


@pytest.mark.services
@pytest.mark.timeout(1200)
def test_the_same_tests_pass_on_postgresql(postgres_server: PostgresServer) -> None:
    """The applications that lean on the database are tested again, on a real server."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x"),
            *(
                "tests/webapp/runs",
                "tests/webapp/api",
                "tests/webapp/teams",
                "tests/webapp/experiments",
                "tests/webapp/discussion",
                "tests/webapp/review/test_labelling.py",
                "tests/webapp/review/test_races.py",
                "-m",
                "not services and not faults",
            ),
        ],
        cwd=ROOT,
        check=False,
        env={**os.environ, "DATABASE_URL": postgres_server.url("tandem")},
        capture_output=True,
        text=True,
        timeout=1_180,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]
