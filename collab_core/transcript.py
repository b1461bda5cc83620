"""The growing prompt: chat messages kept beside their JSON encoding.

Re-encoding the whole history at every step is quadratic in the length of a run; here each message is
encoded once and hashed once. Append-only by design: a changed head would also cost every tier its
whole prefix cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


class Transcript:
    """An append-only list of OpenAI chat messages."""

    __slots__ = ("_buffer", "_digest", "messages")

    def __init__(self, messages: Iterable[Mapping[str, Any]] = ()) -> None:
        self.messages: list[Mapping[str, Any]] = []
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        for message in messages:
            self.append(message)

    def append(self, message: Mapping[str, Any]) -> None:
        """Add one message; it must not be changed afterwards."""
        encoded = _encode(message)
        if self.messages:
            self._buffer += b","
            self._digest.update(b",")
        self._buffer += encoded
        self._digest.update(encoded)
        self.messages.append(message)

    def encode(self, suffix: Iterable[Mapping[str, Any]] = ()) -> bytes:
        """Return the JSON array of all messages, then those of ``suffix`` (which is not kept)."""
        return b"".join(self.pieces(suffix))

    def pieces(self, suffix: Iterable[Mapping[str, Any]] = ()) -> list[bytes | bytearray]:
        """Return what :meth:`encode` joins, so that a request body copies the history only once.

        The pieces are views of this object: join them before the next :meth:`append`.
        """
        tail = b"".join(b"," + _encode(message) for message in suffix)
        return [b"[", self._buffer, tail if self.messages else tail[1:], b"]"]

    def digest(self, suffix: Iterable[Mapping[str, Any]] = ()) -> str:
        """Return 32 hex digits that name exactly these messages in this order."""
        digest = self._digest.copy()
        for message in suffix:
            digest.update(b"," + _encode(message))
        return digest.hexdigest()[:32]

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def size_bytes(self) -> int:
        """Bytes of the encoded messages: what the context estimate rests on."""
        return len(self._buffer)
