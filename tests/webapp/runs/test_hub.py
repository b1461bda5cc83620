from __future__ import annotations

import asyncio

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from collab_core.events import ModelDelta, encode_body
from webapp.runs.hub import QUEUE, Hub
from webapp.runs.publisher import Coalescer


def frames(*seqs: int) -> list[tuple[int, bytes]]:
    return [(seq, b"{}") for seq in seqs]


def delta(offset: int, text: str, **changes: object) -> ModelDelta:
    return ModelDelta(**({"step": 1, "offset": offset, "text": text} | changes))  # type: ignore[arg-type]


async def test_frames_reach_only_their_run() -> None:
    hub = Hub()
    one, other = hub.subscribe(1), hub.subscribe(2)
    hub.dispatch(1, frames(5))
    assert [frame.seq for frame in await one.take()] == [5]
    assert not other.behind
    assert not hub.is_watched(3)


async def test_a_slow_socket_is_bounded_and_told_to_read() -> None:
    hub = Hub()
    slow = hub.subscribe(1)
    hub.dispatch(1, frames(*range(QUEUE * 3)))
    assert slow.behind
    assert len(await slow.take()) <= QUEUE


async def test_the_head_check_finds_a_lost_last_event() -> None:
    hub = Hub()
    one = hub.subscribe(1)
    one.sent = 4
    hub.heads({1: 4})
    assert not one.behind
    hub.heads({1: 5})
    assert one.behind


async def test_nothing_is_kept_of_an_unwatched_run() -> None:
    hub = Hub()
    one = hub.subscribe(1)
    hub.dispatch_delta(1, encode_body(delta(0, "a")))
    hub.unsubscribe(one)
    hub.dispatch_delta(1, encode_body(delta(1, "b")))
    assert hub.live_text(1) is None
    assert hub.watched() == []


async def test_a_late_socket_gets_the_text_from_its_beginning() -> None:
    hub = Hub()
    hub.subscribe(1)
    hub.dispatch_delta(1, encode_body(delta(0, "Hel")))
    hub.dispatch_delta(1, encode_body(delta(3, "lo")))
    whole = msgspec.json.decode(hub.live_text(1) or b"", type=ModelDelta)
    assert (whole.offset, whole.text) == (0, "Hello")
    hub.dispatch(1, [(7, b'{"seq":7,"at":1.0,"type":"model.replied"}')])
    assert hub.live_text(1) is None


async def test_a_ring_from_another_thread_arrives() -> None:
    hub = Hub()
    one = hub.subscribe(1)
    await asyncio.to_thread(hub.ring, 1, frames(0))
    assert [frame.seq for frame in await asyncio.wait_for(one.take(), 1)] == [0]


class Clock:
    def __init__(self) -> None:
        self.calls: list[object] = []

    def later(self, _delay: float, call: object) -> None:
        self.calls.append(call)

    def tick(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()  # type: ignore[operator]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("text"), st.text(min_size=1, max_size=5)),
            st.tuples(st.just("tick"), st.just("")),
            st.tuples(st.just("attempt"), st.just("")),
            st.tuples(st.just("watch"), st.just("")),
        ),
        max_size=40,
    )
)
def test_who_follows_the_frames_has_the_text_of_the_call(actions: list[tuple[str, str]]) -> None:
    """Frames of a call join up without a gap from offset 0, whenever somebody began to watch."""
    clock, sent, watched = Clock(), [], [False]
    coalescer = Coalescer(sent.append, lambda: watched[0], clock.later)
    said, attempt = "", 0
    for action, text in actions:
        if action == "text":
            coalescer.add(delta(len(said), text, attempt=attempt))
            said += text
        elif action == "tick":
            clock.tick()
        elif action == "attempt":
            said, attempt = "", attempt + 1
        else:
            watched[0] = not watched[0]
    watched[0] = True
    coalescer.add(delta(len(said), "!", attempt=attempt))
    clock.tick()
    clock.tick()
    seen: dict[int, str] = {}
    for frame in sent:
        got = msgspec.json.decode(frame, type=ModelDelta)
        before = "" if got.offset == 0 else seen[got.attempt]
        assert len(before) == got.offset
        seen[got.attempt] = before + got.text
    assert seen[attempt] == said + "!"
