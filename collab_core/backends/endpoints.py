"""One pooled session per (address, key variable); a key leaves only for its own host."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from collab_core import __version__
from collab_core.domain import Tier
from collab_core.errors import EndpointRefused, InvalidInput

_KEEPALIVE_S = 4.0
"""Below uvicorn's 5 s, so that we never send on a connection its server is just closing."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where to send a tier's calls, and with what."""

    session: aiohttp.ClientSession
    base: URL
    chat_url: URL
    headers: Mapping[str, str]
    key: str

    def url(self, path: str) -> URL:
        return self.base / path

    def headers_with(self, request_id: str) -> CIMultiDict[str]:
        """Return the headers of one request; the id is kept to what a header can carry."""
        headers = CIMultiDict(self.headers)
        if request_id:
            headers["X-Request-Id"] = "".join(c for c in request_id[:128] if "!" <= c <= "~")
        return headers


class EndpointPool:
    """Sessions of one event loop; they share nothing but that loop."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self, tier: Tier) -> Endpoint:
        """Return the tier's endpoint, opened at first use.

        Raises:
            EndpointRefused: the base URL is not an http(s) address, or the tier names a key variable
                that is not set or not usable.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("One OpenAICompatible serves one event loop; make one for each.")
        place = (tier.base_url, tier.api_key_env)
        endpoint = self._endpoints.get(place)
        key = self._key(tier)
        if endpoint is None or endpoint.key != key:
            try:
                base = base_url(tier)
            except InvalidInput as error:
                raise EndpointRefused(error.message, hint=error.hint) from error
            session = endpoint.session if endpoint else _session()
            endpoint = self._endpoints[place] = _endpoint(base, key, session)
        return endpoint

    async def aclose(self) -> None:
        """Close every pooled connection."""
        endpoints = list(self._endpoints.values())
        self._endpoints.clear()
        for endpoint in endpoints:
            await endpoint.session.close()

    def _key(self, tier: Tier) -> str:
        if not tier.api_key_env:
            return ""
        key = self._environ.get(tier.api_key_env, "").strip()
        if not key:
            raise EndpointRefused(
                f"Tier {tier.name!r} takes its key from {tier.api_key_env}, which is not set.",
                hint=f"Set {tier.api_key_env} where the worker runs and restart it.",
            )
        if not all("!" <= char <= "~" for char in key):
            raise EndpointRefused(
                f"The key in {tier.api_key_env} holds characters that a header cannot carry.",
                hint=f"Copy the key into {tier.api_key_env} again, without line breaks.",
            )
        return key


def _endpoint(base: URL, key: str, session: aiohttp.ClientSession) -> Endpoint:
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "User-Agent": f"tandem/{__version__}",
    }
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return Endpoint(
        session=session,
        base=base,
        chat_url=base / "chat/completions",
        headers=MappingProxyType(headers),
        key=key,
    )


def base_url(tier: Tier) -> URL:
    """Return the tier's address without a trailing slash.

    Raises:
        InvalidInput: it is not a plain http(s) address.
    """
    try:
        url = URL(tier.base_url.strip())
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError:
        usable = False
    if not usable or url.user or url.password or url.query_string or url.fragment:
        raise InvalidInput(
            f"The base URL of tier {tier.name!r} is not a plain http(s) address.",
            field="base_url",
            hint="Enter it like http://host:8000/v1, without user, password or query.",
        )
    return url.with_path(url.path.rstrip("/"))


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        # each tier's own semaphore limits the calls; a second limit here would only hide the wait
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )
