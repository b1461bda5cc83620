"""A model server that costs next to nothing: the fixed point the benchmarks measure clients against.

It answers every POST with the same chat completion: streamed when the body asks for it, whole
otherwise. ``--live`` sends one chunk per token at ``--rate`` tokens per second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

try:
    import uvloop
except ImportError:  # the stub is only slower without it
    uvloop = None  # type: ignore[assignment]

CALL = {"name": "search", "arguments": '{"query": "river port city"}'}
USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 21,
    "total_tokens": 1221,
    "prompt_tokens_details": {"cached_tokens": 1152},
}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "stub"}


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    body = {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _tool_delta() -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": CALL}]}


def stream_events(tokens: int) -> list[bytes]:
    """Return the events of one streamed reply: ``tokens`` words, one tool call, usage, the end."""
    events = [_chunk({"role": "assistant", "content": ""})]
    events += [_chunk({"content": f" word{i}"}) for i in range(tokens)]
    events.append(_chunk(_tool_delta()))
    events.append(_chunk({}, "tool_calls"))
    usage = {**HEAD, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    return [*events, b"data: " + json.dumps(usage).encode() + b"\n\n", b"data: [DONE]\n\n"]


def whole_reply(tokens: int) -> bytes:
    """Return the same reply as one chat.completion."""
    message = {
        "role": "assistant",
        "content": "".join(f" word{i}" for i in range(tokens)),
        "tool_calls": [{"id": "call_1", "type": "function", "function": CALL}],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}
    body = {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    return json.dumps(body).encode()


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Stub(asyncio.Protocol):
    """One keep-alive connection; pipelining is not supported."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._buffer = bytearray()
        self._options = options
        self._live = [_http_chunk(event) for event in stream_events(options.tokens)]
        self._streamed = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        body = whole_reply(options.tokens)
        self._whole = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        ) + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end]).lower()
        length = 0
        at = head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._buffer) < end + 4 + length:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        loop = asyncio.get_running_loop()
        if self._options.delay_s:
            loop.call_later(self._options.delay_s, self._answer, body)
        else:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        # the flag is near the head or the tail of a body, never inside a long history
        if b'"stream":true' not in body[:300].replace(b" ", b"") + body[-300:].replace(b" ", b""):
            self._transport.write(self._whole)
        elif self._options.rate:
            self._transport.write(self._streamed)
            self._tick(0)
        else:
            self._transport.write(self._streamed + b"".join(self._live) + b"0\r\n\r\n")

    def _tick(self, index: int) -> None:
        if self._transport.is_closing():
            return
        if index >= len(self._live):
            self._transport.write(b"0\r\n\r\n")
            return
        self._transport.write(self._live[index])
        asyncio.get_running_loop().call_later(1 / self._options.rate, self._tick, index + 1)


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(options), "127.0.0.1", options.port)
    print(server.sockets[0].getsockname()[1], flush=True)
    # the parent holds our stdin: when it dies, we end
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


def main() -> None:
    """Serve until stdin closes; the port is the first line of output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument(
        "--rate", type=float, default=0.0, help="tokens per second; 0 = all at once"
    )
    parser.add_argument("--delay-s", type=float, default=0.0)
    options = parser.parse_args()
    if uvloop is not None:
        uvloop.run(_serve(options))
    else:
        asyncio.run(_serve(options))


if __name__ == "__main__":
    main()
