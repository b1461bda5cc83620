"""The protocol as a real vLLM speaks it, through the backend the engine uses."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import msgspec
import pytest

from collab_core.backends.openai_compatible import OpenAICompatible
from collab_core.backends.probe import probe
from collab_core.errors import ContextTooLong, EndpointRefused, RequestRejected
from collab_core.transcript import Transcript
from tests.vllm.conftest import KEY, Servers, ask, metric

pytestmark = pytest.mark.vllm

TOOLS = msgspec.json.encode(
    [
        {
            "type": "function",
            "function": {
                "name": "search",
                "description": "Search the documents.",
                "strict": True,
                "parameters": {
                    "type": "object",
                    "properties": {"query": {"type": "string", "enum": ["port", "city"]}},
                    "required": ["query"],
                    "additionalProperties": False,
                },
            },
        }
    ]
)
PROGRESS = r"<progress><rationale>[a-z ]{5,40}</rationale><indicator>[01]</indicator></progress>"


@pytest.mark.parametrize("name", ["small", "large"])
async def test_a_streamed_reply(servers: Servers, backend: OpenAICompatible, name: str) -> None:
    pieces: list[tuple[int, int, str, str]] = []
    tier = getattr(servers, name)
    reply = await backend.complete(
        ask(tier, max_output_tokens=40), lambda *part: pieces.append(part)
    )
    assert reply.finish_reason in {"stop", "length"}
    assert "".join(piece[2] for piece in pieces) == reply.text
    assert 0 < reply.usage.output_tokens <= 40
    assert not reply.usage.estimated
    assert 0 < reply.timing.first_token_s <= reply.timing.total_s
    assert reply.timing.queued_s is not None
    assert reply.attempts == ()


async def test_a_seed_repeats_the_reply(servers: Servers, backend: OpenAICompatible) -> None:
    first, second = [await backend.complete(ask(servers.small, seed=11)) for _ in range(2)]
    assert first.text == second.text


async def test_a_growing_prompt_is_cached(servers: Servers, backend: OpenAICompatible) -> None:
    talk = Transcript([{"role": "user", "content": f"{time.time()} " + "old harbour " * 60}])
    cached = []
    for turn in range(3):
        reply = await backend.complete(ask(servers.small, transcript=talk, tools_json=TOOLS))
        cached.append(reply.usage.cached_tokens)
        talk.append({"role": "assistant", "content": f"Turn {turn}. " + "words " * 40})
        talk.append({"role": "user", "content": "Go on."})
    assert cached[0] is not None
    assert cached[1] > cached[0]
    assert cached[2] > cached[1] > 60


async def test_a_judge_at_the_tail_reuses_the_prefix(
    servers: Servers, backend: OpenAICompatible
) -> None:
    talk = Transcript([{"role": "user", "content": f"{time.time()} " + "quay " * 200}])
    await backend.complete(ask(servers.small, transcript=talk, tools_json=TOOLS))
    judge = ask(
        servers.small,
        transcript=talk,
        tools_json=TOOLS,
        tool_choice="none",
        suffix=({"role": "user", "content": "Judge the progress."},),
    )
    usage = (await backend.complete(judge)).usage
    assert usage.cached_tokens is not None
    assert usage.cached_tokens > usage.input_tokens * 0.7


async def test_log_probabilities(servers: Servers, backend: OpenAICompatible) -> None:
    reply = await backend.complete(ask(servers.small, logprobs=True))
    assert reply.mean_logprob is not None
    assert -20 < reply.mean_logprob < 0
    assert reply.first_token_margin is not None
    assert 0 <= reply.first_token_margin <= 1


@pytest.mark.parametrize("name", ["small", "large"])
async def test_the_progress_block_is_enforced(
    servers: Servers, backend: OpenAICompatible, name: str
) -> None:
    request = ask(getattr(servers, name), structured={"regex": PROGRESS}, max_output_tokens=400)
    reply = await backend.complete(request)
    assert reply.finish_reason == "stop"
    assert reply.text.startswith("<progress><rationale>")
    assert reply.text.endswith("</indicator></progress>")


async def test_a_required_tool_call_follows_its_schema(
    servers: Servers, backend: OpenAICompatible
) -> None:
    request = ask(servers.large, tools_json=TOOLS, tool_choice="required", max_output_tokens=400)
    reply = await backend.complete(request)
    assert reply.finish_reason == "tool_calls"
    for call in reply.tool_calls:
        assert call.name == "search"
        assert json.loads(call.arguments)["query"] in {"port", "city"}


async def test_many_calls_at_once(servers: Servers, backend: OpenAICompatible) -> None:
    tier = replace(servers.small, max_concurrency=8)
    replies = await asyncio.gather(
        *(backend.complete(ask(tier, priority=n % 3)) for n in range(24))
    )
    assert all(reply.usage.output_tokens > 0 for reply in replies)
    assert sum(reply.timing.queued_s is not None for reply in replies) == 24


async def test_cancelling_frees_the_servers_slot(
    servers: Servers, backend: OpenAICompatible
) -> None:
    request = ask(servers.small, max_output_tokens=3_500)
    call = asyncio.create_task(backend.complete(request))
    await _running_is(servers, 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await _running_is(servers, 0)


async def _running_is(servers: Servers, expected: int) -> None:
    async with asyncio.timeout(10):
        while await metric(servers.small, "vllm:num_requests_running") != expected:
            await asyncio.sleep(0.02)


async def test_an_unknown_model_is_told_with_the_known_ones(
    servers: Servers, backend: OpenAICompatible
) -> None:
    with pytest.raises(EndpointRefused, match="404") as caught:
        await backend.complete(ask(replace(servers.small, model="nix")))
    assert caught.value.hint.endswith("It lists: small")


async def test_a_wrong_key_is_refused(servers: Servers) -> None:
    made = OpenAICompatible(environ={"VLLM_TEST_KEY": "wrong-" + KEY})
    with pytest.raises(EndpointRefused, match="401") as caught:
        await made.complete(ask(servers.large))
    await made.aclose()
    assert "VLLM_TEST_KEY" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "tokens"), [("word " * 6_000, 10), ("short", 5_000)], ids=["prompt", "output"]
)
async def test_what_does_not_fit_is_named(
    servers: Servers, backend: OpenAICompatible, text: str, tokens: int
) -> None:
    with pytest.raises(ContextTooLong):
        await backend.complete(ask(servers.small, text, max_output_tokens=tokens))


async def test_an_impossible_request_is_rejected(
    servers: Servers, backend: OpenAICompatible
) -> None:
    with pytest.raises(RequestRejected, match="temperature"):
        await backend.complete(ask(servers.small, temperature=-1.0))


async def test_the_probe_sees_what_the_server_has(servers: Servers) -> None:
    report = await probe(servers.large, environ={"VLLM_TEST_KEY": KEY})
    assert report.works, report
    assert report.models == ("large",)
    assert report.notes == ()
    assert report.tokens_per_s is not None
    assert all(
        (
            report.reports_usage, report.reports_cached_tokens, report.reports_queue,
            report.gives_logprobs, report.structured_output, report.supports_priority,
        )
    )  # fmt: skip
