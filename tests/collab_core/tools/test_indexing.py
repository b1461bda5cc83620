from __future__ import annotations

import os
from pathlib import Path

import pytest

from collab_core.errors import InvalidInput
from collab_core.tools.collections import Collection
from collab_core.tools.indexing import index_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "one.txt").write_text("First line\nalpha", encoding="utf-8")
    return folder


def titles(target: Path, query: str) -> list[str]:
    return [hit.title for hit in Collection(target).search_now(query)]


def test_ids_stay_when_indexed_again(source: Path, tmp_path: Path) -> None:
    index_folder(source, tmp_path / "a.db")
    first = Collection(tmp_path / "a.db").search_now("alpha")
    (source / "aaa.txt").write_text("beta", encoding="utf-8")
    index_folder(source, tmp_path / "a.db")
    assert Collection(tmp_path / "a.db").search_now("alpha") == first


def test_an_open_collection_survives_indexing(source: Path, tmp_path: Path) -> None:
    index_folder(source, tmp_path / "a.db")
    before = Collection(tmp_path / "a.db")
    (source / "sub" / "one.txt").write_text("gamma", encoding="utf-8")
    index_folder(source, tmp_path / "a.db")
    assert len(before.search_now("alpha")) == 1
    assert titles(tmp_path / "a.db", "alpha") == []


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput) as caught:
        index_folder(tmp_path / "empty", tmp_path / "a.db")
    assert ".md" in caught.value.hint
    assert not list(tmp_path.glob("a.db*"))


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a folder"):
        index_folder(tmp_path / "none", tmp_path / "a.db")


def test_links_out_of_the_folder_are_refused(source: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("password", encoding="utf-8")
    (source / "link.txt").symlink_to(secret)
    (source / "up").symlink_to(tmp_path)
    os.mkfifo(source / "pipe.txt")
    (source / "dead.txt").symlink_to(source / "gone.txt")
    report = index_folder(source, tmp_path / "a.db")
    assert report.indexed == 1
    assert report.refused == ["dead.txt", "link.txt", "pipe.txt"]
    assert titles(tmp_path / "a.db", "password") == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("café".encode("latin-1") + b" au lait pour tout le monde, deja vu", "lait"),
        ("Über die Brücke".encode("utf-16"), "brucke"),
        ("\ufeffBrücke".encode(), "brucke"),
        ("北京银行位于中国北京市".encode("gb18030") * 20, "银行"),
        (b"broken \xff\xfe\xfa utf eight", "broken"),
    ],
)
def test_any_encoding_is_read(source: Path, tmp_path: Path, content: bytes, found: str) -> None:
    (source / "x.txt").write_bytes(content)
    index_folder(source, tmp_path / "a.db")
    assert len(titles(tmp_path / "a.db", found)) == 1


def test_binary_and_empty_files_are_skipped(source: Path, tmp_path: Path) -> None:
    (source / "image.txt").write_bytes(b"\x89PNG\x00\x00" * 50)
    (source / "void.md").write_bytes(b" \n")
    (source / "program.exe").write_bytes(b"MZ")
    report = index_folder(source, tmp_path / "a.db")
    assert (report.indexed, report.skipped) == (1, ["image.txt", "void.md"])


def test_a_huge_file_is_shortened(source: Path, tmp_path: Path) -> None:
    (source / "huge.txt").write_text("ü" * 10 + " word" * 5_000, encoding="utf-8")
    report = index_folder(source, tmp_path / "a.db", max_file_bytes=1_001)
    assert report.shortened == ["huge.txt"]
    assert titles(tmp_path / "a.db", "word")


def test_strange_file_names(source: Path, tmp_path: Path) -> None:
    (source / "naïve 名 \"'.md").write_text("delta", encoding="utf-8")
    index_folder(source, tmp_path / "a b%?#.db")
    assert len(titles(tmp_path / "a b%?#.db", "delta")) == 1


def test_deep_hostile_html_does_not_break(source: Path, tmp_path: Path) -> None:
    (source / "deep.html").write_text("<div>" * 200_000 + "needle", encoding="utf-8")
    bomb = "".join(f"<b id={n}>" for n in range(500)) + "<p>" * 100_000 + "needle"
    (source / "bomb.html").write_text(bomb, encoding="utf-8")
    (source / "cut.html").write_text("<p>thread<script>var x = '", encoding="utf-8")
    index_folder(source, tmp_path / "a.db")
    assert len(titles(tmp_path / "a.db", "needle")) == 2
    assert len(titles(tmp_path / "a.db", "thread")) == 1


@pytest.mark.parametrize("target", ["file/c.db", "folder"])
def test_a_place_that_cannot_be_written(source: Path, tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput) as caught:
        index_folder(source, tmp_path / target)
    assert caught.value.field == "target"
    assert not list(tmp_path.glob("*.partial"))
