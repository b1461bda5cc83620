from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.backends.retry import RetryPolicy
from collab_core.errors import (
    ContextTooLong,
    EndpointFailed,
    EndpointRefused,
    EndpointUnreachable,
    ProtocolViolation,
    RateLimited,
    RequestRejected,
)
from tests.collab_core.backends.calls import (
    ask,
    backend,
    outcome,
    quick,
    tier,
)
from tests.collab_core.backends.streams import PLAIN, RECORDED
from tests.fakes.model_server import (
    CUT,
    ModelServer,
    Reply,
    delta,
    error,
    hello,
    sse,
    usage,
)

HTML = Reply(actions=(b"<html>Sign in</html>",), content_type="text/html", framing="length")
REFUSALS = {
    "401": (error(401, "bad key"), EndpointRefused, 1, "sends no key"),
    "403": (error(403, "no"), EndpointRefused, 1, "sends no key"),
    "405": (error(405, "no"), EndpointRefused, 1, "/v1"),
    "400": (error(400, "temperature must be >= 0"), RequestRejected, 1, "refuses"),
    "422": (error(422, "bad"), RequestRejected, 1, "refuses"),
    "too long": (error(400, "This model's maximum context length is 4096 tokens."), ContextTooLong, 1, "32768 tokens"),
    "429": (error(429, "slow down"), RateLimited, 4, "now 64"),
    "408": (error(408, "timeout"), EndpointFailed, 4, "log"),
    "500": (error(500, "boom"), EndpointFailed, 4, "log"),
    "502": (replace(HTML, status=502), EndpointFailed, 4, "log"),
    "503": (error(503, "loading"), EndpointFailed, 4, "log"),
    "204": (Reply(status=204, framing="length"), ProtocolViolation, 4, ""),
    "html": (HTML, ProtocolViolation, 4, "/v1"),
    "gzip": (Reply(actions=(b"\x1f\x8b",), headers={"Content-Encoding": "gzip"}), ProtocolViolation, 4, "compression"),
    "abort": (Reply(actions=(sse(delta(content="a"), delta(finish="abort")),)), EndpointFailed, 4, "log"),
    "cut": (Reply(actions=(PLAIN[:400], CUT)), EndpointFailed, 4, "died"),
    "no head": (Reply(actions=(CUT,), before_head_s=0.01), EndpointFailed, 4, "died"),
    "short body": (Reply(actions=(PLAIN[:400], CUT), framing="length", headers={"Content-Length": "9999"}), EndpointFailed, 4, "died"),
    "clean end too early": (Reply(actions=(PLAIN[:400],), framing="close"), EndpointFailed, 4, ""),
    "endless": (Reply(actions=(sse(delta(content="la "), done=False),) * 9000), ProtocolViolation, 1, "max_tokens"),
    "filtered": (Reply(actions=(sse(delta(finish="content_filter"), usage()),)), RequestRejected, 1, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
async def test_bad_answers(name: str) -> None:
    reply, kind, requests, hint = REFUSALS[name]
    failure, count, _ = await outcome([reply] * 9)
    assert isinstance(failure, kind)
    assert (count, len(failure.attempts)) == (requests, requests)
    assert failure.attempts[-1].code == failure.code == kind.code
    assert hint in failure.hint


async def test_a_redirect_is_not_followed() -> None:
    async with ModelServer([hello()]) as other:
        away = replace(error(307, "moved"), headers={"Location": other.base_url})
        failure, count, _ = await outcome([away], api_key_env="KEY")
    assert (type(failure), count, other.requests) == (EndpointRefused, 1, [])
    assert other.base_url in failure.message


async def test_a_404_says_which_models_there_are() -> None:
    listed = b'{"object":"list","data":[{"id":"small-2"},{"id":"large"}]}'
    models = Reply(actions=(listed,), content_type="application/json")
    failure, count, _ = await outcome([error(404, "no such model"), models])
    assert (type(failure), count) == (EndpointRefused, 1)
    assert failure.hint.endswith("It lists: small-2, large")


async def test_a_404_from_a_stranger_says_that_nothing_is_listed() -> None:
    failure, _, _ = await outcome([error(404, "x"), HTML])
    assert failure.hint.endswith("does not list its models.")


async def test_a_wrong_key_names_its_variable() -> None:
    failure, _, _ = await outcome([error(401, "no")], api_key_env="KEY")
    assert "KEY is set" in failure.hint


@pytest.mark.parametrize("environ", [{}, {"KEY": " "}, {"KEY": "a\nb"}, {"KEY": "ключ"}])
async def test_an_unusable_key_is_told_without_a_request(environ: dict[str, str]) -> None:
    async with ModelServer([]) as server:
        made = OpenAICompatible(environ=environ)
        with pytest.raises(EndpointRefused, match="KEY") as caught:
            await made.complete(ask(tier(server.base_url, api_key_env="KEY")))
        await made.aclose()
    assert server.requests == []
    assert "KEY" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["", "localhost:8000/v1", "ftp://h/v1", "http://", "http://u:p@h/v1", "http://h/v1?a=b", "http://h:99999/v1"]
)  # fmt: skip
async def test_an_address_that_is_none(url: str) -> None:
    async with backend() as made:
        with pytest.raises(EndpointRefused, match="not a plain http") as caught:
            await made.complete(ask(tier(url)))
    assert "http://host:8000/v1" in caught.value.hint


async def test_nobody_listens() -> None:
    async with ModelServer([]) as server:
        url = server.base_url
    async with quick() as (made, time):
        with pytest.raises(EndpointUnreachable, match="No connection") as caught:
            await made.complete(ask(tier(url)))
    assert (len(caught.value.attempts), time.slept) == (4, [0.5, 1.0, 2.0])
    assert url in caught.value.hint


async def test_no_such_host() -> None:
    async with quick() as (made, _):
        with pytest.raises(EndpointUnreachable):
            await made.complete(ask(tier("http://no-such-host.invalid/v1")))


@contextlib.asynccontextmanager
async def stranger(answer: bytes) -> AsyncIterator[int]:
    """Listen as something that is no model server: the same bytes for whatever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_without_tls() -> None:
    async with stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, quick() as (made, _):
        with pytest.raises(EndpointUnreachable, match="No connection"):
            await made.complete(ask(tier(f"https://127.0.0.1:{port}/v1")))


async def test_something_that_is_not_http() -> None:
    async with stranger(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as port, quick() as (made, _):
        with pytest.raises(ProtocolViolation, match="does not speak HTTP"):
            await made.complete(ask(tier(f"http://127.0.0.1:{port}/v1")))


@pytest.mark.parametrize("ending", ["clean", "reset"])
@pytest.mark.parametrize("name", sorted(RECORDED))
async def test_a_connection_cut_anywhere_is_a_full_reply_or_a_failed_attempt(
    name: str, ending: str
) -> None:
    stream = RECORDED[name]
    async with ModelServer([Reply(actions=(stream,))]) as server, backend() as made:
        full = await made.complete(ask(tier(server.base_url)))
    cuts = range(0, len(stream), 29)
    after: tuple[Any, ...] = (CUT,) if ending == "reset" else ()
    script = [Reply(actions=(stream[:cut], *after), framing="close") for cut in cuts]
    once = RetryPolicy(max_attempts=1)
    async with ModelServer(script) as server, backend(retry=once) as made:
        for _ in cuts:
            try:
                reply = await made.complete(ask(tier(server.base_url)))
            except (EndpointFailed, ProtocolViolation):
                continue
            assert replace(reply, timing=full.timing) == full
    assert len(server.requests) == len(cuts)
