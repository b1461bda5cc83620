from __future__ import annotations

import contextlib
import itertools
import math
from dataclasses import astuple, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.backends.reply import EndlessOutput, Kind, ReplyReader
from collab_core.domain import ToolCall, Usage
from collab_core.errors import BackendError, EndpointFailed, ProtocolViolation, RequestRejected
from tests.collab_core.backends.streams import (
    LOGPROBS,
    METRICS,
    PLAIN,
    REASONING,
    RECORDED,
    TOOL_CALL,
)
from tests.fakes.model_server import delta, sse, usage


@dataclass
class Read:
    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    finish: str
    usage: Usage
    mean: float | None
    margin: float | None
    queue_s: float | None


def read(*pieces: bytes, max_output_tokens: int = 100) -> Read:
    reader = ReplyReader(max_output_tokens=max_output_tokens)
    for piece in pieces:
        reader.feed(piece)
    reader.finish()
    return Read(
        reader.text, reader.reasoning, reader.calls.calls(), reader.finish_reason,
        reader.usage(request_bytes=400), reader.mean_logprob, reader.first_token_margin,
        reader.server_queue_s,
    )  # fmt: skip


def test_a_plain_reply() -> None:
    got = read(PLAIN)
    assert (got.text, got.finish) == ("Größe – 東京 🚢.", "stop")
    assert got.usage == Usage(input_tokens=57, output_tokens=4, cached_tokens=32)


def test_tool_calls_in_pieces() -> None:
    assert read(TOOL_CALL).calls == (
        ToolCall(id="chatcmpl-tool-1", name="search", arguments='{"query": "Zürich"}'),
        ToolCall(id="chatcmpl-tool-2", name="read", arguments="{}"),
    )


def test_both_names_of_reasoning() -> None:
    got = read(REASONING)
    assert (got.reasoning, got.text) == ("Let me think.", "42")


def test_log_probabilities() -> None:
    got = read(LOGPROBS)
    assert got.mean == pytest.approx((math.log(0.9) + math.log(0.5)) / 2)
    assert got.margin == pytest.approx(0.9 - 0.1)


def test_the_last_usage_counts_and_the_queue_is_read() -> None:
    got = read(METRICS)
    assert got.usage == Usage(input_tokens=12, output_tokens=2, cached_tokens=0)
    assert got.queue_s == pytest.approx(0.0035)


def test_without_usage_the_chunks_are_counted_and_marked() -> None:
    got = read(sse(delta(content="a"), delta(content="b"), delta(finish="stop")))
    assert got.usage == Usage(input_tokens=100, output_tokens=2, estimated=True)


def test_a_whole_completion_is_taken_as_it_is() -> None:
    body = (
        b'{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant",'
        b'"content":[{"type":"text","text":"hi"}],"tool_calls":[{"id":"a","function":'
        b'{"name":"f","arguments":{"x":1}}}]},"finish_reason":"tool_calls"}],'
        b'"usage":{"prompt_tokens":5,"completion_tokens":2}}'
    )
    got = read(body[:30], body[30:])
    assert (got.text, got.calls) == ("hi", (ToolCall(id="a", name="f", arguments='{"x":1}'),))
    assert got.usage == Usage(input_tokens=5, output_tokens=2)


@pytest.mark.parametrize("name", RECORDED)
def test_every_cut_is_a_full_reply_or_a_failed_one(name: str) -> None:
    stream = RECORDED[name]
    full = read(stream)
    completed = 0
    for cut in range(len(stream)):
        try:
            got = read(stream[:cut])
        except (EndpointFailed, ProtocolViolation):
            continue
        completed += 1
        assert got == full, cut
    # after the usage, a clean end is a proper end: only [DONE] and white space may be missing
    assert completed <= 14


@given(data=st.data(), name=st.sampled_from(sorted(RECORDED)))
def test_any_split_gives_the_same_reply(data: st.DataObject, name: str) -> None:
    stream = RECORDED[name]
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=40))
    places = sorted({0, len(stream), *cuts})
    pieces = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert astuple(read(*pieces)) == astuple(read(stream))


@pytest.mark.parametrize("name", RECORDED)
def test_byte_by_byte_gives_the_same_reply(name: str) -> None:
    stream = RECORDED[name]
    assert read(*(stream[i : i + 1] for i in range(len(stream)))) == read(stream)


@given(data=st.data(), name=st.sampled_from(sorted(RECORDED)))
def test_a_damaged_stream_gives_a_reply_or_a_named_error(data: st.DataObject, name: str) -> None:
    stream = bytearray(RECORDED[name])
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at] = data.draw(st.integers(0, 255))
    # any other exception fails the test
    with contextlib.suppress(BackendError):
        read(bytes(stream))


def test_the_text_goes_out_with_its_offsets() -> None:
    seen: list[tuple[int, str, Kind]] = []
    reader = ReplyReader(max_output_tokens=10, sink=lambda *part: seen.append(part))
    for at in range(0, len(TOOL_CALL), 100):
        reader.feed(TOOL_CALL[at : at + 100])
    reader.finish()
    for kind in ("text", "tool_call"):
        parts = [(offset, text) for offset, text, k in seen if k == kind]
        shown = "".join(text for _, text in parts)
        assert all(shown[o : o + len(t)] == t for o, t in parts)
    assert shown == 'search {"query": "Zürich"}\nread {}'


def call(
    index: int | None = None, call_id: str | None = None, **function: str
) -> dict[str, object]:
    part: dict[str, object] = {"function": function}
    return (
        part
        | ({} if index is None else {"index": index})
        | ({} if call_id is None else {"id": call_id})
    )


CALL_SHAPES = {
    "no index, whole calls": ([call(call_id="a", name="f", arguments="{}"), call(call_id="b", name="g", arguments="{}")], ["f{}", "g{}"]),
    "no index, no id": ([call(name="f", arguments="{}"), call(name="f", arguments="[]")], ["f{}", "f[]"]),
    "no index, in pieces": ([call(call_id="a", name="f"), call(arguments="{"), call(arguments="}")], ["f{}"]),
    "all numbered 0": ([call(0, "a", name="f", arguments="{}"), call(0, "b", name="g", arguments="{}")], ["f{}", "g{}"]),
    "name repeated": ([call(0, "a", name="f", arguments="{"), call(0, "a", name="f", arguments="}")], ["f{}"]),
    "name in pieces": ([call(0, "a", name="sea"), call(0, name="rch", arguments="{}")], ["search{}"]),
    "interleaved": ([call(0, "a", name="f"), call(1, "b", name="g"), call(0, arguments="{}"), call(1, arguments="[]")], ["f{}", "g[]"]),
}  # fmt: skip


@pytest.mark.parametrize("shape", CALL_SHAPES)
def test_shapes_of_tool_calls(shape: str) -> None:
    parts, expected = CALL_SHAPES[shape]
    got = read(sse(*(delta(tool_calls=[p]) for p in parts), delta(finish="tool_calls"), usage()))
    assert [c.name + c.arguments for c in got.calls] == expected
    assert all(c.id for c in got.calls)


FAULTS = {
    "abort": (sse(delta(content="a"), delta(finish="abort")), EndpointFailed, "'abort'"),
    "no finish reason": (sse(delta(content="a"), usage()), EndpointFailed, "without a finish reason"),
    "neither usage nor end": (sse(delta(content="a", finish="stop"), done=False), EndpointFailed, r"without \[DONE\]"),
    "error object": (sse(delta(content="a"), {"error": {"message": "engine died", "code": 500}}), EndpointFailed, "engine died"),
    "error text": (sse({"error": "out of memory"}), EndpointFailed, "out of memory"),
    "error event": (b"event: error\ndata: {\"message\": \"boom\"}\n\n", EndpointFailed, "boom"),
    "vllm error object": (sse({"object": "error", "message": "bad", "code": 400}), EndpointFailed, "bad"),
    "html": (b"<!DOCTYPE html><title>Log in</title>", ProtocolViolation, "HTML"),
    "empty body": (b"", ProtocolViolation, "empty"),
    "only white space": (b" \n\n ", ProtocolViolation, "empty"),
    "only keep-alives": (b": ping\n\n: ping\n\n", EndpointFailed, "finish reason"),
    "no JSON": (b"data: hello\n\n", ProtocolViolation, "cannot be read"),
    "broken UTF-8": (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', ProtocolViolation, "cannot be read"),
    "wrong types": (sse({"choices": "x"}), ProtocolViolation, "cannot be read"),
    "negative usage": (sse(usage(prompt=-1)), ProtocolViolation, "cannot be read"),
    "JSON array": (b"[1, 2]", ProtocolViolation, "cannot be read"),
    "half a whole reply": (b'{"choices":[', ProtocolViolation, "cannot be read"),
    "JSON without choices": (b'{"ok":true}', EndpointFailed, "finish reason"),
    "JSON error with 200": (b'{"error":{"message":"no"}}', EndpointFailed, "no"),
    "content filter": (sse(delta(finish="content_filter"), usage()), RequestRejected, "filter"),
    "old function call": (sse(delta(finish="function_call"), usage()), ProtocolViolation, "function_call"),
    "plain text": (b"upstream is warming up\n", EndpointFailed, "finish reason"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str) -> None:
    stream, kind, words = FAULTS[fault]
    with pytest.raises(kind, match=words):
        read(stream)


HARMLESS = {
    "empty choices": {"choices": []},
    "null choices": {"choices": None},
    "null delta": {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
    "null content": delta(content=None),
    "another choice": {"choices": [{"index": 1, "delta": {"content": "not ours"}}]},
    "unknown fields": {"choices": [], "x_vendor": {"deep": [1, {"a": None}]}},
}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_chunks_change_nothing(name: str) -> None:
    got = read(sse(delta(content="a"), HARMLESS[name], delta(finish="stop"), usage()))
    assert (got.text, got.finish) == ("a", "stop")


def test_what_follows_the_end_is_not_read() -> None:
    assert read(PLAIN + b"data: garbage\n\n").text == read(PLAIN).text


def test_endless_repetition_is_stopped_by_its_chunks() -> None:
    chunk = sse(delta(content="la "), done=False)
    with pytest.raises(EndlessOutput, match="105 chunks for a reply of at most 10 tokens"):
        read(*[chunk] * 200, max_output_tokens=10)


def test_endless_comments_are_stopped_by_their_bytes() -> None:
    with pytest.raises(EndlessOutput, match="bytes for a reply of at most 1 tokens"):
        read(*[b": " + b"x" * 60_000 + b"\n"] * 20, max_output_tokens=1)


def test_more_tool_calls_than_anybody_needs_are_refused() -> None:
    parts = [call(i, str(i), name="f", arguments="{}") for i in range(200)]
    with pytest.raises(ProtocolViolation, match="more than 128 tool calls"):
        read(sse(delta(tool_calls=parts), delta(finish="tool_calls"), usage()))
