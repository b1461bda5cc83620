"""From an event's append to the browser's socket: embedded and with Redis, beside a bare broadcast.

A writer appends ten events a second to one run through the product's journal (commit, then doorbell).
A uvicorn process serves the product's ASGI application; N sockets with a signed-in session follow the
run. Latency is from the event's ``at``, taken just before its commit, to the client's receipt, by the
one clock of this machine. The floor is a server that does nothing but ``websockets.broadcast``.

    python -m benchmarks.sockets
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks import stage
from benchmarks.report import write_result

PERIOD_S = 0.1
TEXT = "The ladder climbs because two checks in a row saw no progress. " * 10
TARGET_MS = 100.0


class Place(NamedTuple):
    """Where the sockets go."""

    url: str
    cookie: str


# --- the server's side (processes of their own) -------------------------------------------------
def tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def write_events(run_id: int, count: int) -> None:
    """Append ``count`` events at the pace of PERIOD_S through the product's journal."""
    from collab_core.events import RunStarted, StepStarted
    from webapp.runs import leases
    from webapp.runs.journal import Committer, DatabaseJournal
    from webapp.runs.publisher import publisher

    claim = leases.claim(run_id, "bench")
    assert claim is not None
    committer = Committer(publisher())
    committer.start()

    async def write() -> None:
        journal = DatabaseJournal(
            claim, committer, extend=lambda _: None, deadline=lambda: float("inf")
        )
        await journal.append([RunStarted(worker="bench")])
        begin = time.monotonic()
        for number in range(1, count + 1):
            await asyncio.sleep(begin + number * PERIOD_S - time.monotonic())
            event = StepStarted(step=number, tier=0, tier_name="small", reason="warm_up", why=TEXT)
            await journal.append([event])

    asyncio.run(write())
    committer.stop()


def server(folder: str, redis_url: str, count: int) -> None:
    """Serve one run; embedded, also write its events once a line comes in."""
    stage.set_up(Path(folder), redis_url=redis_url)
    import uvicorn

    from webapp.asgi import application

    made = stage.make_stage()
    run = made.submit(1)
    listener = stage.listen()
    tell(
        port=listener.getsockname()[1],
        path=f"/ws/runs/{run.uuid}/",
        cookie=made.session(),
        run_id=run.pk,
    )
    config = uvicorn.Config(
        application, lifespan="off", log_level="warning", ws_per_message_deflate=False
    )
    uvicorn_server = uvicorn.Server(config)

    def obey() -> None:
        for line in sys.stdin:
            if line == "go\n":
                write_events(run.pk, count)
        uvicorn_server.should_exit = True

    threading.Thread(target=obey, daemon=True).start()
    uvicorn_server.run(sockets=[listener])


def writer(folder: str, redis_url: str, count: int, run_id: int) -> None:
    """Write the events from a worker's process, once a line comes in."""
    stage.set_up(Path(folder), redis_url=redis_url)
    tell(ready=True)
    sys.stdin.readline()
    write_events(run_id, count)
    time.sleep(1)  # the doorbell's thread empties its queue


def bare(count: int) -> None:
    """Broadcast frames of the same size to whoever is connected."""

    async def main() -> None:
        clients: set[ServerConnection] = set()

        async def keep(connection: ServerConnection) -> None:
            clients.add(connection)
            await connection.send('{"type":"hello"}')
            await connection.wait_closed()

        async with serve(keep, "127.0.0.1", 0, compression=None) as listening:
            tell(port=next(iter(listening.sockets)).getsockname()[1], path="/", cookie="")
            await asyncio.to_thread(sys.stdin.readline)
            for number in range(1, count + 1):
                await asyncio.sleep(PERIOD_S)
                body = json.dumps({"type": "step.started", "step": number, "why": TEXT})
                broadcast(clients, f'{{"seq":{number + 1},"at":{time.time()!r},{body[1:]}')
            await asyncio.to_thread(sys.stdin.readline)

    asyncio.run(main())


# --- the clients' side --------------------------------------------------------------------------
async def listen(place: Place, sockets: int, count: int, go: Any) -> list[float]:
    """Open the sockets, let the writer begin, return the latencies in ms of all frames."""
    taken: list[float] = []
    ready = asyncio.Semaphore(0)

    async def one() -> None:
        headers = {"Cookie": place.cookie} if place.cookie else {}
        origin = place.url.split("/", 3)[2]
        async with connect(
            place.url,
            additional_headers=headers,
            origin=websockets.Origin(f"http://{origin}"),
            compression=None,
            open_timeout=60,
        ) as socket:
            expected = 2
            async for frame in socket:
                now = time.time()
                assert isinstance(frame, str)
                if frame.startswith('{"type":"hello"'):
                    ready.release()
                    continue
                event = json.loads(frame[: frame.index(',"type"')] + "}")
                if event["seq"] < 2:  # run.queued and run.started
                    continue
                assert event["seq"] == expected, f"{event['seq']} instead of {expected}"
                expected += 1
                taken.append((now - event["at"]) * 1e3)
                if event["seq"] == count + 1:
                    return

    tasks = [asyncio.create_task(one()) for _ in range(sockets)]
    for _ in tasks:
        await asyncio.wait_for(ready.acquire(), 60)
    go()
    await asyncio.wait_for(asyncio.gather(*tasks), 60 + count * PERIOD_S)
    assert len(taken) == sockets * count, f"{len(taken)} of {sockets * count} frames"
    return taken


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start a child; yield it with its first line."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sockets", "--child", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        yield child, json.loads(child.stdout.readline())
    finally:
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself
            child.stdin.close()  # type: ignore[union-attr]
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()


def begin(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def measure(kind: str, sockets: int, count: int, redis_url: str) -> dict[str, float]:
    with contextlib.ExitStack() as stack:
        folder = str(stack.enter_context(stage.folder()))
        if kind == "bare":
            child, told = stack.enter_context(process("bare", str(count)))
        else:
            child, told = stack.enter_context(process("server", folder, redis_url, str(count)))
        if redis_url:
            child, _ = stack.enter_context(
                process("writer", folder, redis_url, str(count), str(told["run_id"]))
            )
        place = Place(f"ws://127.0.0.1:{told['port']}{told['path']}", told["cookie"])
        return stage.spread(asyncio.run(listen(place, sockets, count, lambda: begin(child))))


def run_child(arguments: Sequence[str]) -> None:
    kind, *rest = arguments
    if kind == "bare":
        bare(int(rest[0]))
    elif kind == "server":
        server(rest[0], rest[1], int(rest[2]))
    else:
        writer(rest[0], rest[1], int(rest[2]), int(rest[3]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, nargs="*", default=[1, 50, 500])
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--child", nargs="*")
    options = parser.parse_args()
    if options.child:
        run_child(options.child)
        return
    result: dict[str, Any] = {"load": os.getloadavg()[0], "target p95 ms, 50 sockets": TARGET_MS}
    with stage.redis_server() as url:
        kinds = {"bare broadcast": ("bare", ""), "embedded": ("", ""), "Redis": ("", url)}
        for sockets in options.sockets:
            for name, (kind, redis_url) in kinds.items():
                taken = measure(kind, sockets, options.events, redis_url)
                result[f"{name}, {sockets} sockets, ms"] = taken
                print(f"{name}, {sockets} sockets: {taken}", flush=True)
    result["load after"] = os.getloadavg()[0]
    write_result("sockets", result)


if __name__ == "__main__":
    main()
