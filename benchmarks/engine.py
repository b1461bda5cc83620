"""CPU of one think-act-observe step with its stored events, beside the ordinary openai loop.

Every figure is user + system time of a process of its own, against the same stub server in another
process; the best of ``--rounds``. What counts are the ratios of one run.

    python -m benchmarks.engine            # 40 and 200 steps, then 64 runs with 150 ms replies
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import write_result

OBSERVATION = "The river port of Halden lies on the east bank. " * 43
TOOLS = [
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


@contextlib.contextmanager
def stub(*, delay_s: float = 0.0, rate: float = 0.0) -> Iterator[str]:
    """Serve the stub in a process of its own; yield its base URL. ``rate``: tokens per second."""
    command = [sys.executable, "-m", "benchmarks.stub_server", "--delay-s", str(delay_s)]
    command += ["--rate", str(rate)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
    finally:
        server.communicate(timeout=10)


class Lookup:
    """A tool that answers 2 kB at once."""

    description = "Looks things up. " * 8
    parameters: Mapping[str, Any] = TOOLS[0]["function"]["parameters"]  # type: ignore[index]

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, arguments: Mapping[str, Any]) -> Any:
        from collab_core.tools.base import ToolOutcome

        return ToolOutcome(text=OBSERVATION)


async def tandem_runs(url: str, *, steps: int, runs: int, journal: str) -> None:
    """Run our engine: AgentCollab on two tiers, every event stored."""
    from collab_core.backends.openai_compatible import OpenAICompatible
    from collab_core.domain import Ladder, Limits, Task, Tier
    from collab_core.runtime.engine import RunSpec, execute
    from collab_core.runtime.journal import FileJournal, MemoryJournal

    tiers = tuple(
        Tier(name=name, model=name, base_url=url, context_tokens=10**7, max_concurrency=128)
        for name in ("small", "large")
    )
    backend = OpenAICompatible()
    folder = Path(tempfile.mkdtemp())
    tools = tuple(Lookup(name) for name in ("search", "read", "calculator"))

    async def one(number: int) -> None:
        spec = RunSpec(
            task=Task(question="Where?"),
            strategy="agentcollab",
            parameters={},
            ladder=Ladder(name="bench", tiers=tiers),
            seed=number,
            limits=Limits(max_steps=steps, max_tokens=None),
        )
        log: Any = FileJournal(folder / f"{number}.jsonl") if journal == "file" else MemoryJournal()
        end = await execute(spec, log, backend=backend, tools=tools)
        assert end.totals.steps == steps, end  # type: ignore[union-attr]

    await asyncio.gather(*(one(i) for i in range(runs)))
    await backend.aclose()


async def openai_runs(url: str, *, steps: int, runs: int, stream: bool) -> None:
    """Run the ordinary loop: ``create()`` with the growing messages, one JSON line a step."""
    import openai

    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    folder = Path(tempfile.mkdtemp())

    async def one(number: int) -> None:
        messages: list[Any] = [
            {"role": "system", "content": "You are an agent. " * 80},
            {"role": "user", "content": "Where?"},
        ]
        with (folder / f"{number}.jsonl").open("a") as log:
            for step in range(steps):
                text, call = await (streamed if stream else whole)(client, messages)
                messages.append({"role": "assistant", "content": text, "tool_calls": [call]})
                messages.append(
                    {"role": "tool", "tool_call_id": call["id"], "content": OBSERVATION}
                )
                log.write(json.dumps({"step": step, "text": text, "seen": OBSERVATION}) + "\n")
                log.flush()

    await asyncio.gather(*(one(i) for i in range(runs)))
    await client.close()


async def whole(client: Any, messages: list[Any]) -> tuple[str, Any]:
    reply = await client.chat.completions.create(model="small", messages=messages, tools=TOOLS)
    message = reply.choices[0].message
    return message.content, message.tool_calls[0].model_dump()


async def streamed(client: Any, messages: list[Any]) -> tuple[str, Any]:
    text, call = "", {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
    stream = await client.chat.completions.create(
        model="small",
        messages=messages,
        tools=TOOLS,
        stream=True,
        stream_options={"include_usage": True},
    )
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or ():
                call = part.model_dump(exclude={"index"})
    return text, call


LOOPS = {
    "tandem, events in memory": lambda url, **k: tandem_runs(url, journal="memory", **k),
    "tandem, events in a file, fsync": lambda url, **k: tandem_runs(url, journal="file", **k),
    "openai create()": lambda url, **k: openai_runs(url, stream=False, **k),
    "openai create(), streaming": lambda url, **k: openai_runs(url, stream=True, **k),
}


def child(loop: str, url: str, steps: int, runs: int) -> None:
    """Measure one loop in this process and print what it took."""
    asyncio.run(LOOPS[loop](url, steps=2, runs=1))  # imports and first connections
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    asyncio.run(LOOPS[loop](url, steps=steps, runs=runs))
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu_s": cpu_s, "wall_s": time.perf_counter() - wall}))


def measure(loop: str, url: str, *, steps: int, runs: int, rounds: int) -> dict[str, float]:
    """Return the best round's CPU microseconds and wall seconds per step."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        command = [sys.executable, "-m", "benchmarks.engine", "--child", loop, url]
        command += [str(steps), str(runs)]
        out = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
        taken = json.loads(out.stdout.splitlines()[-1])
        if not best or taken["cpu_s"] < best["cpu_s"]:
            best = taken
    per = steps * runs
    return {"cpu_us_per_step": best["cpu_s"] / per * 1e6, "wall_s": best["wall_s"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=4, metavar=("LOOP", "URL", "STEPS", "RUNS"))
    options = parser.parse_args()
    if options.child:
        loop, url, steps, runs = options.child
        child(loop, url, int(steps), int(runs))
        return
    result: dict[str, Any] = {"machine_load": os.getloadavg()[0]}
    with stub() as url:
        for steps in (40, 200):
            for loop in LOOPS:
                if "openai" in loop and steps == 200 and "streaming" in loop:
                    continue
                taken = measure(loop, url, steps=steps, runs=1, rounds=options.rounds)
                result[f"{loop}, {steps} steps"] = taken
                print(f"{loop}, {steps} steps: {taken['cpu_us_per_step']:.0f} us CPU a step")
    peer = result["openai create(), 40 steps"]["cpu_us_per_step"]
    ours = result["tandem, events in a file, fsync, 40 steps"]["cpu_us_per_step"]
    long = result["tandem, events in a file, fsync, 200 steps"]["cpu_us_per_step"]
    result["ratio to create(), 40 steps"] = ours / peer
    result["ratio 200 to 40 steps"] = long / ours
    print(f"ratio to create() at 40 steps: {ours / peer:.3f} (target 0.15)")
    print(f"ratio of 200 to 40 steps: {long / ours:.2f} (target 1.5)")
    result |= many_runs(options.rounds)
    write_result("engine", result)


def many_runs(rounds: int) -> dict[str, Any]:
    """64 runs in one process, each reply after 150 ms: share of the ideal throughput."""
    steps, runs, delay_s = 20, 64, 0.15
    out: dict[str, Any] = {}
    with stub(delay_s=delay_s) as url:
        for loop in ("tandem, events in memory", "openai create()"):
            taken = measure(loop, url, steps=steps, runs=runs, rounds=rounds)
            share = steps * delay_s / taken["wall_s"]
            out[f"{loop}, 64 runs, share of ideal"] = share
            print(f"{loop}: 64 runs with 150 ms replies at {share:.1%} of ideal")
    return out


if __name__ == "__main__":
    main()
