"""Bombs, floods and dawdlers end in their own bound, and memory stays small."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import resource
import tracemalloc
import zlib
from typing import Any

import pytest

from collab_core.tools.fetch import Fetched, FetchFailed
from collab_core.tools.fetch.body import Body
from tests.collab_core.tools.fetch.world import PUBLIC, QUICK, Names, fetcher, page, redirect
from tests.fakes.model_server import CUT, HANG, ModelServer, Pause, Reply


async def _get(reply: Reply, **limits: Any) -> Fetched:
    async with ModelServer([reply], host=PUBLIC) as server:
        names = Names(a_test=[PUBLIC])
        bounds = QUICK if not limits else type(QUICK)(**{**vars(QUICK), **limits})
        return await fetcher(names, server.port, limits=bounds).get(f"http://a.test:{server.port}/")


def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1_000_000)
    return b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda raw: zlib.compress(raw)[2:-4]),
        ("identity", bytes),
        ("", bytes),
    ],
)
async def test_what_was_asked_for_is_unpacked(encoding: str, pack: Any) -> None:
    text = bytes(range(256)) * 300
    got = await _get(page(pack(text), content_encoding=encoding))
    assert got.body == text
    assert not got.cut


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(FetchFailed, match="not asked for"):
        await _get(page(b"x", content_encoding=encoding))


async def test_broken_compression_is_said() -> None:
    with pytest.raises(FetchFailed, match="compressed content is broken"):
        await _get(page(b"this is no gzip", content_encoding="gzip"))


async def test_a_bomb_is_refused_with_little_memory() -> None:
    """300 MB of zeros in 300 kB."""
    bomb = _bomb(300)
    tracemalloc.start()
    with pytest.raises(FetchFailed, match="over 100 times its size"):
        await _get(page(bomb, content_encoding="gzip"), max_bytes=50_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


async def test_a_page_that_is_only_long_is_cut() -> None:
    got = await _get(page(b"x" * 500_000))
    assert len(got.body) == 200_000
    assert got.cut


async def test_the_body_of_a_redirect_is_never_read() -> None:
    hop = redirect("/next", _bomb(50), HANG)
    async with ModelServer([hop, page(b"there")], host=PUBLIC) as server:
        got = await fetcher(Names(a_test=[PUBLIC]), server.port).get(
            f"http://a.test:{server.port}/"
        )
    assert got.body == b"there"


async def test_chunks_without_end_are_cut() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
        try:
            while True:
                writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, PUBLIC, 0)
    port = server.sockets[0].getsockname()[1]
    got = await fetcher(Names(a_test=[PUBLIC]), port).get(f"http://a.test:{port}/")
    server.close()
    assert (len(got.body), got.cut) == (200_000, True)


async def test_a_dawdler_is_given_up_after_the_total_time() -> None:
    drops = tuple(piece for _ in range(50) for piece in (b"x", Pause(0.1)))
    with pytest.raises(FetchFailed, match=r"within 1\.5 s"):
        await _get(page(*drops))


async def test_silence_in_the_middle_is_given_up() -> None:
    with pytest.raises(FetchFailed, match="stopped sending") as failed:
        await _get(page(b"x", HANG))
    assert failed.value.kind == "timeout"


async def test_silence_before_the_first_byte_is_given_up() -> None:
    with pytest.raises(FetchFailed) as failed:
        await _get(Reply(actions=(b"x",), before_head_s=30))
    assert failed.value.kind == "timeout"


async def test_a_name_server_that_hangs_is_given_up() -> None:
    async def hangs(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(FetchFailed, match=r"within 1\.5 s"):
        await fetcher(hangs, 80).get("http://a.test/")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (page(b"half", CUT), "cannot be reached|proper HTTP"),
        (Reply(actions=(b"x",), status=404), "answered 404"),
        (Reply(actions=(), status=204, framing="close"), "answered 204"),
        (Reply(actions=(b"x",), headers={"X": "y" * 70_000}), "proper HTTP"),
        (Reply(actions=(b"x",), headers={"Content-Length": "-5"}, framing="length"), "proper HTTP"),
        (Reply(actions=(), status=301), "redirects more than"),
    ],
)
async def test_a_server_that_misbehaves_gives_a_clear_error(reply: Reply, says: str) -> None:
    async with ModelServer(lambda _: reply, host=PUBLIC) as server:
        fetch = fetcher(Names(a_test=[PUBLIC]), server.port)
        with pytest.raises(FetchFailed, match=says):
            await fetch.get(f"http://a.test:{server.port}/")


class _Pieces:
    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]

    async def readany(self) -> bytes:
        return self._pieces.pop(0)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
async def test_pieces_of_any_size_give_the_same_body(size: int) -> None:
    text = b"The quick brown fox. " * 900
    packed = zlib.compress(text)
    pieces = [packed[i : i + size] for i in range(0, len(packed), size)]
    body = Body(encoding="deflate", max_bytes=10**6, max_ratio=1_000)
    await body.read(_Pieces(*pieces))
    assert body.content == text


ENDLESS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 1_000),
    "one header": (b"HTTP/1.1 200 OK\r\nX-A: ", b"x" * 8_192),
    "interim replies": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 200),
    "chunk size": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0" * 8_192),
    "chunk extension": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"x" * 8_192),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-A: b\r\n" * 1_000),
    "tiny chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000),
    "no reply": (b"", b"nonsense " * 1_000),
}  # fmt: skip


@pytest.mark.parametrize(("start", "more"), ENDLESS.values(), ids=ENDLESS)
async def test_what_never_ends_stays_small(start: bytes, more: bytes) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        try:
            while True:
                writer.write(more)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(endless, PUBLIC, 0)
    port = server.sockets[0].getsockname()[1]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # some of it is a page that is cut, the rest ends as one failure or another: nothing else is raised
    with contextlib.suppress(FetchFailed):
        await fetcher(Names(a_test=[PUBLIC]), port).get(f"http://a.test:{port}/")
    server.close()
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 60_000
