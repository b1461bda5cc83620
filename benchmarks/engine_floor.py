"""CPU of one model call: our backend beside the ordinary openai client and the raw floor.

A loop of 40 calls over a growing transcript (2 kB observations), each client in a process of its own,
the stub server in another. Figures are user + system time of the client, best of ``--rounds``
interleaved rounds; what counts are the ratios of one run.

    python -m benchmarks.engine_floor
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks.report import write_result

STEPS = (40, 200)
OBSERVATION = "The river port of Halden lies on the east bank. " * 43
CALL = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Looks things up. " * 8,
            "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
        },
    }
    for name in ("search", "read", "calculator")
]
START: list[dict[str, Any]] = [
    {"role": "system", "content": "You are an agent. " * 170},
    {"role": "user", "content": "Where?"},
]


def turn(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the two messages that one step adds."""
    return (
        {"role": "assistant", "content": text, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": OBSERVATION},
    )


@contextlib.contextmanager
def stub(*arguments: str) -> Iterator[str]:
    """Serve the stub in a process of its own; yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.stub_server", *arguments]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.communicate(timeout=10)


async def tandem(url: str, steps: int) -> None:
    """Our backend, as the engine calls it."""
    import msgspec

    from collab_core.backends.base import ModelRequest
    from collab_core.backends.openai_compatible import OpenAICompatible
    from collab_core.domain import Tier
    from collab_core.transcript import Transcript

    backend, transcript = OpenAICompatible(), Transcript(START)
    tier = Tier(name="small", model="small", base_url=url)
    tools = msgspec.json.encode(TOOLS)
    for _ in range(steps):
        reply = await backend.complete(
            ModelRequest(tier=tier, transcript=transcript, tools_json=tools)
        )
        assert reply.tool_calls[0].name == "search"
        for message in turn(reply.text):
            transcript.append(message)
    await backend.aclose()


def _client(*, aiohttp: bool) -> Any:
    import openai

    http = openai.DefaultAioHttpClient() if aiohttp else None
    return lambda url: openai.AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, http_client=http
    )


async def openai_whole(url: str, steps: int) -> None:
    """The ordinary loop, as in every tutorial."""
    client, messages = _client(aiohttp=False)(url), [*START]
    for _ in range(steps):
        reply = await client.chat.completions.create(model="m", messages=messages, tools=TOOLS)
        message = reply.choices[0].message
        assert message.tool_calls[0].function.name == "search"
        messages += turn(message.content)
    await client.close()


async def openai_stream(url: str, steps: int) -> None:
    """The ordinary loop with streaming, which is what our backend always does."""
    client, messages = _client(aiohttp=False)(url), [*START]
    for _ in range(steps):
        text, stream = "", await client.chat.completions.create(
            model="m", messages=messages, tools=TOOLS, stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
        messages += turn(text)
    await client.close()


async def openai_post(url: str, steps: int) -> None:
    """The openai client with its long way cut: bytes in, thin reader, aiohttp underneath."""
    import httpx2
    import msgspec
    import openai

    from collab_core.backends.reply import ReplyReader
    from collab_core.transcript import Transcript

    client, transcript = _client(aiohttp=True)(url), Transcript(START)
    tail = b',"tools":' + msgspec.json.encode(TOOLS) + b',"stream":true}'
    for _ in range(steps):
        response = await client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=b'{"model":"m","messages":' + transcript.encode() + tail,
            options={"headers": {"Content-Type": "application/json"}},
            stream=True,
            stream_cls=openai.AsyncStream[object],
        )
        reader = ReplyReader(max_output_tokens=2048)
        async for piece in response.aiter_raw():
            reader.feed(piece)
        reader.finish()
        for message in turn(reader.text):
            transcript.append(message)
    await client.close()


async def raw_floor(url: str, steps: int) -> None:
    """A bare socket: the body built incrementally, the reply found by its last bytes, not parsed."""
    import msgspec

    from collab_core.transcript import Transcript

    place = urlsplit(url)
    assert place.hostname is not None
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    transcript = Transcript(START)
    tail = b',"tools":' + msgspec.json.encode(TOOLS) + b',"stream":true}'
    for _ in range(steps):
        body = b'{"model":"m","messages":' + transcript.encode() + tail
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        )
        writer.write(body)
        await reader.readuntil(b"0\r\n\r\n")
        for message in turn("word " * 20):
            transcript.append(message)
    writer.close()


LOOPS: dict[str, Callable[[str, int], Awaitable[None]]] = {
    "raw floor": raw_floor,
    "tandem": tandem,
    "openai post() + thin reader": openai_post,
    "openai create()": openai_whole,
    "openai create(), streaming": openai_stream,
}


def child(loop: str, url: str, steps: int) -> None:
    """Measure one loop in this process and print its CPU seconds."""

    async def measured() -> float:
        await LOOPS[loop](url, 3)  # imports, first connections, warm caches
        before = resource.getrusage(resource.RUSAGE_SELF)
        await LOOPS[loop](url, steps)
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    print(json.dumps(asyncio.run(measured())))


def one_round(loop: str, url: str, steps: int) -> float:
    """Return CPU microseconds a call, measured in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.engine_floor", "--child", loop, url, str(steps)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return float(json.loads(out.stdout.splitlines()[-1])) / steps * 1e6


def main() -> None:
    """Measure every loop and print the ratios to the ordinary client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("LOOP", "URL", "STEPS"))
    options = parser.parse_args()
    if options.child:
        child(options.child[0], options.child[1], int(options.child[2]))
        return
    result: dict[str, Any] = {}
    started = time.perf_counter()
    with stub() as url:
        for steps in STEPS:
            loops = [n for n in LOOPS if steps == STEPS[0] or not n.endswith("streaming")]
            taken = {n: [] for n in loops}  # type: dict[str, list[float]]
            for _ in range(options.rounds):
                for name in loops:
                    taken[name].append(one_round(name, url, steps))
            best = {name: min(values) for name, values in taken.items()}
            for name, cpu_us in best.items():
                ratio = cpu_us / best["openai create()"]
                result[f"{name}, {steps} steps"] = {"cpu_us_per_call": cpu_us, "ratio": ratio}
                print(f"{steps:3} steps  {name:29} {cpu_us:8.0f} us a call  {ratio:.3f}x create()")
    result["target at 40 steps"] = 0.10
    print(f"took {time.perf_counter() - started:.0f} s -> {write_result('engine_floor', result)}")


if __name__ == "__main__":
    main()
