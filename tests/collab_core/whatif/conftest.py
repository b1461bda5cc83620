from __future__ import annotations

import pytest

from collab_core.whatif.recorded import RecordedRun
from tests.collab_core.simulator.conftest import tools, world
from tests.collab_core.whatif.logs import read_all, trails

__all__ = ["tools", "world"]


@pytest.fixture(scope="session")
def drawn_runs() -> list[RecordedRun]:
    """80 tasks with tiers at random: every tier is everywhere."""
    return read_all(trails("random", 80))


@pytest.fixture(scope="session")
def small_runs() -> list[RecordedRun]:
    return read_all(trails("small", 40))
