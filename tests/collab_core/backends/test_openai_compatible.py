from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.transcript import Transcript
from tests.collab_core.backends.calls import (
    KEY,
    TOOLS,
    ask,
    backend,
    outcome,
    quick,
    tier,
)
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
)


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
