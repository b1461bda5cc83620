"""GET of one page: redirects by hand, no cookies, no proxy from the environment, bounded in all."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from collab_core.tools.fetch.addresses import AddressPolicy
from collab_core.tools.fetch.body import ACCEPT_ENCODING, Body
from collab_core.tools.fetch.connect import Lookup, SystemLookup, guarded_connector
from collab_core.tools.fetch.errors import FetchFailed
from collab_core.tools.fetch.urls import checked_url, followed_url

AGENT = "Tandem/0.1 (+agent reading a page)"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
DEFAULT_CONCURRENCY = 16


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """Bounds of one fetch, redirects included."""

    max_bytes: int = 2_000_000
    """Of the unpacked body; the rest is not read and ``Fetched.cut`` says so."""
    max_ratio: float = 100.0
    """Unpacked to received bytes, from half a megabyte on."""
    max_redirects: int = 5
    connect_s: float = 6.0
    between_chunks_s: float = 8.0
    total_s: float = 25.0


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A response of status 200; ``hosts`` are all hosts that were asked, in order."""

    url: str
    hosts: tuple[str, ...]
    media_type: str
    """In lower case, without parameters; "" = the server did not say."""
    charset: str
    body: bytes
    cut: bool


@dataclass(kw_only=True)
class _Trip:
    """One fetch under way."""

    policy: AddressPolicy
    url: URL
    headers: Mapping[str, str]
    """The caller's own, for the first origin only: they may hold a key."""
    hosts: list[str] = field(default_factory=list)


class Fetcher:
    """Fetches pages; one instance per event loop serves every run.

    ``lookup`` resolves names (tests give their own); ``policy`` says where connections may go.
    """

    def __init__(
        self,
        policy: AddressPolicy | None = None,
        *,
        limits: FetchLimits | None = None,
        lookup: Lookup | None = None,
        concurrency: int = DEFAULT_CONCURRENCY,
    ) -> None:
        self.policy = policy or AddressPolicy()
        self.limits = limits or FetchLimits()
        self._own_lookup = SystemLookup() if lookup is None else None
        self._lookup: Lookup = lookup or self._own_lookup  # type: ignore[assignment]
        self._slots = asyncio.Semaphore(concurrency)
        self._tls = ssl.create_default_context()

    async def get(
        self, url: str, *, accept: str = "*/*", headers: Mapping[str, str] | None = None
    ) -> Fetched:
        """Return the page at ``url``, whatever its type.

        Raises:
            FetchFailed: it may not be fetched, or could not; ``hosts`` names who was asked.
        """
        checked = checked_url(url, self.policy)
        own = {**(headers or {}), "Accept": accept}
        trip = _Trip(policy=self.policy, url=checked, headers=own)
        try:
            async with self._slots, asyncio.timeout(self.limits.total_s):
                return await self._follow(trip)
        except TimeoutError:
            failed = FetchFailed(
                "timeout", f"The page did not come within {self.limits.total_s:g} s."
            )
            failed.hosts = tuple(trip.hosts)
            raise failed from None
        except FetchFailed as error:
            error.hosts = tuple(trip.hosts)
            raise

    def close(self) -> None:
        """Give the resolver's threads back."""
        if self._own_lookup is not None:
            self._own_lookup.close()

    async def _follow(self, trip: _Trip) -> Fetched:
        origin = trip.url.origin()
        for _ in range(self.limits.max_redirects + 1):
            host = trip.url.raw_host or ""
            if host not in trip.hosts:
                trip.hosts.append(host)
            if trip.url.origin() != origin:
                trip.headers = {"Accept": trip.headers["Accept"]}
            fetched = await self._ask(trip)
            if isinstance(fetched, Fetched):
                return fetched
            trip.url = followed_url(trip.url, fetched, trip.policy)
        raise FetchFailed(
            "redirects", f"The page redirects more than {self.limits.max_redirects} times."
        )

    async def _ask(self, trip: _Trip) -> Fetched | str:
        """Return the page, or where it redirects to."""
        host = trip.url.raw_host or ""
        timeout = aiohttp.ClientTimeout(
            total=None,
            sock_connect=self.limits.connect_s,
            sock_read=self.limits.between_chunks_s,
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=guarded_connector(host, trip.policy, self._lookup),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                    timeout=timeout,
                    skip_auto_headers=("User-Agent",),
                ) as session,
                session.get(
                    trip.url,
                    headers={
                        "User-Agent": AGENT,
                        "Accept-Encoding": ACCEPT_ENCODING,
                        **trip.headers,
                    },
                    allow_redirects=False,
                    ssl=self._tls,
                ) as response,
            ):
                return await self._received(trip, response)
        except aiohttp.ServerTimeoutError:
            raise FetchFailed("timeout", f"{host} stopped sending, or did not answer.") from None
        except aiohttp.ClientConnectorCertificateError:
            raise FetchFailed("unreachable", f"{host} has no valid certificate.") from None
        except (aiohttp.ClientConnectorError, aiohttp.ClientOSError, OSError):
            raise FetchFailed(
                "unreachable", f"{host} cannot be reached, or has no such address."
            ) from None
        except (aiohttp.ClientError, ValueError):
            raise FetchFailed("unreadable", f"{host} does not answer in proper HTTP.") from None

    async def _received(self, trip: _Trip, response: aiohttp.ClientResponse) -> Fetched | str:
        if response.status in REDIRECTS:
            # the body of a redirect is never read
            return response.headers.get("Location", "")
        host = trip.url.raw_host or ""
        if response.status != 200:
            raise FetchFailed(
                "status",
                f"{host} answered {response.status} {(response.reason or '')[:60]}.".strip(),
            )
        body = Body(
            encoding=response.headers.get("Content-Encoding", ""),
            max_bytes=self.limits.max_bytes,
            max_ratio=self.limits.max_ratio,
        )
        await body.read(response.content)
        return Fetched(
            url=str(trip.url),
            hosts=tuple(trip.hosts),
            media_type=response.content_type.lower() if "Content-Type" in response.headers else "",
            charset=response.charset or "",
            body=body.content,
            cut=body.cut,
        )
