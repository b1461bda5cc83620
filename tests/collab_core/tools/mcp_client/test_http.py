"""Servers over streamable HTTP: a real one, and some that only pretend."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collab_core.errors import ToolFailed
from collab_core.tools.mcp_client import transports
from collab_core.tools.mcp_client.client import McpServer
from collab_core.tools.mcp_client.config import ServerConfig
from tests.fakes.model_server import HANG, ModelServer, Received, Reply

FAKE = Path(__file__).resolve().parents[3] / "fakes" / "mcp_server.py"


def _server(port: int, **changes: Any) -> McpServer:
    known: dict[str, Any] = {"url": f"http://127.0.0.1:{port}/mcp", "call_s": 10, "connect_s": 10}
    return McpServer("web", ServerConfig.model_validate(known | changes), environ={"KEY": "sesame"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A real server in a process of its own, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(FAKE), "http", str(number), stderr=asyncio.subprocess.DEVNULL
    )
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", number)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            break
    yield number
    process.kill()
    await process.wait()


async def test_a_server_is_used_over_http(port: int) -> None:
    server = _server(port)
    tools = {tool.name: tool for tool in await server.tools()}
    assert (await tools["web__add_two"]({"first": 1, "second": 41})).text == "42"
    with pytest.raises(ToolFailed, match="boiler"):
        await tools["web__boom"]({})
    said = await asyncio.gather(*(server.call("echo", {"text": str(n)}) for n in range(10)))
    assert [outcome.text for outcome in said] == [str(n) for n in range(10)]
    await server.aclose()


def _rpc(request: Received, **reply: Any) -> Reply:
    body = {"jsonrpc": "2.0", "id": request.json.get("id"), **reply}
    return Reply(
        actions=(json.dumps(body).encode(),), content_type="application/json", framing="length"
    )


def _handshake(request: Received, on_call: Reply) -> Reply:
    """Answer properly until a tool is called."""
    method = request.json.get("method") if request.body else ""
    if method == "initialize":
        info = {"name": "x", "version": "1"}
        version = request.json["params"]["protocolVersion"]
        return _rpc(
            request,
            result={"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info},
        )
    if method == "tools/call":
        return on_call
    if method == "tools/list":
        return _rpc(request, result={"tools": []})
    if request.body and "id" in request.json:
        return _rpc(request, error={"code": -32601, "message": "no such method"})
    return Reply(status=405 if request.method == "GET" else 202, framing="length")


async def _called(on_call: Reply, **changes: Any) -> str:
    """Return what a tool call against a server that answers it so says as its failure."""
    async with ModelServer(lambda request: _handshake(request, on_call)) as fake:
        server = _server(fake.port, **changes)
        with pytest.raises(ToolFailed) as failed:
            await server.call("x", {})
        await server.aclose()
    return failed.value.message


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=500, actions=(b"broken",)),
        Reply(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        Reply(actions=(b"<html>",), content_type="text/html"),
        Reply(actions=(b"{not json",), content_type="application/json"),
        Reply(actions=(gzip.compress(b"{}"),), content_type="application/json",
              headers={"Content-Encoding": "gzip"}),
    ],
)  # fmt: skip
async def test_a_reply_that_is_none_is_an_observation(reply: Reply) -> None:
    assert "tool server web" in await _called(reply)


async def test_a_reply_without_end_is_an_observation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "MAX_RESPONSE_BYTES", 100_000)
    endless = Reply(actions=(b" " * 65_536,) * 40 + (HANG,), content_type="application/json")
    assert "tool server web" in await _called(endless)


async def test_silence_is_an_observation() -> None:
    reply = Reply(actions=(b" ", HANG), content_type="application/json")
    assert "tool server web" in await _called(reply, call_s=0.5)


async def test_the_key_is_sent_by_name_and_not_to_another_origin() -> None:
    async with ModelServer([]) as other:
        hop = Reply(status=307, headers={"Location": f"http://127.0.0.1:{other.port}/mcp"})
        async with ModelServer(lambda request: _handshake(request, hop)) as fake:
            server = _server(fake.port, headers={"Authorization": "Bearer ${KEY}"})
            with pytest.raises(ToolFailed):
                await server.call("x", {})
            await server.aclose()
    assert {r.headers.get("authorization") for r in fake.requests} == {"Bearer sesame"}
    assert other.connections == 0


async def test_a_server_that_is_off_is_said_in_time() -> None:
    async with ModelServer([]) as gone:
        server = _server(gone.port, connect_s=2)
    with pytest.raises(ToolFailed, match="could not be started"):
        await server.tools()
