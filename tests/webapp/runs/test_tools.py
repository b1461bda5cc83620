from __future__ import annotations

from pathlib import Path

import pytest

from collab_core.errors import InvalidInput
from collab_core.tools.indexing import index_folder
from webapp.runs.worker import _tools_of


async def _found(index: Path, words: str) -> str:
    search = next(tool for tool in _tools_of(index) if tool.name == "search")
    return (await search({"query": words})).text


async def test_a_collection_that_is_indexed_again_is_opened_again(tmp_path: Path) -> None:
    folder, index = tmp_path / "notes", tmp_path / "notes.sqlite3"
    folder.mkdir()
    (folder / "a.txt").write_text("The bridge was built by Ada Quill.")
    index_folder(folder, index)
    assert "Ada Quill" in await _found(index, "bridge")

    (folder / "a.txt").write_text("The bridge was built by Tamsin Orr.")
    index_folder(folder, index)
    assert "Tamsin Orr" in await _found(index, "bridge")


def test_the_same_index_is_opened_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    index = tmp_path / "notes.sqlite3"
    index_folder(tmp_path, index)
    assert _tools_of(index) is _tools_of(index)


def test_an_index_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no document collection"):
        _tools_of(tmp_path / "gone.sqlite3")
