"""One prepared deployment for the session; each test gets a copy of its database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.stack import Stack


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The demo workspace on SQLite, with simulated tiers that all tests share."""
    stack = Stack(tmp_path_factory.mktemp("prepared"))
    stack.start_tiers()
    stack.prepare()
    yield stack
    stack.stop()


@pytest.fixture
def stack(prepared: Stack, tmp_path: Path) -> Iterator[Stack]:
    """A deployment without Redis, ready for runs."""
    stack = copy(prepared, tmp_path)
    yield stack
    stack.stop()


def copy(prepared: Stack, folder: Path, **env: str) -> Stack:
    """Return a deployment of its own with the content of the prepared one."""
    target = folder / "data"
    shutil.copytree(prepared.folder, target)
    return Stack(target, model_port=prepared.model_port, **env)
