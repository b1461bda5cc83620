"""Many browsers on a real server that keep losing their connection, while Redis is being flushed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets

from tests.faults.conftest import copy
from tests.faults.stack import Stack
from tests.services import RedisServer, free_port, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.services, pytest.mark.timeout(180)]
SOCKETS = int(os.environ.get("TANDEM_CHAOS_SOCKETS", "30"))
ENDS = {"run.finished", "run.failed", "run.cancelled"}


class Site:
    def __init__(self, stack: Stack, port: int) -> None:
        self.stack = stack
        self.origin = f"http://127.0.0.1:{port}"
        self.address = f"ws://127.0.0.1:{port}"
        self.cookie = f"sessionid={stack.inside('session').strip()}"
        self.token = stack.call("manage.py", "issue_token", "demo").strip()

    def get(self, path: str) -> dict[str, list[dict[str, str]]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.origin + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body: dict[str, list[dict[str, str]]] = json.load(answer)
        return body

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.origin + "/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(prepared: Stack, tmp_path: Path, server: RedisServer) -> Iterator[Site]:
    stack = copy(prepared, tmp_path, REDIS_URL=server.url, TANDEM_STATIC_HASHED="0")
    stack.env["ALLOWED_HOSTS"] = "127.0.0.1"
    port = free_port()
    stack.celery_worker()
    stack.celery_beat()
    stack.web(port)
    site = Site(stack, port)
    wait_for(site.ready, "a server with a worker", 60)
    yield site
    stack.stop()


async def follow(site: Site, uuid: str, chance: random.Random) -> list[int]:
    """Follow a run to its end over connections that are cut after a few frames."""
    seen: list[int] = []
    while True:
        since = seen[-1] if seen else -1
        async with websockets.connect(
            f"{site.address}/ws/runs/{uuid}/?since={since}",
            additional_headers={"Cookie": site.cookie},
            origin=websockets.Origin(site.origin),
            close_timeout=0.2,
            max_queue=None,
        ) as ws:
            for _ in range(chance.randint(1, 15)):
                frame = json.loads(await asyncio.wait_for(ws.recv(), 30))
                if "seq" in frame:
                    seen.append(frame["seq"])
                if frame["type"] in ENDS:
                    return seen


def test_every_browser_sees_every_event_once_and_in_order(site: Site, server: RedisServer) -> None:
    site.stack.inside("submit", "3")
    runs = [run["uuid"] for run in site.get("/api/v1/runs")["runs"]]

    async def flush() -> None:
        for _ in range(4):
            await asyncio.sleep(0.7)
            await asyncio.to_thread(server.flush)

    async def everybody() -> list[list[int]]:
        flushing = asyncio.create_task(flush())
        seen = await asyncio.gather(
            *(follow(site, runs[n % 3], random.Random(n)) for n in range(SOCKETS))
        )
        await flushing
        return seen

    for seen in asyncio.run(everybody()):
        assert seen == list(range(len(seen)))
        assert len(seen) > 10
    site.stack.inside("check", "3")
