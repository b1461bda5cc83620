from __future__ import annotations

import json
from pathlib import Path

import pytest

from collab_core.errors import InvalidInput
from collab_core.tools.base import tools_json
from collab_core.tools.indexing import index_folder
from collab_core.tools.registry import build_tools


def test_the_order_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.txt").write_text("alpha", encoding="utf-8")
    index_folder(tmp_path / "s", tmp_path / "a.db")
    tools = build_tools(tmp_path / "a.db")
    assert [tool.name for tool in tools] == ["search", "read", "calculator"]
    assert tools_json(tools) == tools_json(build_tools(tmp_path / "a.db"))


def test_without_a_collection_there_is_the_calculator() -> None:
    (schema,) = json.loads(tools_json(build_tools(None)))
    assert schema["function"]["name"] == "calculator"


def test_a_missing_collection_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        build_tools(tmp_path / "none.db")
