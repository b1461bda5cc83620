"""Bounded ways to a server. The official stdio transport keeps a line of any length in memory, and
the HTTP one a JSON reply of any size; a server that floods would take the worker down with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import httpx2
from mcp.client.stdio import get_default_environment
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from collab_core.tools.mcp_client.config import ServerConfig

MAX_LINE_BYTES = 4_000_000
MAX_BYTES_UNASKED = 16_000_000
"""Received since the last request was sent: more is a flood."""
MAX_MESSAGES_UNASKED = 5_000
MAX_RESPONSE_BYTES = 8_000_000
EXIT_S = 1.0
_STDERR_CHUNKS = 4

ReadEnd = anyio.abc.ObjectReceiveStream[SessionMessage | Exception]
WriteEnd = anyio.abc.ObjectSendStream[SessionMessage]


class Stdio:
    """A server as a child process in a group of its own, speaking JSON lines."""

    def __init__(self, config: ServerConfig, env: Mapping[str, str]) -> None:
        self._config = config
        self._env = {**get_default_environment(), "LANG": "C.UTF-8", **env}
        self._last_words: deque[bytes] = deque(maxlen=_STDERR_CHUNKS)
        self._bytes = 0
        self._messages = 0

    @property
    def last_words(self) -> str:
        """What the server last wrote to its error output, at most 4 kB."""
        return b"".join(self._last_words)[-4_000:].decode(errors="replace")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[ReadEnd, WriteEnd]]:
        """Start the server; it and its children are gone when the block is left.

        Raises:
            OSError: it cannot be started.
        """
        process = await asyncio.create_subprocess_exec(
            self._config.command,
            *self._config.args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
            cwd=self._config.cwd or None,
            limit=MAX_LINE_BYTES,
            start_new_session=True,
        )
        to_session, read_end = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        write_end, from_session = anyio.create_memory_object_stream[SessionMessage](0)
        assert process.stdin
        assert process.stdout
        assert process.stderr
        pumps = [
            asyncio.ensure_future(self._read(process.stdout, to_session)),
            asyncio.ensure_future(self._write(process.stdin, from_session, to_session)),
            asyncio.ensure_future(self._listen(process.stderr)),
        ]
        try:
            yield read_end, write_end
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for stream in (to_session, read_end, write_end, from_session):
                stream.close()
            await _end(process)

    async def _read(
        self,
        stdout: asyncio.StreamReader,
        to_session: anyio.abc.ObjectSendStream[SessionMessage | Exception],
    ) -> None:
        """Pass messages on until the server ends, breaks the protocol or floods."""
        async with to_session:
            while True:
                try:
                    line = await stdout.readline()
                except ValueError:  # a line over the limit
                    return
                self._bytes += len(line)
                self._messages += 1
                if (
                    not line
                    or self._bytes > MAX_BYTES_UNASKED
                    or self._messages > MAX_MESSAGES_UNASKED
                ):
                    return
                if not line.strip():
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError:
                    continue  # servers print greetings to the wrong stream
                try:
                    await to_session.send(SessionMessage(message))
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    return

    async def _write(
        self,
        stdin: asyncio.StreamWriter,
        from_session: anyio.abc.ObjectReceiveStream[SessionMessage],
        to_session: anyio.abc.ObjectSendStream[SessionMessage | Exception],
    ) -> None:
        async with from_session:
            async for item in from_session:
                self._bytes = self._messages = 0
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                try:
                    stdin.write(text.encode() + b"\n")
                    await stdin.drain()
                except (ConnectionError, RuntimeError):
                    await to_session.aclose()
                    return

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while chunk := await stderr.read(1_000):
            self._last_words.append(chunk)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its input, give it a moment, then kill the whole group."""
    if process.stdin is not None:
        process.stdin.close()
    # what it still writes is read and dropped: a full pipe would keep it, and its transport, alive
    leaving = asyncio.gather(process.wait(), _drained(process.stdout), _drained(process.stderr))
    try:
        await asyncio.wait({leaving}, timeout=EXIT_S)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    await asyncio.wait({leaving}, timeout=EXIT_S)
    leaving.cancel()


async def _drained(pipe: asyncio.StreamReader | None) -> None:
    while pipe is not None and await pipe.read(1_000_000):
        pass


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._inner:
            received += len(chunk)
            if received > MAX_RESPONSE_BYTES:
                raise httpx2.ReadError(f"The reply is larger than {MAX_RESPONSE_BYTES:,} bytes.")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


class BoundedTransport(httpx2.AsyncHTTPTransport):
    """HTTP with a bound on each reply; a compressed one was not asked for and is refused."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            await response.aclose()
            raise httpx2.RemoteProtocolError("The reply is compressed, which was not asked for.")
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream)
        return response


@asynccontextmanager
async def open_http(
    config: ServerConfig, headers: Mapping[str, str]
) -> AsyncIterator[tuple[ReadEnd, WriteEnd]]:
    """Connect to a server by streamable HTTP; redirects stay within its origin."""
    client = httpx2.AsyncClient(
        headers=dict(headers),
        timeout=httpx2.Timeout(config.connect_s, read=config.call_s),
        transport=BoundedTransport(trust_env=False),
        trust_env=False,
    )
    async with client, streamable_http_client(config.url, http_client=client) as streams:
        yield streams  # type: ignore[misc]
