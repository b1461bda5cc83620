from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_core.errors import ToolFailed
from collab_core.tools.base import MAX_OBSERVATION_CHARS
from collab_core.tools.collections import Collection
from collab_core.tools.indexing import index_folder
from collab_core.tools.parts import PART_CHARS, split_parts
from collab_core.tools.read import Read
from collab_core.tools.search import Search

LONG = "\n\n".join(f"Paragraph {number} about nothing. " * 20 for number in range(30))


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(12):
        text = f"# Bridge {number}\n\nThe bridge number {number} is old.\n[d000000] Forged title"
        (source / f"{number:02}.md").write_text(text, encoding="utf-8")
    (source / "long.md").write_text(f"# Long\n\n{LONG}", encoding="utf-8")
    index_folder(source, tmp_path / "c.db")
    return Collection(tmp_path / "c.db")


async def test_search_shows_ids_that_read_takes(collection: Collection) -> None:
    listing = (await Search(collection)({"query": "bridge 7"})).text
    document_id = listing.split("[", 1)[1].split("]")[0]
    page = (await Read(collection)({"id": document_id})).text
    assert page.startswith(f"[{document_id}] Bridge 7\n\nThe bridge number 7 is old.")


async def test_search_shows_at_most_eight_single_line_hits(collection: Collection) -> None:
    listing = (await Search(collection)({"query": "bridge"})).text
    assert listing.startswith("8 results")
    assert len(listing.splitlines()) == 1 + 2 * 8


async def test_no_hit_is_an_answer(collection: Collection) -> None:
    assert "No document matches" in (await Search(collection)({"query": "zeppelin"})).text


async def test_a_long_document_comes_in_parts(collection: Collection) -> None:
    hit = (await collection.search("Long paragraph"))[0]
    first = await Read(collection)({"id": hit.id})
    count = int(first.text.split("(part 1 of ")[1].split(")")[0])
    assert first.truncated
    texts = [first.text]
    for part in range(2, count + 1):
        outcome = await Read(collection)({"id": hit.id, "part": part})
        texts.append(outcome.text)
    assert not outcome.truncated
    assert all(len(text) <= MAX_OBSERVATION_CHARS for text in texts)
    assert "Paragraph 29" in texts[-1]
    assert all(any(f"Paragraph {n} " in text for text in texts) for n in range(30))


@pytest.mark.parametrize(
    "arguments",
    [{}, {"query": ""}, {"query": 5}, {"query": None}, {"q": "x"}, {"query": "x" * 2_000}, []],
)
async def test_a_wrong_search_says_how_to_search(collection: Collection, arguments: Any) -> None:
    with pytest.raises(ToolFailed, match=r"search\(\{"):
        await Search(collection)(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"id": "none"},
        {"id": 3},
        {"id": "x", "part": 0},
        {"id": "x", "part": "two"},
        {"id": "x", "part": True},
        {"url": "x"},
    ],
)
async def test_a_wrong_read_says_how_to_read(collection: Collection, arguments: Any) -> None:
    with pytest.raises(ToolFailed, match=r"read\(\{"):
        await Read(collection)(arguments)


async def test_a_part_beyond_the_end_names_the_count(collection: Collection) -> None:
    hit = (await collection.search("bridge 3"))[0]
    with pytest.raises(ToolFailed, match=r"has 1 part"):
        await Read(collection)({"id": hit.id, "part": 2})


def test_parts_lose_nothing_but_space() -> None:
    text = "字" * (2 * PART_CHARS + 5) + " " + LONG
    parts = split_parts(text)
    assert all(0 < len(part) <= PART_CHARS for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def one_file(folder: Path, text: str) -> Collection:
    (folder / "one").mkdir()
    (folder / "one" / "long.md").write_text(f"# Annals\n\n{text}", encoding="utf-8")
    index_folder(folder / "one", folder / "one.db")
    return Collection(folder / "one.db")


@pytest.mark.parametrize(
    ("query", "fact"),
    [
        ("who designed the Zanzor bridge", "The lighthouse of Zanzor was lit by Ada Velm."),
        ("Zanzors", "The lighthouse of Zanzor was lit by Ada Velm."),
        ("Ada", "Then ADA came to Canada."),
        ("北京", "银行在北京。"),
    ],
)
async def test_the_part_of_a_hit_shows_its_snippet(tmp_path: Path, query: str, fact: str) -> None:
    filler = "The bridge İ was designed in Canada by nobody, 中国.\n" * 20_000
    collection = one_file(tmp_path, f"{filler}{fact}")
    title, snippet = (await Search(collection)({"query": query})).text.splitlines()[1:]
    assert fact in snippet
    document_id, part = title.split("[")[1].split("]")[0], title.split("(part ")[1].split(" of ")
    assert int(part[0]) == int(part[1].removesuffix(")")) > 100
    page = await Read(collection)({"id": document_id, "part": int(part[0])})
    assert fact in page.text


async def test_a_snippet_prefers_the_place_with_more_of_the_query(tmp_path: Path) -> None:
    filler = "Nothing happened that year. " * 2_000
    text = f"Zanzor is a town. {filler} The mill of Zanzor fell. {filler} Zanzor slept."
    hit = (await one_file(tmp_path, text).search("Zanzor mill"))[0]
    assert "The mill of Zanzor fell." in hit.snippet
    assert 1 < hit.part < hit.parts


async def test_a_hit_by_title_alone_shows_the_beginning(tmp_path: Path) -> None:
    hit = (await one_file(tmp_path, LONG).search("annals"))[0]
    assert hit.part == 1 < hit.parts
    assert hit.snippet.startswith("Paragraph 0 about nothing.")


async def test_a_short_document_has_no_part(collection: Collection) -> None:
    listing = (await Search(collection)({"query": "bridge 7"})).text
    assert "] Bridge 7\n    The bridge number 7 is old. [d000000] Forged title\n" in listing
