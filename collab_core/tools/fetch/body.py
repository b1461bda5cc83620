"""The body of a response, bounded in size, in compression ratio and in time between its pieces."""

from __future__ import annotations

import zlib
from typing import Protocol

from collab_core.tools.fetch.errors import FetchFailed

ACCEPT_ENCODING = "gzip, deflate, identity"
_PIECE_BYTES = 65_536
_RATIO_FROM_BYTES = 512_000


class ByteStream(Protocol):
    async def readany(self) -> bytes:
        """Return what has arrived, waiting for at least one byte; b"" at the end."""
        ...


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    def decompress(self, piece: bytes, limit: int) -> bytes: ...


class _Identity:
    eof = False
    unconsumed_tail = b""

    def decompress(self, piece: bytes, limit: int) -> bytes:
        return piece


class _Deflate:
    """HTTP's "deflate" is a zlib stream, but many servers send the raw one: the first bytes tell."""

    def __init__(self) -> None:
        self._inner: _Decoder | None = None
        self._head = b""

    @property
    def eof(self) -> bool:
        return self._inner is not None and self._inner.eof

    @property
    def unconsumed_tail(self) -> bytes:
        return self._inner.unconsumed_tail if self._inner else b""

    def decompress(self, piece: bytes, limit: int) -> bytes:
        if self._inner is None:
            self._head += piece
            if len(self._head) < 2:
                return b""
            first, second = self._head[0], self._head[1]
            wrapped = first & 0x0F == 8 and (first << 8 | second) % 31 == 0
            self._inner = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
            piece = self._head
        return self._inner.decompress(piece, limit)


class Body:
    """Bytes kept so far; ``cut`` says that there was more than ``max_bytes``."""

    def __init__(self, *, encoding: str, max_bytes: int, max_ratio: float) -> None:
        self._decoder = _decoder(encoding)
        self._max_bytes = max_bytes
        self._max_ratio = max_ratio
        self._kept = bytearray()
        self._received = 0
        self.cut = False

    @property
    def content(self) -> bytes:
        return bytes(self._kept)

    async def read(self, stream: ByteStream) -> None:
        """Read to the end, or until no more is kept.

        Raises:
            FetchFailed: it is no such compressed stream, or it is a decompression bomb.
        """
        while not self.cut and not self._decoder.eof:
            piece = await stream.readany()
            if not piece:
                return
            self._received += len(piece)
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        """Decompress in small pieces, so that memory never exceeds the limit by more than one."""
        while piece and not self._decoder.eof:
            try:
                out = self._decoder.decompress(piece, _PIECE_BYTES)
            except zlib.error:
                raise FetchFailed(
                    "unreadable", "The page's compressed content is broken."
                ) from None
            piece = self._decoder.unconsumed_tail
            room = self._max_bytes - len(self._kept)
            self._kept += out[:room]
            self._check_ratio()
            if len(out) > room:
                self.cut = True
                return

    def _check_ratio(self) -> None:
        if len(self._kept) > _RATIO_FROM_BYTES:
            ratio = len(self._kept) / self._received
            if ratio > self._max_ratio:
                raise FetchFailed(
                    "too_large",
                    f"The page unpacks to over {self._max_ratio:g} times its size; "
                    "it is not read. Use another source.",
                )


def _decoder(encoding: str) -> _Decoder:
    match encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        case "deflate":
            return _Deflate()
    raise FetchFailed(
        "unreadable", f"The page comes in an encoding that was not asked for ({encoding[:40]!r})."
    )
