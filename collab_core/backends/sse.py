"""Server-sent events out of raw bytes: no I/O, no copies of a growing buffer, bounded.

The line rules are those of the WHATWG specification: LF, CRLF and CR end a line, ``:`` begins a
comment, several ``data`` lines make one event. Named events are dropped to their data, except
``event: error``, which some servers use instead of an error object.
"""

from __future__ import annotations

from collab_core.errors import ProtocolViolation

MAX_EVENT_BYTES = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class EventSplitter:
    """Turns pieces of a stream, split anywhere, into the data of its events."""

    __slots__ = (
        "_at_start",
        "_data",
        "_data_bytes",
        "_held",
        "_held_bytes",
        "_is_error",
        "_max",
        "_skip_lf",
    )

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._is_error = False
        self._skip_lf = False
        self._at_start = True

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of every event that ``piece`` completes.

        Raises:
            ProtocolViolation: a line or an event is longer than the limit.
        """
        if self._skip_lf or b"\r" in piece:
            piece = self._normalise(piece)
        if b"\n" not in piece:
            self._hold(piece)
            return []
        if self._held:
            piece = b"".join((*self._held, piece))
            self._held.clear()
            self._held_bytes = 0
        lines = piece.split(b"\n")
        rest = lines.pop()
        if rest:
            self._hold(rest)
        return self._events(lines)

    def finish(self) -> list[bytes]:
        """Return what the stream's end completes: servers may omit the last empty line."""
        lines = [b"".join(self._held), b""]
        self._held.clear()
        self._held_bytes = 0
        return self._events(lines)

    def _normalise(self, piece: bytes) -> bytes:
        """Return the piece with LF as its only line end; a CR LF pair may be cut in two."""
        skip, self._skip_lf = self._skip_lf, piece.endswith(b"\r")
        if skip and piece.startswith(b"\n"):
            piece = piece[1:]
        return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, piece: bytes) -> None:
        self._held.append(piece)
        self._held_bytes += len(piece)
        self._check(self._held_bytes)

    def _check(self, size: int) -> None:
        if size > self._max:
            raise ProtocolViolation(
                f"The server sent an event of more than {self._max} bytes.",
                hint="Check that the address is an OpenAI-compatible model server.",
            )

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        if self._at_start and lines:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BOM)
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
                self._data_bytes += len(line)
                self._check(self._data_bytes)
            elif not line:
                if self._data:
                    events.append(self._take())
            elif line.startswith(b"event:"):
                self._is_error = line[6:].strip() == b"error"
        return events

    def _take(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        if self._is_error:
            self._is_error = False
            # one shape for both ways to report an error in mid-stream
            return data if b'"error"' in data else b'{"error":' + data + b"}"
        return data
