"""A model server that does exactly what each test tells it to, on a raw socket.

It can do what a well-behaved server cannot: cut a reply at any byte, stall, speak HTML, lie about a
length. Every request is recorded with its arrival time; requests beyond the script get HTTP 599.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

Framing = Literal["chunked", "length", "close"]


@dataclass(frozen=True)
class Pause:
    """Say nothing for so many seconds, then go on."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """Reset the connection in the middle of the reply."""


@dataclass(frozen=True)
class Hang:
    """Say nothing more until the client leaves."""


Action = bytes | Pause | Cut | Hang
HANG = Hang()
CUT = Cut()


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One response: ``actions`` are its body, piece by piece, each flushed before the next."""

    actions: Sequence[Action] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "text/event-stream; charset=utf-8"
    framing: Framing = "chunked"
    before_head_s: float = 0.0
    """Silence before the status line."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    at: float
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Iterable[Reply] | Callable[[Received], Reply]


def sse(*payloads: object, done: bool = True) -> bytes:
    """Return the bytes of a stream with these JSON payloads."""
    text = "".join(f"data: {json.dumps(p, ensure_ascii=False)}\n\n" for p in payloads)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def delta(finish: str | None = None, **fields: object) -> dict[str, Any]:
    """Return one chunk whose first choice has this delta."""
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]}


def usage(prompt: int = 10, completion: int = 3, cached: int | None = None) -> dict[str, Any]:
    """Return the last chunk, the one with the usage."""
    body: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion}
    if cached is not None:
        body["prompt_tokens_details"] = {"cached_tokens": cached}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": body}


def hello() -> Reply:
    """Return a small, complete, correct reply."""
    stream = sse(
        delta(role="assistant", content=""), delta(content="Hello"), delta(content=" world"),
        delta(finish="stop"), usage(),
    )  # fmt: skip
    return Reply(actions=(stream,))


def error(status: int, message: str, **headers: str) -> Reply:
    """Return an OpenAI-style error; ``retry_after="3"`` becomes the header Retry-After."""
    body = json.dumps({"error": {"message": message, "type": "x", "code": status}}).encode()
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Reply(
        actions=(body,),
        status=status,
        headers=named,
        content_type="application/json",
        framing="length",
    )


class ModelServer:
    """``async with ModelServer([reply, …]) as server``: answers on loopback until the block ends."""

    def __init__(self, script: Script, *, port: int = 0, host: str = "127.0.0.1") -> None:
        self._wanted_port = port
        self.host = host
        self._answer = script if callable(script) else _in_turn(script)
        self.requests: list[Received] = []
        self.left = asyncio.Event()
        """The client closed its connection while a reply was hanging or paused."""
        self.connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self.host, self._wanted_port)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        connection = self.connections
        try:
            while (request := await _read_request(reader, connection)) is not None:
                self.requests.append(request)
                if not await self._reply(self._answer(request), reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        except asyncio.CancelledError:
            # the test is over; asyncio.streams of 3.11 cannot stand a cancelled handler
            return
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _reply(
        self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Play the reply; return whether the connection can be used again."""
        if reply.before_head_s and await self._gone(reader, reply.before_head_s):
            return False
        writer.write(_head(reply))
        for action in reply.actions:
            if isinstance(action, bytes):
                if action:
                    writer.write(
                        b"%x\r\n%s\r\n" % (len(action), action)
                        if reply.framing == "chunked"
                        else action
                    )
                await writer.drain()
            elif isinstance(action, Cut):
                writer.transport.abort()
                return False
            elif await self._gone(reader, action.seconds if isinstance(action, Pause) else 30.0):
                return False
        if reply.framing == "chunked":
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return reply.framing != "close"

    async def _gone(self, reader: asyncio.StreamReader, seconds: float) -> bool:
        """Wait; return True at once if the client leaves meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await reader.read(1)
        except TimeoutError:
            return False
        self.left.set()
        return True


def _in_turn(replies: Iterable[Reply]) -> Callable[[Received], Reply]:
    rest = iter(replies)

    def answer(_: Received) -> Reply:
        return next(rest, error(599, "the script of this test has no more replies"))

    return answer


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Test", f"Content-Type: {reply.content_type}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    if reply.framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
    elif reply.framing == "length" and "Content-Length" not in reply.headers:
        size = sum(len(action) for action in reply.actions if isinstance(action, bytes))
        lines.append(f"Content-Length: {size}")
    elif reply.framing == "close":
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {}
    for line in filter(None, lines):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(
        method=method,
        path=path,
        headers=headers,
        body=body,
        at=time.monotonic(),
        connection=connection,
    )
