from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from collab_core.errors import ToolFailed
from collab_core.tools.base import MAX_OBSERVATION_CHARS, ToolOutcome
from collab_core.tools.fetch.extract import Extractor
from collab_core.tools.read_page import ReadPage
from tests.collab_core.tools.fetch.world import PUBLIC, QUICK, Names, fetcher, page, redirect
from tests.fakes.model_server import ModelServer, Received, Reply

LONG = "".join(f"<p>Paragraph {n} about nothing. {'word ' * 40}</p>" for n in range(120))
LIMITS = type(QUICK)(**{**vars(QUICK), "max_bytes": 1_000_000})


def _tool(server: ModelServer) -> ReadPage:
    names = Names(a_test=[PUBLIC], b_test=[PUBLIC])
    return ReadPage(fetcher(names, server.port, limits=LIMITS), Extractor())


async def _read(reply: Reply, **arguments: Any) -> ToolOutcome:
    async with ModelServer([reply], host=PUBLIC) as server:
        url = f"http://a.test:{server.port}/p"
        return await _tool(server)({"url": url, **arguments})


async def test_a_page_is_shown_with_its_origin() -> None:
    seen = await _read(page(b"<title>Bridge</title><p>Built in 1912.</p>"))
    head, title, _, text = seen.text.split("\n")
    assert head.startswith("Page http://a.test:")
    assert (title, text) == ("Bridge", "Built in 1912.")
    assert not seen.truncated


async def test_a_redirect_names_the_hosts_on_its_way() -> None:
    def on(request: Received) -> Reply:
        port = request.headers["host"].partition(":")[2]
        return (
            page(b"<p>x</p>")
            if "b.test" in request.headers["host"]
            else redirect(f"http://b.test:{port}/x")
        )

    async with ModelServer(on, host=PUBLIC) as server:
        seen = await _tool(server)({"url": f"http://a.test:{server.port}/p"})
    assert seen.text.startswith(f"Page http://b.test:{server.port}/x (by way of a.test)\n")


async def test_a_long_page_comes_in_parts_of_one_fetch() -> None:
    async with ModelServer([page(LONG.encode())], host=PUBLIC) as server:
        tool, url = _tool(server), f"http://a.test:{server.port}/p"
        first = await tool({"url": url})
        count = int(first.text.split("(part 1 of ")[1].split(")")[0])
        texts = [(await tool({"url": url, "part": n})).text for n in range(1, count + 1)]
        last = await tool({"url": url, "part": str(count)})
    assert (first.truncated, last.truncated) == (True, False)
    assert all(len(text) <= MAX_OBSERVATION_CHARS for text in texts)
    assert all(any(f"Paragraph {n} " in text for text in texts) for n in range(120))
    assert len(server.requests) == 1


async def test_a_page_that_was_cut_says_so_at_its_end() -> None:
    seen = await _read(page(b"<p>word</p>" * 20_000 + b"x" * 1_000_000), part=1)
    assert seen.truncated


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", b"<b>bold</b>", "<b>bold</b>"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/ld+json; charset=utf-8", b"{}", "{}"),
        ("application/xhtml+xml", b"<p>x</p>", "x"),
        ("TEXT/HTML", b"<p>x</p>", "x"),
    ],
)
async def test_text_of_any_kind_is_read(kind: str, body: bytes, text: str) -> None:
    assert (await _read(page(body, kind=kind))).text.endswith(text)


@pytest.mark.parametrize(
    "kind", ["application/pdf", "image/png", "application/octet-stream", "video/x"]
)
async def test_what_is_no_text_is_refused(kind: str) -> None:
    with pytest.raises(ToolFailed, match="no text"):
        await _read(page(b"data", kind=kind))


async def test_bytes_that_only_claim_to_be_text_are_refused() -> None:
    with pytest.raises(ToolFailed, match="no text"):
        await _read(page(b"%PDF-1.7\x00\x01\x02", kind="text/html"))


async def test_a_page_without_text_is_said() -> None:
    with pytest.raises(ToolFailed, match="may need a browser"):
        await _read(page(b"<script>render()</script>"))


async def test_the_hosts_that_were_asked_are_told_also_of_a_failure() -> None:
    assert (await _read(page(b"<p>x</p>"))).hosts == ("a.test",)
    with pytest.raises(ToolFailed) as failed:
        await _read(Reply(status=404, actions=(b"x",)))
    assert failed.value.hosts == ("a.test",)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"url": ""}, {"url": 5}, {"url": "http://a.test/", "x": 1}, {"url": "x" * 3_000}, [],
     {"url": "http://a.test/", "part": 0}, {"url": "http://a.test/", "part": "two"},
     {"url": "http://a.test/", "part": True}, {"url": "http://a.test/", "part": 1.5}],
)  # fmt: skip
async def test_wrong_arguments_say_how_to_call(arguments: Any) -> None:
    tool = ReadPage(fetcher(Names()), Extractor())
    with pytest.raises(ToolFailed, match=r"read_page\(\{"):
        await tool(arguments)


async def test_a_part_that_does_not_exist_is_said() -> None:
    with pytest.raises(ToolFailed, match="has 1 part"):
        await _read(page(b"<p>x</p>"), part=2)


async def test_pages_are_kept_for_their_parts_but_not_for_ever() -> None:
    def answer(request: Received) -> Reply:
        return page(f"<p>{request.path}</p>".encode())

    async with ModelServer(answer, host=PUBLIC) as server:
        tool = _tool(server)
        read: Callable[[int], Any] = lambda n: tool({"url": f"http://a.test:{server.port}/{n}"})  # noqa: E731
        for number in (1, 1, 2, 3, 4, 5, 1):
            await read(number)
    assert [r.path for r in server.requests] == ["/1", "/2", "/3", "/4", "/5", "/1"]
