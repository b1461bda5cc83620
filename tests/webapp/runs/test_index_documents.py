"""``index_documents`` makes a collection of a folder, and names what it did not take."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.webapp.personas import Room
from webapp.runs.models import Collection


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "bridge.md").write_text("# Bridge\nBuilt in 1987.")
    (folder / "empty.txt").touch()
    (folder / "out.txt").symlink_to("/etc/hostname")
    return folder


def test_what_was_not_taken_is_named(
    room: Room, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("index_documents", "notes", notes, workspace=room.workspace.name)
    said = capsys.readouterr()
    assert Collection.objects.get(name="notes").documents == 1
    assert "1 documents" in said.out
    assert "refused (leads out of the folder, or unreadable): out.txt" in said.err
    assert "skipped (binary or empty): empty.txt" in said.err


def test_a_name_that_is_no_short_name_is_refused_in_words(room: Room, notes: Path) -> None:
    with pytest.raises(CommandError, match="letters, digits"):
        call_command("index_documents", "../x", notes, workspace=room.workspace.name)
    assert not Collection.objects.filter(name="../x").exists()
