"""What may be repeated of a server's words: no key, no control character, no flood."""

from __future__ import annotations

import re
from typing import Any

import msgspec

MAX_CHARS = 400
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_BEARER = re.compile(r"(?i)\bbearer\s+[^\s\"',;]+")


def clean(text: str, *, secret: str = "") -> str:
    """Return one printable line of at most ``MAX_CHARS`` characters without the key."""
    if secret:
        text = text.replace(secret, "[key]")
    text = _BEARER.sub("Bearer [key]", text[: MAX_CHARS * 8])
    text = " ".join(_CONTROL.sub(" ", text).split())
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS - 1] + "…"


def error_text(body: bytes, *, secret: str = "") -> str:
    """Return the message inside an error body, whatever shape the server gives it."""
    try:
        decoded: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        decoded = body.decode(errors="replace")
    return words_of(decoded, secret=secret)


def words_of(decoded: Any, *, secret: str = "") -> str:
    """Return the message inside a decoded error object."""
    return clean(_message(decoded) or "(no message)", secret=secret)


def _message(decoded: Any, depth: int = 0) -> str:
    if isinstance(decoded, str):
        return decoded
    if isinstance(decoded, dict) and depth < 4:
        for name in ("error", "message", "detail", "msg"):
            if decoded.get(name):
                return _message(decoded[name], depth + 1)
    return "" if decoded is None else msgspec.json.encode(decoded).decode()
