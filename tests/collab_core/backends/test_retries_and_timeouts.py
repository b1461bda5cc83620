from __future__ import annotations

import asyncio
import contextlib
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from collab_core.domain import Timeouts
from collab_core.errors import (
    EndpointTimeout,
    RateLimited,
    RequestRejected,
)
from tests.collab_core.backends.calls import (
    ask,
    backend,
    outcome,
    quick,
    tier,
)
from tests.collab_core.backends.streams import PLAIN
from tests.fakes.model_server import (
    CUT,
    HANG,
    ModelServer,
    Pause,
    Reply,
    error,
    hello,
)


async def test_success_after_failures_lists_them() -> None:
    script = [error(500, "a"), Reply(actions=(PLAIN[:400], CUT)), hello()]
    async with ModelServer(script) as server, quick() as (made, time):
        reply = await made.complete(ask(tier(server.base_url)))
    assert [a.code for a in reply.attempts] == ["endpoint_failed", "endpoint_failed"]
    assert reply.attempts[1].output_tokens == 1
    assert time.slept == [0.5, 1.0]
    assert reply.timing.total_s >= 1.5


async def test_retry_after_in_seconds_is_a_floor() -> None:
    async with (
        ModelServer([error(429, "x", retry_after="7"), hello()]) as server,
        quick() as (made, time),
    ):
        await made.complete(ask(tier(server.base_url)))
    assert time.slept == [7.5]


async def test_retry_after_as_a_date_is_a_floor() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    async with (
        ModelServer([error(503, "x", retry_after=date), hello()]) as server,
        quick() as (made, time),
    ):
        await made.complete(ask(tier(server.base_url)))
    assert 27 < time.slept[0] <= 31


async def test_a_wish_beyond_the_cap_ends_the_call() -> None:
    failure, count, time = await outcome([error(429, "x", retry_after="3600")] * 2)
    assert (count, time.slept, failure.retry_after_s) == (1, [], 3600.0)


async def test_no_wait_goes_past_the_total_timeout() -> None:
    failure, count, time = await outcome(
        [error(429, "x", retry_after="7")] * 9, timeouts=Timeouts(total_s=20)
    )
    assert (count, time.slept) == (3, [7.5, 8.0])
    assert isinstance(failure, RateLimited)


@pytest.mark.parametrize("name", ["stream_options", "seed", "logprobs"])
async def test_a_field_the_server_refuses_is_left_out_from_then_on(name: str) -> None:
    refusal = error(400, f"Unrecognized request argument supplied: {name}")
    async with ModelServer([refusal, hello(), hello()]) as server, quick() as (made, time):
        request = ask(tier(server.base_url), seed=1, logprobs=True)
        first = await made.complete(request)
        second = await made.complete(request)
    assert [name in r.json for r in server.requests] == [True, False, False]
    assert (len(first.attempts), len(second.attempts), time.slept) == (1, 0, [])
    assert "top_logprobs" not in server.requests[-1].json or name != "logprobs"


async def test_the_new_name_of_max_tokens_is_learnt() -> None:
    refusal = error(
        400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    )
    async with ModelServer([refusal, hello()]) as server, quick() as (made, _):
        await made.complete(ask(tier(server.base_url), max_output_tokens=5))
    assert server.requests[1].json["max_completion_tokens"] == 5
    assert "max_tokens" not in server.requests[1].json


async def test_a_refusal_that_leaving_out_does_not_cure_is_not_remembered() -> None:
    refusal = error(400, "bad request with seed")
    async with ModelServer([refusal, refusal, hello()]) as server, quick() as (made, _):
        request = ask(tier(server.base_url), seed=1)
        with pytest.raises(RequestRejected):
            await made.complete(request)
        await made.complete(request)
    assert ["seed" in r.json for r in server.requests] == [True, False, True]


@pytest.mark.parametrize(
    ("reply", "phase"),
    [
        (Reply(before_head_s=9, actions=(PLAIN,)), "first_byte"),
        (Reply(actions=(HANG,)), "first_byte"),
        (Reply(actions=(PLAIN[:400], HANG)), "between_chunks"),
        (Reply(actions=(*(b": keep-alive\n\n", Pause(0.05)) * 100,)), "total"),
    ],
)
async def test_each_stall_ends_in_its_own_timeout(reply: Reply, phase: str) -> None:
    limits = Timeouts(connect_s=5, first_byte_s=0.3, between_chunks_s=0.2, total_s=1.0)
    async with ModelServer([reply] * 9) as server, backend() as made:
        async with asyncio.timeout(10):
            with pytest.raises(EndpointTimeout) as caught:
                await made.complete(ask(tier(server.base_url, timeouts=limits)))
        await asyncio.wait_for(server.left.wait(), 5)
    first = caught.value.attempts[0]
    assert f"({phase}_s)" in first.message
    assert caught.value.attempts[-1].code == "endpoint_timeout"
    assert "raise" in caught.value.hint


async def test_a_connection_that_is_never_accepted_times_out() -> None:
    # a listen queue of length 0 that is full: further connections stay in SYN_SENT

    with socket.socket() as full, contextlib.ExitStack() as clients:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        limits = Timeouts(connect_s=0.2, first_byte_s=5, total_s=0.6)
        async with backend() as made:
            with pytest.raises(EndpointTimeout) as caught:
                await made.complete(
                    ask(tier(f"http://127.0.0.1:{full.getsockname()[1]}/v1", timeouts=limits))
                )
    assert "no connection within 0.2 s" in caught.value.attempts[0].message


async def test_an_error_whose_body_stalls_still_counts_as_that_error() -> None:
    stalled = Reply(status=429, headers={"Retry-After": "3600"}, actions=(b'{"error":', HANG))
    failure, _, _ = await outcome([stalled])
    assert (type(failure), failure.retry_after_s) == (RateLimited, 3600.0)
