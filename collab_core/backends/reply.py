"""From the bytes of one response to one reply: pure, incremental, bounded.

A reply is complete only with a finish reason of stop, length or tool_calls *and* a proper end
(``[DONE]``, or a clean end of the stream after the usage). Anything else is a failed attempt: half a
reply must never become a step.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import msgspec

from collab_core.backends.chunks import Choice, Chunk, Message, decode_chunk, margin_of, usage_of
from collab_core.backends.decisive import TokenTrail
from collab_core.backends.sse import EventSplitter
from collab_core.backends.tool_parts import ToolParts
from collab_core.backends.wording import clean, words_of
from collab_core.domain import Usage
from collab_core.errors import BackendError, EndpointFailed, ProtocolViolation, RequestRejected

Kind = Literal["text", "reasoning", "tool_call"]
GOOD_ENDS = frozenset({"stop", "length", "tool_calls"})
MAX_WHOLE_BYTES = 16 * 1024 * 1024
OUTPUT_FACTOR = 4
"""A server that goes on past this many times the asked-for tokens ignores the limit."""
_SLACK_CHUNKS = 64
_BYTES_PER_CHUNK = 8_192
"""Far above a chunk with log-probabilities, far below what would fill the memory."""


class Sink(Protocol):
    """Receives the text as it comes: (offset in characters within its kind, text, kind)."""

    def __call__(self, offset: int, text: str, kind: Kind) -> None: ...


class EndlessOutput(ProtocolViolation):
    """The server ignores ``max_tokens``: trying again would only be charged again."""

    retryable = False


class ContentFiltered(RequestRejected):
    """The server's own filter stopped the reply."""


class ReplyReader:
    """Reads one response body, streamed or whole, that arrives in pieces of any size."""

    def __init__(
        self, *, max_output_tokens: int, sink: Sink | None = None, secret: str = ""
    ) -> None:
        self._sink = sink
        self._secret = secret
        self._splitter = EventSplitter()
        self._mode: Literal["", "events", "whole"] = ""
        self._head = b""
        self._whole: list[bytes] = []
        self._bytes = 0
        self._chunks = 0
        self._max_chunks = max_output_tokens * OUTPUT_FACTOR + _SLACK_CHUNKS
        self._max_bytes = self._max_chunks * _BYTES_PER_CHUNK
        self._max_tokens = max_output_tokens
        self._usage: Usage | None = None
        self._has_final_usage = False
        self._logprob_sum = 0.0
        self._logprob_count = 0
        self._trail = TokenTrail()
        self._parts: dict[Kind, list[str]] = {"text": [], "reasoning": [], "tool_call": []}
        self._offsets: dict[Kind, int] = {"text": 0, "reasoning": 0, "tool_call": 0}
        self._fresh: dict[Kind, list[str]] = {"text": [], "reasoning": [], "tool_call": []}
        self._calls = ToolParts()
        self.done = False
        """``[DONE]`` was seen; nothing after it is read."""
        self.has_token = False
        """Anything the model generated was seen."""
        self.finish_reason = ""
        self.server_queue_s: float | None = None
        self.first_token_margin: float | None = None

    # -- what came out ---------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return "".join(self._parts["text"])

    @property
    def reasoning(self) -> str:
        return "".join(self._parts["reasoning"])

    @property
    def calls(self) -> ToolParts:
        return self._calls

    @property
    def mean_logprob(self) -> float | None:
        return self._logprob_sum / self._logprob_count if self._logprob_count else None

    @property
    def decisive_margin(self) -> float | None:
        """p(top-1) - p(top-2) of the first token after the fixed tags; None = not told."""
        if not self._logprob_count:
            return None
        calls = self._calls.calls()
        return self._trail.margin(text=self.text, call_name=calls[0].name if calls else "")

    @property
    def output_tokens(self) -> int:
        """Tokens generated so far: the server's count, or the chunks that carried something."""
        return self._usage.output_tokens if self._usage else self._estimated_output()

    def usage(self, *, request_bytes: int) -> Usage:
        """Return the server's usage, or an estimate: chunks as output, 4 bytes a token as input."""
        if self._usage is not None:
            return self._usage
        return Usage(
            input_tokens=math.ceil(request_bytes / 4),
            output_tokens=self._estimated_output(),
            estimated=True,
        )

    def _estimated_output(self) -> int:
        if self._mode != "whole":
            return self._chunks
        size = sum(len(part.encode()) for kind in self._parts.values() for part in kind)
        return math.ceil(size / 4)

    # -- what goes in ----------------------------------------------------------------------------

    def feed(self, piece: bytes) -> None:
        """Read the next bytes.

        Raises:
            EndpointFailed: the server reports an error.
            ProtocolViolation: the bytes are not a reply of this protocol, or never end.
        """
        if self.done:
            return
        self._bytes += len(piece)
        if self._bytes > self._max_bytes:
            raise self._endless(f"{self._bytes} bytes")
        if not self._mode:
            piece = self._sniff(piece)
        if self._mode == "whole":
            self._hold_whole(piece)
        elif self._mode == "events":
            self._read_events(self._splitter.feed(piece))

    def finish(self) -> None:
        """The body ended cleanly; check that the reply is complete.

        Raises:
            EndpointFailed: it is not, or the server stopped it.
            ProtocolViolation: there was no reply at all.
            RequestRejected: the server's content filter stopped it.
        """
        if self._mode == "whole":
            self._read_chunk(b"".join(self._whole))
            self.done = True
        elif self._mode == "events" and not self.done:
            self._read_last(self._splitter.finish())
        elif not self._mode:
            raise _empty()
        self._flush()
        self._check_end()

    def _sniff(self, piece: bytes) -> bytes:
        """Decide by the first byte that is not white space what the body is."""
        self._head += piece
        start = self._head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not start or b"\xef\xbb\xbf".startswith(self._head):
            return b""
        if start.startswith(b"<"):
            raise ProtocolViolation(
                f"The server answered with HTML: {clean(self._head[:300].decode(errors='replace'), secret=self._secret)}",
                hint="Check the base URL: it usually ends in /v1, and no login page may be in front.",
            )
        self._mode = "whole" if start.startswith((b"{", b"[")) else "events"
        head, self._head = self._head, b""
        return head

    def _hold_whole(self, piece: bytes) -> None:
        self._whole.append(piece)
        if self._bytes > MAX_WHOLE_BYTES:
            raise self._endless(f"{self._bytes} bytes")

    def _read_events(self, events: list[bytes]) -> None:
        for data in events:
            if data.strip() == b"[DONE]":
                self.done = True
                break
            self._read_chunk(data)
        self._flush()

    def _read_last(self, events: list[bytes]) -> None:
        """Read what came without its empty line; half an event means that the stream was cut."""
        try:
            self._read_events(events)
        except ProtocolViolation as error:
            raise EndpointFailed("The stream ended in the middle of an event.") from error

    def _read_chunk(self, data: bytes) -> None:
        try:
            chunk = decode_chunk(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            sample = clean(data[:2000].decode(errors="replace"), secret=self._secret)
            raise ProtocolViolation(
                f"The server sent a chunk that cannot be read ({error}): {sample}",
                hint="Check that the address is an OpenAI-compatible model server.",
            ) from error
        if chunk.error is not None or chunk.object == "error":
            raise self._reported(chunk)
        if chunk.usage is not None:
            # a server that repeats its usage in every chunk ends with one that has no choices
            self._has_final_usage = self._usage is None or not chunk.choices
            self._usage = usage_of(chunk.usage)
        if chunk.metrics is not None and chunk.metrics.queue_time_ms is not None:
            self.server_queue_s = max(0.0, chunk.metrics.queue_time_ms / 1000)
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._read_choice(choice)

    def _read_choice(self, choice: Choice) -> None:
        message = choice.delta or choice.message
        if message is not None and self._read_message(message):
            self.has_token = True
            self._chunks += 1
            if self._chunks > self._max_chunks:
                raise self._endless(f"{self._chunks} chunks")
        if choice.logprobs is not None and choice.logprobs.content:
            self._read_logprobs(choice)
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason

    def _read_message(self, message: Message) -> bool:
        """Take over what the message carries; return whether that was anything."""
        carried = False
        reasoning = message.reasoning or message.reasoning_content
        if reasoning:
            self._add("reasoning", reasoning)
            carried = True
        content = message.content
        if isinstance(content, list):
            content = "".join(str(part.get("text") or "") for part in content)
        for text in (content, message.refusal):
            if text:
                self._add("text", text)
                carried = True
        for part in message.tool_calls or ():
            shown = self._calls.add(part)
            if shown:
                self._add("tool_call", shown)
            carried = True
        return carried

    def _read_logprobs(self, choice: Choice) -> None:
        tokens = choice.logprobs.content if choice.logprobs else None
        for token in tokens or ():
            self._trail.add(token)
            if token.logprob is None:
                continue
            if not self._logprob_count:
                self.first_token_margin = margin_of(token)
            self._logprob_sum += token.logprob
            self._logprob_count += 1

    def _add(self, kind: Kind, text: str) -> None:
        self._parts[kind].append(text)
        if self._sink is not None:
            self._fresh[kind].append(text)

    def _flush(self) -> None:
        """Hand the new text on, once per piece of the stream however many tokens it held."""
        if self._sink is None:
            return
        for kind, fresh in self._fresh.items():
            if fresh:
                text = "".join(fresh)
                fresh.clear()
                self._sink(self._offsets[kind], text, kind)
                self._offsets[kind] += len(text)

    # -- ends ------------------------------------------------------------------------------------

    def _check_end(self) -> None:
        reason = self.finish_reason
        if reason == "content_filter":
            raise ContentFiltered("The server's content filter stopped the reply.")
        if reason == "function_call":
            raise ProtocolViolation(
                "The server answered in the old function_call form.",
                hint="Update the server to one that answers with tool_calls.",
            )
        if not reason:
            raise EndpointFailed("The stream was cut: it ended without a finish reason.")
        if reason not in GOOD_ENDS:
            raise EndpointFailed(
                f"The server gave up: finish reason {clean(reason, secret=self._secret)!r}.",
                hint="It may be restarting; look at its log.",
            )
        if not self.done and not self._has_final_usage:
            raise EndpointFailed("The stream was cut: it ended without [DONE] and without usage.")

    def _reported(self, chunk: Chunk) -> BackendError:
        said = words_of(chunk.message if chunk.error is None else chunk.error, secret=self._secret)
        return EndpointFailed(
            f"The server reported an error in its reply: {said}",
            hint="Look at the server's log.",
        )

    def _endless(self, size: str) -> EndlessOutput:
        return EndlessOutput(
            f"The server did not stop: {size} for a reply of at most {self._max_tokens} tokens.",
            hint="The server ignores max_tokens; check its version and settings.",
        )


def _empty() -> ProtocolViolation:
    return ProtocolViolation(
        "The server answered 200 with an empty body.",
        hint="Check that the address is an OpenAI-compatible model server.",
    )
