from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collab_core.backends.base import ModelRequest
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.domain import Tier
from collab_core.progress import BLOCK_REGEX, parse_block
from collab_core.simulator.presets import Faults, Preset, SimulatedModel, load_preset
from collab_core.simulator.server import SimulatedServer
from collab_core.simulator.speed import Speed
from collab_core.tools.base import Tool, tools_json
from collab_core.transcript import Transcript
from tests.collab_core.simulator.loop import Conversation, prompt

SMALL = load_preset("ddv2-7b-38b").models[0]
QUICK = Speed(overhead_s=0.0, prefill_s_per_token=0.0, decode_s_per_token=0.0)
SLOW = Speed(overhead_s=0.0, prefill_s_per_token=0.0, decode_s_per_token=0.5)
SOUND = Faults()
StartServer = Callable[..., Awaitable["Client"]]


class Client:
    """Speaks to one server."""

    def __init__(self, server: SimulatedServer, url: str, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.url = url
        self.session = session
        self.engine = server.engines[SMALL.name]

    def post(self, body: Any, **more: Any) -> Any:
        return self.session.post(f"{self.url}/v1/chat/completions", json=body, **more)

    async def events(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the JSON of all events of a stream that ends properly."""
        async with self.post(body | {"stream": True}) as response:
            assert response.status == 200
            lines = (await response.text()).split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]

    async def metric(self, name: str) -> float:
        async with self.session.get(f"{self.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        start = f'vllm:{name}{{engine="0",model_name="{SMALL.name}"'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start))


@pytest.fixture
async def start() -> AsyncIterator[StartServer]:
    async with aiohttp.ClientSession() as session:
        runners: list[web.AppRunner] = []

        async def make(*, speed: Speed = QUICK, faults: Faults = SOUND, **more: Any) -> Client:
            model = dataclasses.replace(SMALL, speed=speed, faults=faults, context_tokens=8_192)
            server = SimulatedServer([Preset(name="p", models=(model,))], **more)
            runner = server.runner()
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return Client(server, f"http://127.0.0.1:{runner.addresses[0][1]}", session)

        yield make
        for runner in runners:
            await runner.cleanup()


@pytest.fixture
def body(tools: tuple[Tool, ...]) -> dict[str, Any]:
    talk = Conversation("Who taught Berit Quipra?", tools)
    return {"model": SMALL.name, **talk.body(max_tokens=2_000)}


async def test_the_tokens_of_a_call_have_log_probabilities_too(
    start: StartServer, body: dict[str, Any]
) -> None:
    """As with vLLM's own parsers: the call's frame, name and arguments, in the order generated."""
    client = await start()
    asked = body | {"logprobs": True, "top_logprobs": 2}
    events = await client.events(asked)
    streamed = [
        token
        for event in events
        for choice in event["choices"]
        for token in (choice["logprobs"] or {"content": []})["content"]
    ]
    text = "".join(token["token"] for token in streamed)
    assert '<tool_call>\n{"name": "search", "arguments": {"' in text
    assert all(len(token["top_logprobs"]) == 2 for token in streamed)
    async with client.post(asked) as response:
        whole = (await response.json())["choices"][0]["logprobs"]["content"]
    assert whole == streamed


async def test_a_stream_has_vllms_shape(start: StartServer, body: dict[str, Any]) -> None:
    client = await start()
    events = await client.events(body | {"stream_options": {"include_usage": True}})
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    deltas = [event["choices"][0]["delta"] for event in events[1:-2]]
    text = "".join(delta.get("content", "") for delta in deltas)
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert parse_block(text).status == "parsed"
    assert calls[0]["function"]["name"] == "search"
    assert len(calls) > 3
    assert json.loads("".join(call["function"]["arguments"] for call in calls))["query"]
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert events[-1]["choices"] == []
    usage, metrics = events[-1]["usage"], events[-1]["metrics"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert set(metrics) == {
        "time_to_first_token_ms",
        "generation_time_ms",
        "queue_time_ms",
        "mean_itl_ms",
        "tokens_per_second",
    }


async def test_usage_comes_only_when_asked_for(start: StartServer, body: dict[str, Any]) -> None:
    client = await start()
    assert all("usage" not in event for event in await client.events(body))


async def test_whole_and_streamed_replies_agree(start: StartServer, body: dict[str, Any]) -> None:
    client = await start()
    async with client.post(body) as response:
        whole = await response.json()
    events = await client.events(body)
    streamed = "".join(e["choices"][0]["delta"].get("content", "") for e in events)
    message = whole["choices"][0]["message"]
    assert message["content"] == streamed
    assert json.loads(message["tool_calls"][0]["function"]["arguments"])["query"]
    assert whole["usage"]["completion_tokens"] > 20


async def test_a_growing_prompt_is_cached(start: StartServer, body: dict[str, Any]) -> None:
    client = await start()
    cached = []
    for _ in range(3):
        async with client.post(body) as response:
            usage = (await response.json())["usage"]
        cached.append(usage["prompt_tokens_details"]["cached_tokens"])
        body["messages"].append({"role": "assistant", "content": "And so on. " * 40})
    assert cached[0] == 0
    assert 0 < cached[1] < cached[2] < usage["prompt_tokens"]
    assert all(count % 32 == 0 for count in cached)
    assert await client.metric("prefix_cache_hits_total") == sum(cached)


async def test_logprobs_list_the_sampled_token_first(
    start: StartServer, body: dict[str, Any]
) -> None:
    client = await start()
    events = await client.events(body | {"logprobs": True, "top_logprobs": 2})
    entries = [
        e for event in events for e in (event["choices"][0]["logprobs"] or {}).get("content", [])
    ]
    assert len(entries) > 20
    assert all(len(e["top_logprobs"]) == 2 and e["logprob"] <= 0 for e in entries)
    assert all(e["top_logprobs"][0]["token"] == e["token"] for e in entries)


@pytest.mark.parametrize(
    ("more", "finish", "ending"),
    [
        ({"max_tokens": 7}, "length", ""),
        ({"stop": ["<progress>"]}, "stop", "\n"),
        ({"stop": "<rationale>"}, "stop", "<progress>"),
    ],
)
async def test_limits_cut_the_reply(
    start: StartServer, body: dict[str, Any], more: dict[str, Any], finish: str, ending: str
) -> None:
    client = await start()
    async with client.post(body | more) as response:
        choice = (await response.json())["choices"][0]
    assert choice["finish_reason"] == finish
    assert choice["message"]["content"].endswith(ending)
    assert "tool_calls" not in choice["message"]


async def test_a_check_without_tools_obeys_its_regex(
    start: StartServer, body: dict[str, Any]
) -> None:
    client = await start()
    body["messages"].append({"role": "user", "content": prompt("progress_check")})
    more = {"tool_choice": "none", "structured_outputs": {"regex": BLOCK_REGEX}}
    async with client.post(body | more) as response:
        message = (await response.json())["choices"][0]["message"]
    assert parse_block(message["content"]).raw == message["content"]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"model": "none"}, 404),
        ({"model": None}, 404),
        ({"messages": []}, 400),
        ({"messages": "hello"}, 400),
        ({"messages": [{"role": "wizard", "content": "x"}]}, 400),
        ({"messages": [{"role": "user", "content": "x" * 40_000}]}, 400),
        ({"max_tokens": 9_000}, 400),
        ({"max_tokens": 0}, 400),
        ({"max_tokens": "many"}, 400),
        ({"temperature": -1}, 400),
        ({"tools": 5}, 400),
        ({"logprobs": True, "top_logprobs": 99}, 400),
        ({"structured_outputs": {"regex": "("}}, 400),
    ],
)
async def test_wrong_requests_get_vllms_errors(
    start: StartServer, body: dict[str, Any], more: dict[str, Any], status: int
) -> None:
    client = await start()
    async with client.post(body | more) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (status, status)
    assert error["message"]


async def test_a_body_that_is_no_json(start: StartServer) -> None:
    client = await start()
    url = f"{client.url}/v1/chat/completions"
    for data in (b"", b"{", b"\xff", b"[1]"):
        async with client.session.post(url, data=data) as response:
            assert response.status in (400, 404)


async def test_the_key_is_checked(start: StartServer, body: dict[str, Any]) -> None:
    client = await start(api_key="right")
    for given, status in (("wrong", 401), ("", 401), ("right", 200)):
        headers = {"Authorization": f"Bearer {given}"}
        async with client.post(body, headers=headers) as response:
            assert response.status == status
    async with client.session.get(f"{client.url}/health") as response:
        assert response.status == 200


async def test_the_models_are_listed(start: StartServer) -> None:
    client = await start()
    async with client.session.get(f"{client.url}/v1/models") as response:
        (card,) = (await response.json())["data"]
    assert (card["id"], card["max_model_len"]) == (SMALL.name, 8_192)


async def test_a_client_that_goes_away_frees_its_slot(
    start: StartServer, body: dict[str, Any]
) -> None:
    client = await start(speed=dataclasses.replace(SLOW, max_num_seqs=1))
    for stream in (True, False):
        request = asyncio.create_task(client.post(body | {"stream": stream})._coro)
        await until(lambda: client.engine.slots.running == 1)
        if stream:
            (await request).close()
        request.cancel()
        await until(lambda: client.engine.slots.running == 0)
    assert await client.metric("request_success_total") == 0


async def test_more_requests_than_slots_wait(start: StartServer, body: dict[str, Any]) -> None:
    client = await start(speed=dataclasses.replace(SLOW, max_num_seqs=1))
    requests = [asyncio.create_task(client.post(body)._coro) for _ in range(3)]
    await until(lambda: client.engine.slots.waiting == 2)
    assert await client.metric("num_requests_running") == 1
    assert await client.metric("num_requests_waiting") == 2
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    await until(lambda: client.engine.slots.running == 0)


async def test_a_busy_server_says_when_to_come_back(
    start: StartServer, body: dict[str, Any]
) -> None:
    client = await start(faults=Faults(rate_limit=1.0, retry_after_s=2.5))
    async with client.post(body) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "2.5")


async def test_a_failing_server(start: StartServer, body: dict[str, Any]) -> None:
    client = await start(faults=Faults(server_error=1.0))
    async with client.post(body) as response:
        assert response.status == 500


async def test_a_cut_stream_never_ends_properly(start: StartServer, body: dict[str, Any]) -> None:
    client = await start(faults=Faults(cut=1.0))
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.events(body)


async def test_a_malformed_line_is_in_the_middle(start: StartServer, body: dict[str, Any]) -> None:
    client = await start(faults=Faults(malformed=1.0))
    with pytest.raises(json.JSONDecodeError):
        await client.events(body)


async def test_an_aborted_reply_is_not_counted(start: StartServer, body: dict[str, Any]) -> None:
    client = await start(faults=Faults(abort=1.0))
    assert (await client.events(body))[-1]["choices"][0]["finish_reason"] == "abort"
    async with client.post(body) as response:
        assert (await response.json())["choices"][0]["finish_reason"] == "abort"
    assert await client.metric("request_success_total") == 0


async def test_a_stalled_stream_stays_open(start: StartServer, body: dict[str, Any]) -> None:
    client = await start(faults=Faults(stall=1.0))
    timeout = aiohttp.ClientTimeout(total=0.3)
    with pytest.raises(TimeoutError):
        async with client.post(body | {"stream": True}, timeout=timeout) as response:
            await response.read()
    await until(lambda: client.engine.slots.running == 0)


async def test_a_stopping_server_aborts_its_streams(
    start: StartServer, body: dict[str, Any]
) -> None:
    client = await start(speed=dataclasses.replace(SLOW, decode_s_per_token=0.05))
    events = asyncio.create_task(client.events(body))
    await until(lambda: client.engine.slots.running == 1)
    client.engine.stopping = True
    assert (await events)[-1]["choices"][0]["finish_reason"] == "abort"


async def test_faults_have_their_share(start: StartServer) -> None:
    client = await start(faults=Faults(cut=0.2, abort=0.1), seed=3)
    drawn = [client.engine.draw_fault() for _ in range(4_000)]
    assert drawn.count("cut") / 4_000 == pytest.approx(0.2, abs=0.03)
    assert drawn.count("abort") / 4_000 == pytest.approx(0.1, abs=0.03)
    assert drawn.count("") / 4_000 == pytest.approx(0.7, abs=0.03)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_model_of_a_preset_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.name = "x"  # type: ignore[misc]
    assert isinstance(SMALL, SimulatedModel)


async def test_the_client_finds_the_margin_of_the_token_that_decides(
    start: StartServer, tools: tuple[Tool, ...]
) -> None:
    client = await start()
    talk = Conversation("Who taught Berit Quipra?", tools)
    backend = OpenAICompatible()
    tier = Tier(name="small", model=SMALL.name, base_url=f"{client.url}/v1", simulated=True)
    reply = await backend.complete(
        ModelRequest(
            tier=tier,
            transcript=Transcript(talk.messages),
            tools_json=tools_json(tools),
            logprobs=True,
        )
    )
    await backend.aclose()
    assert reply.tool_calls[0].name == "search"
    assert reply.decisive_margin is not None
    assert 0.0 <= reply.decisive_margin <= 1.0
    assert reply.decisive_margin != reply.first_token_margin
