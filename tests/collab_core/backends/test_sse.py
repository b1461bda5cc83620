from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.backends.sse import EventSplitter
from collab_core.errors import ProtocolViolation


def split(stream: bytes, size: int = 10_000) -> list[bytes]:
    splitter = EventSplitter()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events + splitter.finish()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_every_line_end_at_every_piece_size(end: bytes, size: int) -> None:
    stream = end.join([b"data: a", b"", b": comment", b"id: 3", b"retry: 9", b"data:b", b"", b""])
    assert split(stream, size) == [b" a", b"b"]


def test_several_data_lines_make_one_event() -> None:
    assert split(b'data: {"a":\ndata: 1}\n\n') == [b' {"a":\n 1}']


def test_a_byte_order_mark_is_skipped() -> None:
    assert split(b"\xef\xbb\xbfdata: x\n\n") == [b" x"]


def test_an_error_event_becomes_an_error_object() -> None:
    assert split(b'event: error\ndata: {"m":1}\n\ndata: x\n\n') == [b'{"error": {"m":1}}', b" x"]


def test_the_last_empty_line_may_be_missing() -> None:
    assert split(b"data: a\n\ndata: [DONE]") == [b" a", b" [DONE]"]


@pytest.mark.parametrize("stream", [b"data: " + b"x" * 200, b"data: " + b"x\ndata: " * 60])
def test_an_event_over_the_limit_is_refused(stream: bytes) -> None:
    splitter = EventSplitter(max_event_bytes=100)
    with pytest.raises(ProtocolViolation, match="more than 100 bytes"):
        splitter.feed(stream)


LINES = st.lists(
    st.sampled_from([b"data: a", b"data:b", b"", b": c", b"event: error", b"x", b"\xff"])
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(lines=LINES, end=ENDS, cuts=st.lists(st.integers(0, 200)))
def test_where_the_stream_is_split_makes_no_difference(
    lines: list[bytes], end: bytes, cuts: list[int]
) -> None:
    stream = end.join([*lines, b""])
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    splitter = EventSplitter()
    events: list[bytes] = []
    for start, stop in itertools.pairwise(places):
        events += splitter.feed(stream[start:stop])
    assert events + splitter.finish() == split(stream)
