"""Which models a server says it serves."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec

from collab_core.backends.endpoints import Endpoint
from collab_core.backends.wording import clean
from collab_core.errors import BackendError

_MAX_BYTES = 1024 * 1024
_LIST_S = 5.0
_MAX_NAMED = 8


SIMULATED = "simulated"
"""Who owns the models of a simulator, by its own word."""


class _Model(msgspec.Struct):
    id: str = ""
    owned_by: str = ""


class _Models(msgspec.Struct):
    data: list[_Model] = []


async def served_models(endpoint: Endpoint) -> tuple[str, ...] | None:
    """Return the names that ``GET /models`` lists, at most 200; None if it does not answer."""
    models = await _listed(endpoint)
    if models is None:
        return None
    return tuple(clean(model.id, secret=endpoint.key)[:200] for model in models)


async def says_it_is_simulated(endpoint: Endpoint, model: str) -> bool:
    """Tell whether the server lists ``model`` as simulated; False if it does not answer."""
    models = await _listed(endpoint) or []
    return any(one.id == model and one.owned_by == SIMULATED for one in models)


async def _listed(endpoint: Endpoint) -> list[_Model] | None:
    try:
        async with asyncio.timeout(_LIST_S):
            return await _ask(endpoint)
    except (TimeoutError, aiohttp.ClientError, OSError, msgspec.DecodeError):
        return None


async def _ask(endpoint: Endpoint) -> list[_Model] | None:
    async with endpoint.session.get(
        endpoint.url("models"), headers=endpoint.headers, allow_redirects=False
    ) as response:
        if response.status != 200:
            return None
        body = bytearray()
        while piece := await response.content.readany():
            body += piece
            if len(body) > _MAX_BYTES:
                return None
    return msgspec.json.decode(bytes(body), type=_Models).data[:200]


async def with_served_models(error: BackendError, endpoint: Endpoint) -> None:
    """After a 404, add to the error's hint what the server does serve."""
    if error.status != 404:
        return
    names = await served_models(endpoint)
    if names is None:
        error.hint += " It does not list its models."
    elif names:
        more = " …" if len(names) > _MAX_NAMED else ""
        error.hint += f" It lists: {', '.join(names[:_MAX_NAMED])}{more}"
