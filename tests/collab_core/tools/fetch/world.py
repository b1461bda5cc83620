"""A small Internet on loopback: 127.0.0.2 plays the public part, 127.0.0.1 the private one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Self

from collab_core.tools.fetch import AddressPolicy, Fetcher, FetchLimits
from collab_core.tools.fetch.addresses import parse_allowed
from tests.fakes.model_server import Reply

PUBLIC = "127.0.0.2"
PRIVATE = "127.0.0.1"
QUICK = FetchLimits(
    max_bytes=200_000, connect_s=2.0, between_chunks_s=0.3, total_s=1.5, max_redirects=5
)


class Names:
    """A name server: each name has its answers in turn, the last one for ever; all asked are kept."""

    def __init__(self, **answers: Sequence[str | Sequence[str]]) -> None:
        self._answers = {name.replace("_", "."): list(turns) for name, turns in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        turns = self._answers.get(host)
        if turns is None:
            raise OSError(f"unknown host {host}")
        answer = turns.pop(0) if len(turns) > 1 else turns[0]
        return [answer] if isinstance(answer, str) else answer


class Canary:
    """A listener on a private address that must never be connected to."""

    def __init__(self, host: str = PRIVATE) -> None:
        self.host = host
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._sing, self.host, 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _sing(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


def fetcher(
    names: Names,
    *ports: int,
    limits: FetchLimits = QUICK,
    allow: Iterable[str] = (),
) -> Fetcher:
    """Return a fetcher that takes 127.0.0.2 for public, and ``ports`` for usual ones."""
    allowed = (f"{PUBLIC}:{port}" for port in ports)
    policy = AddressPolicy(
        allowed=tuple(parse_allowed(entry) for entry in (*allowed, *allow)),
        ports=frozenset({80, 443, *ports}),
    )
    return Fetcher(policy, limits=limits, lookup=names)


def page(*pieces: bytes, kind: str = "text/html; charset=utf-8", **headers: str) -> Reply:
    """Return a page of status 200; ``content_encoding="gzip"`` becomes that header."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}
    return Reply(actions=pieces, content_type=kind, headers=named)


def redirect(to: str, *pieces: bytes, status: int = 302) -> Reply:
    return Reply(actions=pieces, status=status, headers={"Location": to})
