"""Connections to checked addresses only: the name is resolved once, and that answer is dialled.

Host header and TLS name stay those of the URL. The socket's factory checks again what it is about
to be connected to: literal addresses never pass the resolver.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from collab_core.tools.fetch.addresses import AddressPolicy, parse_address
from collab_core.tools.fetch.errors import FetchFailed

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns all addresses of a host, IPv4 and IPv6; raises OSError."""
MAX_ADDRESSES = 64


class SystemLookup:
    """The system's resolver in threads of its own: a slow name server must not block others."""

    def __init__(self, *, threads: int = 4) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="fetch-dns")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._executor, ask)
        return [str(place[4][0]) for place in found]

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class GuardedResolver(AbstractResolver):
    """Answers with addresses that the policy permits; one that it does not spoils the whole answer.

    Raises (from ``resolve``):
        FetchFailed: an address of the host is not permitted. OSError: it has none.
    """

    def __init__(self, policy: AddressPolicy, lookup: Lookup) -> None:
        self._policy = policy
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = list(dict.fromkeys(await self._lookup(host, port)))[:MAX_ADDRESSES]
        if not answers:
            raise OSError(f"{host} has no address")
        return [self._checked(host, port, answer) for answer in answers]

    def _checked(self, host: str, port: int, answer: str) -> ResolveResult:
        address = parse_address(answer)
        if address is None or not self._policy.permits(host, port, address):
            raise refused_address(host)
        return ResolveResult(
            hostname=host,
            host=str(address),
            port=port,
            family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
            proto=0,
            flags=socket.AI_NUMERICHOST,
        )

    async def close(self) -> None:
        """Nothing is held open."""


def guarded_connector(host: str, policy: AddressPolicy, lookup: Lookup) -> aiohttp.TCPConnector:
    """Return a connector for one request to ``host``; nothing of it is ever used again."""
    return aiohttp.TCPConnector(
        resolver=GuardedResolver(policy, lookup),
        use_dns_cache=False,
        force_close=True,
        limit=1,
        socket_factory=partial(_checked_socket, host, policy),
    )


def _checked_socket(host: str, policy: AddressPolicy, addr_info: Any) -> socket.socket:
    family, kind, proto, _, place = addr_info
    address = parse_address(str(place[0]))
    if address is None or not policy.permits(host, int(place[1]), address):
        raise refused_address(host)
    made = socket.socket(family=family, type=kind, proto=proto)
    made.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return made


def refused_address(host: str) -> FetchFailed:
    return FetchFailed(
        "refused_address",
        f"{host} does not lead to the public Internet, so it is not fetched. Use another source.",
    )
