"""Nothing private is ever connected to: the oracle is a canary that counts connections."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from collab_core.tools.fetch import AddressPolicy, Fetcher, FetchFailed
from collab_core.tools.fetch.connect import GuardedResolver
from tests.collab_core.tools.fetch.world import (
    PRIVATE,
    PUBLIC,
    QUICK,
    Canary,
    Names,
    fetcher,
    page,
    redirect,
)
from tests.fakes.model_server import ModelServer, Received, Reply


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    async with Canary() as canary:
        yield canary
        assert canary.connections == 0


async def test_a_public_page_is_fetched_under_its_own_name(canary: Canary) -> None:
    async with ModelServer([page(b"hello")], host=PUBLIC) as server:
        names = Names(news_test=[PUBLIC])
        got = await fetcher(names, server.port).get(f"http://news.test:{server.port}/a?b=1#c")
    assert (got.body, got.media_type, got.charset) == (b"hello", "text/html", "utf-8")
    assert got.hosts == ("news.test",)
    (request,) = server.requests
    assert request.path == "/a?b=1"
    assert request.headers["host"] == f"news.test:{server.port}"
    assert "cookie" not in request.headers
    assert names.asked == ["news.test"]


SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0x0.0x0.0x1", "017700000001",
    "0177.0.0.1", "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "１２７.0.0.1", "127。0。0。1",
    "127%2e0%2e0%2e1", "127.0.0.1.", "localhost", "localhost.", "LOCALHOST", "user@127.0.0.1",
    "news.test@127.0.0.1", "127.0.0.1\\@news.test", "news.test#@127.0.0.1", "169.254.169.254",
    "metadata.test", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]",
    "[fec0::1]", "cgnat.test", "mapped.test", "mixed.test", "nat64.test", "sixtofour.test",
]  # fmt: skip


def _names() -> Names:
    """Return names that lead inside, each in its own way; localhost resolves as everywhere."""
    return Names(
        **{name: [PRIVATE] for name in ("localhost", "localhost_", "news_test")},
        metadata_test=["169.254.169.254"],
        cgnat_test=["100.64.0.7"],
        mapped_test=["::ffff:127.0.0.1"],
        mixed_test=[["8.8.8.8", PRIVATE]],
        nat64_test=["64:ff9b::7f00:1"],
        sixtofour_test=["2002:7f00:1::"],
    )


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_leads_inside(canary: Canary, host: str) -> None:
    policy = AddressPolicy(ports=frozenset({80, 443, canary.port}))
    fetch = Fetcher(policy, limits=QUICK, lookup=_names())
    with pytest.raises(FetchFailed) as failed:
        await fetch.get(f"http://{host}:{canary.port}/")
    assert failed.value.kind in ("refused_url", "refused_address")


async def test_the_refusal_does_not_tell_what_a_name_resolves_to() -> None:
    with pytest.raises(FetchFailed) as failed:
        await fetcher(Names(db_intern=["10.9.8.7"])).get("http://db.intern/")
    assert "10.9" not in failed.value.message


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_redirect_leads_inside(canary: Canary, host: str) -> None:
    async with ModelServer([redirect(f"http://{host}:{canary.port}/")], host=PUBLIC) as server:
        names = _names()
        names._answers["good.test"] = [PUBLIC]
        fetch = fetcher(names, server.port)
        policy = AddressPolicy(allowed=fetch.policy.allowed, ports=frozenset({80, canary.port}))
        with pytest.raises(FetchFailed) as failed:
            await Fetcher(policy, limits=QUICK, lookup=names).get(
                f"http://good.test:{server.port}/"
            )
    assert failed.value.kind in ("refused_url", "refused_address")


@pytest.mark.parametrize(
    "answer", [["8.8.8.8", PRIVATE], [PRIVATE, "8.8.8.8"], ["::1"], ["no address"]]
)
async def test_one_private_answer_spoils_all_before_any_connection(answer: list[str]) -> None:
    resolver = GuardedResolver(AddressPolicy(), Names(mixed_test=[answer]))
    with pytest.raises(FetchFailed, match="does not lead to the public Internet"):
        await resolver.resolve("mixed.test", 443)


async def test_a_name_is_resolved_once_and_that_answer_is_dialled(canary: Canary) -> None:
    """Rebinding: a check that resolves apart from the connection would be answered twice."""
    names = Names(rebind_test=[PUBLIC, PRIVATE])
    async with ModelServer([page(b"public")], host=PUBLIC, port=canary.port) as server:
        fetch = fetcher(names, server.port)
        url = f"http://rebind.test:{server.port}/"
        assert (await fetch.get(url)).body == b"public"
        assert names.asked == ["rebind.test"]
        with pytest.raises(FetchFailed, match="does not lead to the public Internet"):
            await fetch.get(url)
    assert names.asked == ["rebind.test"] * 2


async def test_a_name_that_turns_private_during_its_redirects_is_refused(canary: Canary) -> None:
    names = Names(rebind_test=[PUBLIC, PUBLIC, PRIVATE])

    def on(request: Received) -> Reply:
        return redirect(f"/{len(request.path)}")

    async with ModelServer(on, host=PUBLIC, port=canary.port) as server:
        with pytest.raises(FetchFailed) as failed:
            await fetcher(names, server.port).get(f"http://rebind.test:{server.port}/a")
    assert failed.value.kind == "refused_address"
    assert len(server.requests) == 2


async def test_redirects_are_followed_five_times_at_most() -> None:
    def chain(request: Received) -> Reply:
        left = int(request.path[1:])
        return redirect(f"/{left - 1}") if left else page(b"there")

    async with ModelServer(chain, host=PUBLIC) as server:
        fetch = fetcher(Names(a_test=[PUBLIC]), server.port)
        got = await fetch.get(f"http://a.test:{server.port}/5")
        assert (got.body, got.url) == (b"there", f"http://a.test:{server.port}/0")
        with pytest.raises(FetchFailed, match="redirects more than 5 times"):
            await fetch.get(f"http://a.test:{server.port}/6")


async def test_every_host_on_the_way_is_named() -> None:
    async with (
        ModelServer([page(b"x")], host=PUBLIC) as second,
        ModelServer([redirect(f"http://b.test:{second.port}/")], host=PUBLIC) as first,
    ):
        fetch = fetcher(Names(a_test=[PUBLIC], b_test=[PUBLIC]), first.port, second.port)
        got = await fetch.get(f"http://a.test:{first.port}/")
    assert got.hosts == ("a.test", "b.test")


async def test_a_failure_names_the_hosts_too() -> None:
    async with ModelServer([redirect("http://inside.test/")], host=PUBLIC) as server:
        fetch = fetcher(Names(a_test=[PUBLIC], inside_test=["10.0.0.1"]), server.port)
        with pytest.raises(FetchFailed) as failed:
            await fetch.get(f"http://a.test:{server.port}/")
    assert failed.value.hosts == ("a.test", "inside.test")


async def test_the_callers_headers_stay_with_the_first_origin() -> None:
    async with (
        ModelServer([page(b"x")], host=PUBLIC) as second,
        ModelServer([redirect(f"http://a.test:{second.port}/")], host=PUBLIC) as first,
    ):
        fetch = fetcher(Names(a_test=[PUBLIC]), first.port, second.port)
        await fetch.get(f"http://a.test:{first.port}/", headers={"X-Key": "secret"})
    assert first.requests[0].headers["x-key"] == "secret"
    assert "x-key" not in second.requests[0].headers


async def test_cookies_are_not_kept_and_the_environments_proxy_is_not_used(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{PRIVATE}:{canary.port}")
    monkeypatch.setenv("http_proxy", f"http://{PRIVATE}:{canary.port}")
    hop = redirect("/next")
    hop.headers["Set-Cookie"] = "a=b; Path=/"  # type: ignore[index]
    async with ModelServer([hop, page(b"x")], host=PUBLIC) as server:
        await fetcher(Names(a_test=[PUBLIC]), server.port).get(f"http://a.test:{server.port}/")
    assert len(server.requests) == 2
    assert "cookie" not in server.requests[1].headers


async def test_what_is_allowed_by_name_may_be_private() -> None:
    async with ModelServer([page(b"intranet")]) as server:
        names = Names(wiki_intern=[PRIVATE], other_intern=[PRIVATE])
        fetch = fetcher(names, allow=[f"wiki.intern:{server.port}"])
        got = await fetch.get(f"http://wiki.intern:{server.port}/")
        with pytest.raises(FetchFailed, match="names port"):
            await fetch.get(f"http://other.intern:{server.port}/")
    assert got.body == b"intranet"


async def test_an_unknown_host_and_a_closed_port_are_told_apart_from_nothing() -> None:
    async with Canary(PUBLIC) as gone:
        port = gone.port
    fetch = fetcher(Names(a_test=[PUBLIC]), port)
    for host in ("a.test", "unknown.test"):
        with pytest.raises(FetchFailed, match=f"{host} cannot be reached"):
            await fetch.get(f"http://{host}:{port}/")
