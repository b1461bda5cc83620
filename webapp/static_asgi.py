"""Static files in front of Django: WhiteNoise's index, served without a thread per request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from whitenoise import WhiteNoise

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFIX = "/static/"


def _index() -> WhiteNoise:
    if settings.STATIC_HASHED:
        return WhiteNoise(
            None,
            root=settings.STATIC_ROOT,
            prefix=PREFIX,
            immutable_file_test=r"^.+\.[0-9a-f]{12}\..+$",
        )
    index = WhiteNoise(None, max_age=60)
    for finder in finders.get_finders():
        for path, storage in finder.list([]):
            url = PREFIX + "/".join(filter(None, [getattr(storage, "prefix", None), path]))
            if url not in index.files:
                index.add_file_to_dictionary(url, storage.path(path))
    return index


def _read(file: Any) -> bytes:
    if file is None:
        return b""
    with file:
        return b"".join(file)


class StaticFiles:
    """Answers everything below the static prefix; hands the rest on."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner
        self._index = _index()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(PREFIX):
            await self._inner(scope, receive, send)
            return
        await self._serve(scope, send)

    async def _serve(self, scope: Scope, send: Send) -> None:
        found = self._index.files.get(scope["path"])
        status, headers, body = HTTPStatus.NOT_FOUND, [("Content-Type", "text/plain")], b"Not found"
        if found is not None:
            environ = {
                "HTTP_" + name.decode("latin-1").upper().replace("-", "_"): value.decode("latin-1")
                for name, value in scope["headers"]
            }
            response = found.get_response(scope["method"], environ)
            status, headers = response.status, list(response.headers)
            body = await asyncio.to_thread(_read, response.file)
        headers.append(("X-Content-Type-Options", "nosniff"))
        await send(
            {
                "type": "http.response.start",
                "status": int(status),
                "headers": [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers],
            }
        )
        await send({"type": "http.response.body", "body": body})
