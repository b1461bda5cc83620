from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from aiohttp import web

from collab_core import events as ev
from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.benchmarks.world import World
from collab_core.domain import Task, Tier, Totals
from collab_core.errors import ContextTooLong, EndpointRefused
from collab_core.runtime.engine import RunSpec, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.simulator.direct import DirectBackend
from collab_core.simulator.presets import Preset, ladder, load_preset
from collab_core.simulator.server import SimulatedServer
from collab_core.simulator.speed import Speed
from collab_core.tools.base import Tool, tools_json
from collab_core.transcript import Transcript

PRESET = load_preset("ddv2-7b-38b")
SPEED = Speed(overhead_s=1.0, prefill_s_per_token=0.001, decode_s_per_token=0.1)
MODEL = dataclasses.replace(PRESET.models[0], speed=SPEED)
ASKED = "Who taught Berit Quipra?"


def request(*said: tuple[str, str], model: str = MODEL.name, **more: Any) -> ModelRequest:
    messages = [{"role": role, "content": text} for role, text in said or [("user", ASKED)]]
    tier = Tier(name="small", model=model, base_url=more.pop("url", "http://127.0.0.1:9/v1"))
    return ModelRequest(tier=tier, transcript=Transcript(messages), seed=1, **more)


async def complete(*said: tuple[str, str], backend: DirectBackend | None = None) -> ModelReply:
    return await (backend or DirectBackend((MODEL,))).complete(request(*said))


async def test_it_replies_as_the_server_does(tools: tuple[Tool, ...]) -> None:
    quick = dataclasses.replace(MODEL, speed=Speed(overhead_s=0.0, decode_s_per_token=0.0))
    runner = SimulatedServer([Preset(name="p", models=(quick,))]).runner()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    wired = OpenAICompatible()
    try:
        asked = request(
            url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1",
            tools_json=tools_json(tools),
            logprobs=True,
        )
        served = await wired.complete(asked)
    finally:
        await wired.aclose()
        await runner.cleanup()
    direct = await DirectBackend((MODEL,)).complete(asked)
    assert direct.tool_calls
    assert direct.decisive_margin is not None
    assert dataclasses.replace(direct, timing=served.timing) == served


async def test_its_times_are_those_of_the_speed() -> None:
    reply = await complete()
    assert reply.timing.first_token_s == pytest.approx(1.0 + 0.001 * reply.usage.input_tokens)
    assert reply.timing.decode_s == pytest.approx(0.1 * (reply.usage.output_tokens - 1))
    assert reply.timing.total_s == reply.timing.first_token_s + reply.timing.decode_s


async def test_the_head_is_cached_from_the_start() -> None:
    # b"\n" + 33 bytes of frame + 1,000 = 1,034 bytes, that is 258 tokens or 8 whole blocks of 32
    reply = await complete(("system", "s" * 1_000), ("user", ASKED))
    assert reply.usage.cached_tokens == 256


async def test_a_conversation_finds_only_its_own_prompts_in_the_cache() -> None:
    backend = DirectBackend((MODEL,))
    first = await complete(("user", ASKED + "x" * 500), backend=backend)
    again = await complete(
        ("user", ASKED + "x" * 500), ("assistant", "Yes?"), ("user", "Go on."), backend=backend
    )
    other = await complete(("user", ASKED + "x" * 501), backend=backend)
    found = (first.usage.cached_tokens, again.usage.cached_tokens, other.usage.cached_tokens)
    assert found == (0, 128, 0)


async def test_recalled_prompts_warm_the_cache() -> None:
    talk = [("user", ASKED + "x" * 500), ("assistant", "Yes?")]
    backend = DirectBackend((MODEL,))
    backend.recall(request(*talk))
    assert (await complete(*talk, backend=backend)).usage.cached_tokens == 128


async def test_what_the_server_refuses_is_refused() -> None:
    backend = DirectBackend((MODEL,))
    with pytest.raises(ContextTooLong):
        await complete(("user", "x" * 4 * MODEL.context_tokens), backend=backend)
    with pytest.raises(EndpointRefused, match="does not exist"):
        await backend.complete(request(model="nobody"))


async def test_text_reaches_a_listener() -> None:
    heard: list[str] = []
    reply = await DirectBackend((MODEL,)).complete(
        request(), lambda _attempt, _offset, text, _kind: heard.append(text)
    )
    assert "".join(heard) == reply.text != ""


async def totals(
    world: World, tools: tuple[Tool, ...], parameters: dict[str, Any], journal: MemoryJournal
) -> Totals:
    task = world.tasks[7]
    spec = RunSpec(
        task=Task(question=task.question),
        gold=task.answers,
        strategy="agentcollab",
        parameters=parameters,
        ladder=ladder(PRESET.name, "http://127.0.0.1:9/v1"),
        seed=3,
    )
    backend = DirectBackend(PRESET.models)
    done = await execute(spec, journal, backend=backend, tools=tools, clock=lambda: 0.0)
    assert isinstance(done, ev.RunFinished)
    return done.totals


@pytest.mark.parametrize("agent", ["react", "planner-executor"])
async def test_a_resumed_run_takes_exactly_the_time_of_an_uncut_one(
    world: World, tools: tuple[Tool, ...], agent: str
) -> None:
    whole = MemoryJournal()
    expected = await totals(world, tools, {"agent": agent}, whole)
    assert expected.latency_s > 0
    assert len(expected.steps_by_tier) == 2
    for cut in range(0, len(whole.records), len(whole.records) // 6):
        kept = MemoryJournal(whole.records[:cut])
        assert await totals(world, tools, {"agent": agent}, kept) == expected, cut
