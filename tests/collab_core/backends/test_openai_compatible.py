from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

import pytest

from collab_core.backends.base import ModelRequest
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.domain import Tier, Timeouts
from collab_core.errors import (
    BackendError,
    ContextTooLong,
    EndpointFailed,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    InvalidInput,
    ProtocolViolation,
    RateLimited,
    RequestRejected,
)
from collab_core.transcript import Transcript
from tests.collab_core.backends.streams import PLAIN, RECORDED
from tests.fakes.model_server import (
    CUT,
    HANG,
    ModelServer,
    Pause,
    Reply,
    delta,
    error,
    hello,
    sse,
    usage,
)

KEY = "sk-canary-4711"
TOOLS = b'[{"type":"function","function":{"name":"search","parameters":{}}}]'


@dataclass
class FakeTime:
    """A clock that only sleeping moves."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Longest(Random):
    """Full jitter at its upper end: the waits can be computed by hand."""

    def uniform(self, a: float, b: float) -> float:
        return b


def tier(base_url: str, **changes: Any) -> Tier:
    return replace(Tier(name="small", model="small-1", base_url=base_url), **changes)


def ask(on: Tier, **changes: Any) -> ModelRequest:
    transcript = Transcript([{"role": "user", "content": "Größe?"}])
    return replace(ModelRequest(tier=on, transcript=transcript), **changes)


@contextlib.asynccontextmanager
async def backend(**kwargs: Any) -> AsyncIterator[OpenAICompatible]:
    made = OpenAICompatible(environ={"KEY": KEY}, random=Longest(), **kwargs)
    try:
        yield made
    finally:
        await made.aclose()


@contextlib.asynccontextmanager
async def quick() -> AsyncIterator[tuple[OpenAICompatible, FakeTime]]:
    time = FakeTime()
    async with backend(clock=time, sleep=time.sleep) as made:
        yield made, time


async def outcome(script: list[Reply], **changes: Any) -> tuple[BackendError, int, FakeTime]:
    """Run one call that must fail; return its error and how many completions were asked for."""
    async with ModelServer(script) as server, quick() as (made, time):
        with pytest.raises(BackendError) as caught:
            await made.complete(ask(tier(server.base_url, **changes)))
        return caught.value, sum(r.method == "POST" for r in server.requests), time


# -- what is sent ---------------------------------------------------------------------------------


async def test_the_request_is_the_protocols() -> None:
    async with ModelServer([hello()]) as server, backend() as made:
        on = tier(
            server.base_url, api_key_env="KEY", structured_output=True, supports_priority=True
        )
        await made.complete(
            ask(
                on, tools_json=TOOLS, tool_choice="none", seed=7, stop=("x",), logprobs=True,
                structured={"regex": "a+"}, priority=3, request_id="run-1\r\n/think-2", max_output_tokens=9,
                suffix=({"role": "user", "content": "now"},),
            )
        )  # fmt: skip
    [got] = server.requests
    assert got.json == {
        "model": "small-1",
        "messages": [{"role": "user", "content": "Größe?"}, {"role": "user", "content": "now"}],
        "tools": json.loads(TOOLS),
        "tool_choice": "none",
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 9,
        "stop": ["x"],
        "seed": 7,
        "logprobs": True,
        "top_logprobs": 3,
        "structured_outputs": {"regex": "a+"},
        "priority": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert (got.method, got.path) == ("POST", "/v1/chat/completions")
    assert got.headers["authorization"] == f"Bearer {KEY}"
    assert got.headers["x-request-id"] == "run-1/think-2"
    assert got.headers["accept-encoding"] == "identity"


async def test_extras_go_only_to_servers_that_have_them() -> None:
    async with ModelServer([hello()]) as server, backend() as made:
        await made.complete(ask(tier(server.base_url), structured={"regex": "a"}, priority=1))
    assert not {"structured_outputs", "priority", "seed", "tools"} & set(server.requests[0].json)
    assert "authorization" not in server.requests[0].headers


async def test_a_growing_prompt_keeps_its_bytes() -> None:
    async with ModelServer([hello(), hello()]) as server, backend() as made:
        request = ask(tier(server.base_url), tools_json=TOOLS)
        await made.complete(request)
        request.transcript.append({"role": "assistant", "content": "a"})
        await made.complete(request)
    first, second = (r.body for r in server.requests)
    end = first.index(b'],"tools"')
    assert second.startswith(first[:end] + b",")
    assert second.endswith(first[end:])


async def test_a_named_tool_is_asked_for_by_its_object() -> None:
    async with ModelServer([hello()]) as server, backend() as made:
        await made.complete(ask(tier(server.base_url), tools_json=TOOLS, tool_choice="search"))
    expected = {"type": "function", "function": {"name": "search"}}
    assert server.requests[0].json["tool_choice"] == expected


async def test_a_prompt_of_two_megabytes_arrives() -> None:
    long = Transcript([{"role": "user", "content": "x" * 2_000_000}])
    async with ModelServer([hello()]) as server, backend() as made:
        await made.complete(ask(tier(server.base_url), transcript=long))
    assert len(server.requests[0].json["messages"][0]["content"]) == 2_000_000


# -- good replies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORDED)
async def test_recorded_streams(name: str) -> None:
    async with ModelServer([Reply(actions=(RECORDED[name],))]) as server, backend() as made:
        reply = await made.complete(ask(tier(server.base_url)))
    assert reply.finish_reason in {"stop", "length", "tool_calls"}
    assert reply.usage.input_tokens > 0


async def test_the_connection_is_used_again() -> None:
    async with ModelServer([hello() for _ in range(5)]) as server, backend() as made:
        for _ in range(5):
            await made.complete(ask(tier(server.base_url)))
    assert (len(server.requests), server.connections) == (5, 1)


async def test_a_body_that_goes_on_behind_its_end_does_not_delay_the_reply() -> None:
    async with ModelServer([Reply(actions=(PLAIN, HANG))]) as server, backend() as made:
        async with asyncio.timeout(5):
            reply = await made.complete(ask(tier(server.base_url)))
        await asyncio.wait_for(server.left.wait(), 5)
    assert reply.finish_reason == "stop"


async def test_timing_has_its_parts() -> None:
    head, tail = PLAIN[:-14], PLAIN[-14:]
    cut = head.index(b"data:", 300)
    slow = Reply(actions=(Pause(0.05), head[:cut], Pause(0.05), head[cut:], tail))
    async with ModelServer([slow]) as server, backend() as made:
        timing = (await made.complete(ask(tier(server.base_url)))).timing
    assert timing.queued_s is None
    assert timing.first_token_s >= 0.05
    assert timing.decode_s >= 0.05
    assert timing.total_s >= timing.first_token_s + timing.decode_s


async def test_the_wait_for_a_slot_is_queue_time() -> None:
    slow = [Reply(actions=(Pause(0.1), PLAIN)) for _ in range(3)]
    async with ModelServer(slow) as server, backend() as made:
        on = tier(server.base_url, max_concurrency=1)
        replies = await asyncio.gather(*(made.complete(ask(on)) for _ in range(3)))
    waits = sorted(reply.timing.queued_s or 0.0 for reply in replies)
    assert waits[0] == 0.0
    assert waits[1] >= 0.09
    assert waits[2] >= 0.18
    assert all(r.timing.first_token_s >= (r.timing.queued_s or 0) for r in replies)


async def test_the_limit_holds_for_a_model_whatever_the_tiers_name() -> None:
    most = 0
    slow = [Reply(actions=(Pause(0.02), PLAIN)) for _ in range(8)]
    async with ModelServer(slow) as server, backend() as made:
        tiers = [tier(server.base_url, max_concurrency=2, name=n) for n in "abcdefgh"]
        calls = [asyncio.create_task(made.complete(ask(t))) for t in tiers]
        while not all(call.done() for call in calls):
            most = max(most, len(server.requests) - sum(call.done() for call in calls))
            await asyncio.sleep(0.002)
        assert all(call.result().text for call in calls)
    assert most == 2
    assert server.connections == 2


async def test_deltas_carry_attempt_and_offset() -> None:
    broken = Reply(actions=(sse(delta(content="Wrong"), done=False), CUT))
    seen: list[tuple[int, int, str, str]] = []
    async with ModelServer([broken, hello()]) as server, quick() as (made, _):
        reply = await made.complete(ask(tier(server.base_url)), lambda *part: seen.append(part))
    assert seen[0] == (0, 0, "Wrong", "text")
    assert [part[0] for part in seen[1:]] == [1] * (len(seen) - 1)
    assert "".join(part[2] for part in seen if part[0] == 1) == reply.text == "Hello world"


# -- bad answers: class, count, hint ----------------------------------------------------------------

HTML = Reply(actions=(b"<html>Sign in</html>",), content_type="text/html", framing="length")
REFUSALS = {
    "401": (error(401, "bad key"), EndpointRefused, 1, "sends no key"),
    "403": (error(403, "no"), EndpointRefused, 1, "sends no key"),
    "405": (error(405, "no"), EndpointRefused, 1, "/v1"),
    "400": (error(400, "temperature must be >= 0"), RequestRejected, 1, "refuses"),
    "422": (error(422, "bad"), RequestRejected, 1, "refuses"),
    "too long": (error(400, "This model's maximum context length is 4096 tokens."), ContextTooLong, 1, "32768 tokens"),
    "429": (error(429, "slow down"), RateLimited, 4, "now 64"),
    "408": (error(408, "timeout"), EndpointFailed, 4, "log"),
    "500": (error(500, "boom"), EndpointFailed, 4, "log"),
    "502": (replace(HTML, status=502), EndpointFailed, 4, "log"),
    "503": (error(503, "loading"), EndpointFailed, 4, "log"),
    "204": (Reply(status=204, framing="length"), ProtocolViolation, 4, ""),
    "html": (HTML, ProtocolViolation, 4, "/v1"),
    "gzip": (Reply(actions=(b"\x1f\x8b",), headers={"Content-Encoding": "gzip"}), ProtocolViolation, 4, "compression"),
    "abort": (Reply(actions=(sse(delta(content="a"), delta(finish="abort")),)), EndpointFailed, 4, "log"),
    "cut": (Reply(actions=(PLAIN[:400], CUT)), EndpointFailed, 4, "died"),
    "no head": (Reply(actions=(CUT,), before_head_s=0.01), EndpointFailed, 4, "died"),
    "short body": (Reply(actions=(PLAIN[:400], CUT), framing="length", headers={"Content-Length": "9999"}), EndpointFailed, 4, "died"),
    "clean end too early": (Reply(actions=(PLAIN[:400],), framing="close"), EndpointFailed, 4, ""),
    "endless": (Reply(actions=(sse(delta(content="la "), done=False),) * 9000), ProtocolViolation, 1, "max_tokens"),
    "filtered": (Reply(actions=(sse(delta(finish="content_filter"), usage()),)), RequestRejected, 1, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
async def test_bad_answers(name: str) -> None:
    reply, kind, requests, hint = REFUSALS[name]
    failure, count, _ = await outcome([reply] * 9)
    assert isinstance(failure, kind)
    assert (count, len(failure.attempts)) == (requests, requests)
    assert failure.attempts[-1].code == failure.code == kind.code
    assert hint in failure.hint


async def test_a_redirect_is_not_followed() -> None:
    async with ModelServer([hello()]) as other:
        away = replace(error(307, "moved"), headers={"Location": other.base_url})
        failure, count, _ = await outcome([away], api_key_env="KEY")
    assert (type(failure), count, other.requests) == (EndpointRefused, 1, [])
    assert other.base_url in failure.message


async def test_a_404_says_which_models_there_are() -> None:
    listed = b'{"object":"list","data":[{"id":"small-2"},{"id":"large"}]}'
    models = Reply(actions=(listed,), content_type="application/json")
    failure, count, _ = await outcome([error(404, "no such model"), models])
    assert (type(failure), count) == (EndpointRefused, 1)
    assert failure.hint.endswith("It lists: small-2, large")


async def test_a_404_from_a_stranger_says_that_nothing_is_listed() -> None:
    failure, _, _ = await outcome([error(404, "x"), HTML])
    assert failure.hint.endswith("does not list its models.")


async def test_a_wrong_key_names_its_variable() -> None:
    failure, _, _ = await outcome([error(401, "no")], api_key_env="KEY")
    assert "KEY is set" in failure.hint


@pytest.mark.parametrize("environ", [{}, {"KEY": " "}, {"KEY": "a\nb"}, {"KEY": "ключ"}])
async def test_an_unusable_key_is_told_without_a_request(environ: dict[str, str]) -> None:
    async with ModelServer([]) as server:
        made = OpenAICompatible(environ=environ)
        with pytest.raises(EndpointRefused, match="KEY") as caught:
            await made.complete(ask(tier(server.base_url, api_key_env="KEY")))
        await made.aclose()
    assert server.requests == []
    assert "KEY" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["", "localhost:8000/v1", "ftp://h/v1", "http://", "http://u:p@h/v1", "http://h/v1?a=b", "http://h:99999/v1"]
)  # fmt: skip
async def test_an_address_that_is_none(url: str) -> None:
    async with backend() as made:
        with pytest.raises(InvalidInput) as caught:
            await made.complete(ask(tier(url)))
    assert caught.value.field == "base_url"


async def test_nobody_listens() -> None:
    async with ModelServer([]) as server:
        url = server.base_url
    async with quick() as (made, time):
        with pytest.raises(EndpointUnreachable, match="No connection") as caught:
            await made.complete(ask(tier(url)))
    assert (len(caught.value.attempts), time.slept) == (4, [0.5, 1.0, 2.0])
    assert url in caught.value.hint


async def test_no_such_host() -> None:
    async with quick() as (made, _):
        with pytest.raises(EndpointUnreachable):
            await made.complete(ask(tier("http://no-such-host.invalid/v1")))


@contextlib.asynccontextmanager
async def stranger(answer: bytes) -> AsyncIterator[int]:
    """Listen as something that is no model server: the same bytes for whatever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_server_without_tls() -> None:
    async with stranger(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, quick() as (made, _):
        with pytest.raises(EndpointUnreachable, match="No connection"):
            await made.complete(ask(tier(f"https://127.0.0.1:{port}/v1")))


async def test_something_that_is_not_http() -> None:
    async with stranger(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as port, quick() as (made, _):
        with pytest.raises(ProtocolViolation, match="does not speak HTTP"):
            await made.complete(ask(tier(f"http://127.0.0.1:{port}/v1")))


# -- retries --------------------------------------------------------------------------------------


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


# -- timeouts -------------------------------------------------------------------------------------


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


# -- cancellation, keys, hygiene --------------------------------------------------------------------


@pytest.mark.parametrize("actions", [(HANG,), (PLAIN[:400], HANG)])
async def test_cancelling_closes_the_stream_at_once(actions: tuple[Any, ...]) -> None:
    async with ModelServer([Reply(actions=actions)]) as server, backend() as made:
        call = asyncio.create_task(made.complete(ask(tier(server.base_url, max_concurrency=1))))
        async with asyncio.timeout(5):
            while not server.requests:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await server.left.wait()
    assert len(server.requests) == 1


async def test_cancelling_frees_the_slot() -> None:
    async with ModelServer([Reply(actions=(HANG,)), hello()]) as server, backend() as made:
        on = tier(server.base_url, max_concurrency=1)
        call = asyncio.create_task(made.complete(ask(on)))
        while not server.requests:
            await asyncio.sleep(0.01)
        call.cancel()
        async with asyncio.timeout(5):
            assert (await made.complete(ask(on))).text == "Hello world"


ECHOES = {
    "401": error(401, f"Incorrect API key provided: {KEY}"),
    "500": error(500, f"trace: Authorization: Bearer {KEY}\x1b[31m"),
    "html": Reply(actions=(f"<p>{KEY}</p>".encode(),)),
    "in the stream": Reply(actions=(sse({"error": {"message": f"key {KEY}"}}),)),
    "garbage": Reply(actions=(f"data: {KEY}\n\n".encode(),)),
    "finish reason": Reply(actions=(sse(delta(finish=KEY)),)),
    "location": replace(error(302, "x"), headers={"Location": f"/?{KEY}"}),
}


@pytest.mark.parametrize("name", ECHOES)
async def test_the_key_never_comes_back(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    failure, _, _ = await outcome([ECHOES[name]] * 9, api_key_env="KEY")
    told = [failure.message, failure.hint, str(failure), caplog.text]
    told += [attempt.message for attempt in failure.attempts]
    assert not any(KEY in text for text in told)
    assert not any(ord(char) < 32 for char in failure.message)


async def test_a_flood_in_an_error_is_cut() -> None:
    failure, _, _ = await outcome([error(400, "x" * 1_000_000)])
    assert len(failure.message) < 500


async def test_two_keys_for_one_address_stay_apart() -> None:
    async with ModelServer([hello(), hello()]) as server:
        made = OpenAICompatible(environ={"A": "key-a", "B": "key-b"})
        await made.complete(ask(tier(server.base_url, api_key_env="A")))
        await made.complete(ask(tier(server.base_url, api_key_env="B")))
        await made.aclose()
    sent = [r.headers["authorization"] for r in server.requests]
    assert sent == ["Bearer key-a", "Bearer key-b"]


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ModelServer([hello()]) as server, ModelServer([]) as proxy, backend() as made:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await made.complete(ask(tier(server.base_url)))
    assert (len(server.requests), len(proxy.requests)) == (1, 0)


async def test_a_cookie_is_not_kept() -> None:
    sticky = replace(hello(), headers={"Set-Cookie": "a=b"})
    async with ModelServer([sticky, hello()]) as server, backend() as made:
        for _ in range(2):
            await made.complete(ask(tier(server.base_url)))
    assert "cookie" not in server.requests[1].headers


def test_a_second_event_loop_is_refused() -> None:
    made = OpenAICompatible()

    async def once() -> None:
        async with ModelServer([hello()]) as server:
            await made.complete(ask(tier(server.base_url)))
        await made.aclose()

    asyncio.run(once())
    with pytest.raises(RuntimeError, match="one event loop"):
        asyncio.run(once())
