"""A socket is opened by our own pages only: exact scheme, host and port."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    values = [value for key, value in headers if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def same_origin(scope: dict[str, Any]) -> bool:
    """Whether the handshake's Origin is this very site or a trusted one (CSRF_TRUSTED_ORIGINS)."""
    origin = _header(scope["headers"], b"origin")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    host = _header(scope["headers"], b"host").lower()
    if not host or not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    secure = scope.get("scheme") == "wss"
    if settings.SECURE_PROXY_SSL_HEADER and not secure:
        secure = _header(scope["headers"], b"x-forwarded-proto") == "https"
    parts = urlsplit(origin)
    return (parts.scheme, parts.netloc.lower()) == ("https" if secure else "http", host)


class SameOriginOnly:
    """Refuses the handshake (403) of any other page, also one without an Origin."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        inner = self._inner if same_origin(scope) else WebsocketDenier()
        return await inner(scope, receive, send)
