"""The certificate is that of the name in the address, though the connection goes to a checked address."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from collab_core.tools.fetch import FetchFailed
from tests.collab_core.tools.fetch.world import PUBLIC, Names, fetcher

HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
AUTHORITY = trustme.CA()


class Secure:
    """A TLS server for one name; it notes the names that clients asked for."""

    def __init__(self, name: str) -> None:
        self.names: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = self._note
        AUTHORITY.issue_cert(name).configure_cert(self._context)

    def _note(self, _socket: object, name: str | None, _context: object) -> None:
        self.names.append(name)

    async def __aenter__(self) -> Secure:
        self._server = await asyncio.start_server(self._serve, PUBLIC, 0, ssl=self._context)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HELLO)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Secure]:
    async with Secure("bank.test") as server:
        yield server


async def _get(server: Secure, host: str) -> bytes:
    fetch = fetcher(Names(bank_test=[PUBLIC], evil_test=[PUBLIC]), server.port)
    AUTHORITY.configure_trust(fetch._tls)
    return (await fetch.get(f"https://{host}:{server.port}/")).body


async def test_the_name_in_the_address_is_asked_for_and_verified(server: Secure) -> None:
    assert await _get(server, "bank.test") == b"hello"
    assert server.names == ["bank.test"]


async def test_a_certificate_of_another_name_is_refused(server: Secure) -> None:
    with pytest.raises(FetchFailed, match=r"evil\.test has no valid certificate"):
        await _get(server, "evil.test")


async def test_a_certificate_of_nobody_we_know_is_refused(server: Secure) -> None:
    fetch = fetcher(Names(bank_test=[PUBLIC]), server.port)
    with pytest.raises(FetchFailed, match="no valid certificate"):
        await fetch.get(f"https://bank.test:{server.port}/")
