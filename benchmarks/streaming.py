"""CPU of one streamed token: 64 live streams at 100 tokens a second each, one write per token.

Our backend (with and without a listener) beside the ordinary openai client and a bare socket that
only reads. Figures are user + system time of the client process; what counts are the ratios.

    python -m benchmarks.streaming
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from benchmarks.engine_floor import START, stub
from benchmarks.report import write_result

STREAMS, RATE, TOKENS = 64, 100, 300
EXTRA_CHUNKS = 3
"""Role, tool call and finish: chunks that are paid for like tokens."""


async def tandem(url: str, *, listen: bool) -> None:
    """Our backend; ``listen`` = somebody watches the text."""
    from collab_core.backends.base import ModelRequest
    from collab_core.backends.openai_compatible import OpenAICompatible
    from collab_core.domain import Tier
    from collab_core.transcript import Transcript

    backend, tier = OpenAICompatible(), Tier(name="small", model="small", base_url=url)
    seen = 0

    def sink(attempt: int, offset: int, text: str, kind: str) -> None:
        nonlocal seen
        seen += len(text)

    async def one() -> None:
        request = ModelRequest(tier=tier, transcript=Transcript(START))
        reply = await backend.complete(request, sink if listen else None)
        assert reply.usage.output_tokens

    await asyncio.gather(*(one() for _ in range(STREAMS)))
    assert bool(seen) == listen
    await backend.aclose()


async def openai_stream(url: str) -> None:
    """The ordinary client, chunk by chunk."""
    import openai

    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)

    async def one() -> None:
        text, messages = "", [*START]
        stream: Any = await client.chat.completions.create(
            model="m", messages=messages, stream=True, stream_options={"include_usage": True}  # type: ignore[arg-type]
        )  # fmt: skip
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
        assert text

    await asyncio.gather(*(one() for _ in range(STREAMS)))
    await client.close()


async def raw_floor(url: str) -> None:
    """Bare sockets that read and look at nothing."""
    place = urlsplit(url)
    body = json.dumps({"model": "m", "messages": START, "stream": True}).encode()

    async def one() -> None:
        assert place.hostname is not None
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        last = b""
        while not last.endswith(b"0\r\n\r\n"):
            last = await reader.read(65536)
            assert last
        writer.close()

    await asyncio.gather(*(one() for _ in range(STREAMS)))


LOOPS: dict[str, Callable[[str], Awaitable[None]]] = {
    "raw floor": raw_floor,
    "tandem": lambda url: tandem(url, listen=False),
    "tandem, watched": lambda url: tandem(url, listen=True),
    "openai create(), streaming": openai_stream,
}


def child(loop: str, url: str) -> None:
    """Measure one client in this process and print its CPU seconds."""

    async def measured() -> float:
        before = resource.getrusage(resource.RUSAGE_SELF)
        await LOOPS[loop](url)
        after = resource.getrusage(resource.RUSAGE_SELF)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    async def with_imports_done() -> float:
        import openai  # noqa: F401

        import collab_core.backends.openai_compatible  # noqa: F401

        return await measured()

    print(json.dumps(asyncio.run(with_imports_done())))


def main() -> None:
    """Measure every client and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--child", nargs=2, metavar=("LOOP", "URL"))
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    started = time.perf_counter()
    taken: dict[str, list[float]] = {name: [] for name in LOOPS}
    with stub("--rate", str(RATE), "--tokens", str(TOKENS)) as url:
        for _ in range(options.rounds):
            for name, values in taken.items():
                command = [sys.executable, "-m", "benchmarks.streaming", "--child", name, url]
                out = subprocess.run(
                    command, capture_output=True, text=True, check=True, timeout=300
                )
                cpu_s = float(json.loads(out.stdout.splitlines()[-1]))
                values.append(cpu_s / (STREAMS * (TOKENS + EXTRA_CHUNKS)) * 1e6)
    best = {name: min(values) for name, values in taken.items()}
    peer = best["openai create(), streaming"]
    result: dict[str, Any] = {"streams": STREAMS, "tokens_per_s_each": RATE, "target": 0.25}
    for name, cpu_us in best.items():
        result[name] = {"cpu_us_per_token": cpu_us, "ratio": cpu_us / peer}
        print(f"{name:29} {cpu_us:7.1f} us a token  {cpu_us / peer:.3f}x create()")
    print(f"took {time.perf_counter() - started:.0f} s -> {write_result('streaming', result)}")


if __name__ == "__main__":
    main()
