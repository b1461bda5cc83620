from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.errors import InvalidInput
from collab_core.tools.collections import Collection, match_expression, query_words
from collab_core.tools.indexing import index_folder

TEXTS = {
    "bridge.md": "# Karel Bridge\n\nKarel Bridge was designed by Ada Velm in 1854.",
    "bank.txt": "中国银行在北京。\n\n它很大。",
    "cafe.html": "<title>Café Zürich</title><script>evil()</script><p>Naïve <b>guests</b></p><p>drink tea",
    "other.md": "# Other\n\nNothing about any crossing.",
}


def make_collection(folder: Path, texts: dict[str, str]) -> Collection:
    source = folder / "source"
    source.mkdir()
    for name, text in texts.items():
        (source / name).write_text(text, encoding="utf-8")
    index_folder(source, folder / "c.db")
    return Collection(folder / "c.db")


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return make_collection(tmp_path, TEXTS)


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("Karel Bridge", "Karel Bridge"),
        ("who designed bridges?", "Karel Bridge"),
        ("银行", "中国银行在北京。"),
        ("京", "中国银行在北京。"),
        ("cafe zurich", "Café Zürich"),
        ("NAIVE", "Café Zürich"),
    ],
)
async def test_finds_words_in_any_script(collection: Collection, query: str, title: str) -> None:
    hits = await collection.search(query)
    assert hits[0].title == title


@pytest.mark.parametrize("query", ["", "   ", '"', "*", "()", "…", "\x00", "-", "zzzzqq"])
async def test_a_query_without_a_known_word_finds_nothing(
    collection: Collection, query: str
) -> None:
    assert await collection.search(query) == []


@pytest.mark.parametrize("query", ['title:bridge AND "', "bridge*", "NEAR(bridge, 2)", "^bridge {"])
async def test_query_syntax_is_only_words(collection: Collection, query: str) -> None:
    assert (await collection.search(query))[0].title == "Karel Bridge"


@given(st.text(max_size=200))
def test_no_text_breaks_the_query_language(query: str) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE t USING fts5(x, tokenize='porter unicode61')")
    expression = match_expression(query_words(query))
    if expression:
        database.execute("SELECT * FROM t WHERE t MATCH ?", (expression,)).fetchall()
    database.close()


async def test_scripts_are_not_text(collection: Collection) -> None:
    assert await collection.search("evil") == []
    hit = (await collection.search("guests"))[0]
    document = await collection.read(hit.id)
    assert document is not None
    assert document.text == "Naïve guests\n\ndrink tea"


async def test_an_unknown_id_reads_none(collection: Collection) -> None:
    assert await collection.read("nope") is None


async def test_many_searches_at_once(collection: Collection) -> None:
    results = await asyncio.gather(*(collection.search("Karel") for _ in range(50)))
    assert all(hits[0].title == "Karel Bridge" for hits in results)


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        Collection(tmp_path / "none.db")
    assert "collab_core index" in caught.value.hint


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InvalidInput, match="not a document collection"):
        Collection(path)
    path.unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE t (x)")
    database.close()
    with pytest.raises(InvalidInput, match="not a document collection"):
        Collection(path)


def test_the_collection_cannot_be_written(collection: Collection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        collection._connection.execute("DELETE FROM documents")


def test_common_words_neither_rank_nor_get_lost(tmp_path: Path) -> None:
    texts = {f"{n}.txt": f"Page {n}\n\nthe end of the story" for n in range(1_100)}
    texts["x.txt"] = "Page x\n\nzeppelin"
    collection = make_collection(tmp_path, texts)
    assert [hit.title for hit in collection.search_now("the end of the zeppelin")] == ["Page x"]
    assert len(collection.search_now("the end")) == 8
