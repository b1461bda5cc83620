from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from collab_core.benchmarks.tasks import DOCUMENTS_FOLDER, write_world
from collab_core.benchmarks.world import World, generate
from collab_core.tools.base import Tool
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import build_tools


@pytest.fixture(scope="session")
def world() -> World:
    return generate()


@pytest.fixture(scope="session")
def tools(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tool, ...]:
    folder = tmp_path_factory.mktemp("world")
    write_world(world, folder)
    index_folder(folder / DOCUMENTS_FOLDER, folder / "world.db")
    return build_tools(folder / "world.db")


@pytest.fixture
def tools_over(tmp_path: Path) -> Callable[[dict[str, str]], tuple[Tool, ...]]:
    """Return a maker of tools over documents given as name -> text."""

    def make(texts: dict[str, str]) -> tuple[Tool, ...]:
        source = tmp_path / "source"
        source.mkdir()
        for name, text in texts.items():
            (source / name).write_text(text, encoding="utf-8")
        index_folder(source, tmp_path / "c.db")
        return build_tools(tmp_path / "c.db")

    return make
