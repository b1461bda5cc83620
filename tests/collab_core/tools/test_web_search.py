from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from collab_core.errors import InvalidInput, ToolFailed
from collab_core.tools.base import MAX_OBSERVATION_CHARS
from collab_core.tools.fetch import AddressPolicy, FetchFailed
from collab_core.tools.web_search import WebSearch, at_path, provider_fetcher, read_provider
from tests.fakes.model_server import HANG, ModelServer, Reply

SEARXNG = {
    "query": "bridge",
    "number_of_results": 2,
    "results": [
        {
            "url": "https://a.example/1",
            "title": "Bridge",
            "content": "Built\nin 1912.",
            "score": 1.5,
        },
        {
            "url": "https://b.example/2",
            "title": "Ada &amp; Co",
            "content": "<strong>Ada</strong> &lt;x",
        },
    ],
    "answers": [],
}


def _json(body: object) -> Reply:
    return Reply(actions=(json.dumps(body).encode(),), content_type="application/json")


def _tool(server: ModelServer, path: str = "", **settings: Any) -> WebSearch:
    url = f"http://127.0.0.1:{server.port}{path}"
    provider = read_provider(url, environ={"FIND_API_KEY": "sesame"}, **settings)
    return WebSearch(provider, provider_fetcher(provider, AddressPolicy()))


async def test_searxng_is_asked_for_json_and_its_results_are_listed() -> None:
    async with ModelServer([_json(SEARXNG)]) as server:
        seen = await _tool(server)({"query": " bridge  of\nAda & Co? "})
    (request,) = server.requests
    assert urlsplit(request.path).path == "/search"
    assert parse_qs(urlsplit(request.path).query) == {
        "format": ["json"], "q": ["bridge of Ada & Co?"]
    }  # fmt: skip
    assert seen.text.splitlines() == [
        "2 results, best first:",
        "Bridge", "    https://a.example/1", "    Built in 1912.",
        "Ada & Co", "    https://b.example/2", "    Ada <x",
    ]  # fmt: skip


async def test_any_json_service_can_be_described() -> None:
    body = {"web": {"hits": [{"name": "Bridge", "links": ["https://a.example/"], "text": "1912"}]}}
    async with ModelServer([_json(body)]) as server:
        tool = _tool(
            server,
            "/v2/find?count=9&text={query}",
            header="Authorization: Bearer ${FIND_API_KEY}",
            fields="results=web.hits title=name url=links.0 snippet=text",
        )
        seen = await tool({"query": "bridge"})
    assert server.requests[0].path == "/v2/find?count=9&text=bridge"
    assert server.requests[0].headers["authorization"] == "Bearer sesame"
    assert "https://a.example/" in seen.text


async def test_the_providers_address_is_open_for_the_search_only() -> None:
    async with ModelServer([_json(SEARXNG)]) as server:
        tool = _tool(server)
        with pytest.raises(FetchFailed):
            await provider_fetcher(
                read_provider("https://other.example", environ={}), AddressPolicy()
            ).get(f"http://127.0.0.1:{server.port}/")
        await tool({"query": "x"})
    assert len(server.requests) == 1


async def test_the_key_does_not_follow_a_redirect() -> None:
    async with ModelServer([_json(SEARXNG)]) as other:
        hop = Reply(status=302, headers={"Location": f"http://127.0.0.1:{other.port}/steal"})
        async with ModelServer([hop]) as server:
            tool = _tool(server, header="X-Key: ${FIND_API_KEY}")
            with pytest.raises(ToolFailed, match="search service failed"):
                await tool({"query": "x"})
    assert other.connections == 0


async def test_eight_results_of_bounded_size_are_shown() -> None:
    result = {
        "url": "https://a.example/" + "x" * 5_000,
        "title": "t" * 5_000,
        "content": "c " * 9_000,
    }
    async with ModelServer([_json({"results": [result] * 30})]) as server:
        seen = await _tool(server)({"query": "x"})
    assert seen.text.count("https://") == 8
    assert len(seen.text) <= MAX_OBSERVATION_CHARS


async def test_hostile_results_are_harmless() -> None:
    results = [
        {"url": "javascript:alert(1)", "title": "x", "content": "y"},
        {"url": 5, "title": "x"},
        "text",
        None,
        {
            "url": "https://a.example/\n[system]",
            "title": {"a": 1},
            "content": "a\x00b\u202ec",
        },
    ]
    async with ModelServer([_json({"results": results})]) as server:
        text = (await _tool(server)({"query": "x"})).text
    assert text.startswith("1 results")
    assert "javascript" not in text
    assert "\u202e" not in text
    assert "\n[system]" not in text


async def test_nothing_found_is_an_answer() -> None:
    async with ModelServer([_json({"results": []})]) as server:
        assert "No page was found" in (await _tool(server)({"query": "x"})).text


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(status=403, actions=(b"Forbidden",)), "answered 403"),
        (Reply(actions=(b"<html>not json</html>",), content_type="text/html"), "list of results"),
        (_json({"error": "no"}), "list of results"),
        (_json([1, 2]), "list of results"),
        (Reply(actions=(b"[" * 100_000,)), "list of results"),
        (Reply(actions=(b" " * 1_500_000,)), "too long"),
        (Reply(actions=(b"{", HANG)), "stopped sending"),
    ],
)
async def test_a_provider_that_fails_gives_a_clear_error(reply: Reply, says: str) -> None:
    async with ModelServer([reply]) as server:
        provider = read_provider(f"http://127.0.0.1:{server.port}", environ={})
        fetch = provider_fetcher(provider, AddressPolicy())
        fetch.limits = type(fetch.limits)(**{**vars(fetch.limits), "between_chunks_s": 0.2})
        with pytest.raises(ToolFailed, match=says):
            await WebSearch(provider, fetch)({"query": "x"})


async def test_a_provider_that_is_off_gives_a_clear_error() -> None:
    async with ModelServer([]) as server:
        tool = _tool(server)
    with pytest.raises(ToolFailed, match=r"search service failed: .* cannot be reached"):
        await tool({"query": "x"})


@pytest.mark.parametrize(
    "arguments", [{}, {"query": ""}, {"query": 5}, {"q": "x"}, {"query": "橋" * 290}, []]
)
async def test_a_wrong_search_says_how_to_search(arguments: Any) -> None:
    provider = read_provider("https://search.example", environ={})
    with pytest.raises(ToolFailed, match=r"web_search\(\{"):
        await WebSearch(provider, provider_fetcher(provider, AddressPolicy()))(arguments)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "search.example"}, "no http"),
        ({"url": "file:///x"}, "no http"),
        ({"url": "http://user:pw@x/"}, "no http"),
        ({"url": "https://x", "fields": "results"}, "must name results"),
        ({"url": "https://x", "fields": "hits=a"}, "must name results"),
        ({"url": "https://x", "header": "no colon"}, "must be Name"),
        ({"url": "https://x", "header": "A: ${MISSING}"}, "MISSING, which is not set"),
        ({"url": "https://x", "header": "A: $"}, "begins no"),
        ({"url": "https://x", "header": "A: ${BAD_KEY}"}, "characters that no header"),
    ],
)
def test_settings_that_cannot_be_used_say_why(settings: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        read_provider(**settings, environ={"BAD_KEY": "se\r\ncret"})
    assert "cret" not in refused.value.message


def test_the_key_is_not_in_the_providers_repr() -> None:
    provider = read_provider("https://x", header="A: ${K}", environ={"K": "sesame"})
    assert "sesame" not in repr(provider)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b", 1),
        ("a.c", None),
        ("l.1", 3),
        ("l.9", None),
        ("l.x", None),
        ("a.b.c", None),
        ("", None),
    ],
)
def test_a_path_finds_or_gives_none(path: str, found: object) -> None:
    assert at_path({"a": {"b": 1}, "l": [2, 3]}, path) == found
