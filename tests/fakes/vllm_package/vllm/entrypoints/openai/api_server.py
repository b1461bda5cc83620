"""Stands in for vLLM's server process: same command line, same habits, no model.

It has a child like vLLM's engine: SIGTERM ends both, but killed with -9 it leaves the child behind. ``FAKE_VLLM``
chooses what it does: ``ok``, ``crash`` (exit 3 at once), ``dead`` (listens, every completion fails).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.fakes.model_server import ModelServer, Received, Reply, error, hello


def answer(request: Received) -> Reply:
    key = os.environ.get("VLLM_API_KEY")
    if key and request.headers.get("authorization") != f"Bearer {key}":
        return error(401, "Unauthorized")
    return error(500, "engine dead") if os.environ["FAKE_VLLM"] == "dead" else hello()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options, _ = parser.parse_known_args()
    if os.environ["FAKE_VLLM"] == "crash":
        print("no memory", file=sys.stderr)
        sys.exit(3)
    engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    Path(os.environ["FAKE_VLLM_PIDS"]).write_text(f"{os.getpid()} {engine.pid}")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with ModelServer(answer, port=options.port):
        await stop.wait()
    engine.kill()
    engine.wait()


asyncio.run(main())
