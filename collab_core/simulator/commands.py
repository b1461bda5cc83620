"""``python -m collab_core simulate-tiers``."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from functools import partial

from collab_core.errors import InvalidInput
from collab_core.simulator.presets import load_preset, preset_names
from collab_core.simulator.server import serve

DEFAULT_PORT = 8009


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command; ``args.func(args)`` runs it and returns the exit status."""
    parser = subparsers.add_parser(
        "simulate-tiers", help="serve simulated models on the OpenAI protocol"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 = any free one")
    parser.add_argument(
        "--preset",
        action="append",
        help=f"{', '.join(preset_names())} or the path of a .json file; may be repeated; all if left out",
    )
    parser.add_argument(
        "--time-scale", type=float, default=1.0, help="0.5 = twice as fast (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--api-key-env", default="", help="the variable that holds the key to ask for"
    )
    parser.add_argument(
        "--exit-with-stdin",
        action="store_true",
        help="exit when standard input ends, that is when the parent process is gone",
    )
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM.

    Raises:
        InvalidInput: a preset is unknown, the key's variable is not set, or the port is taken.
    """
    key = os.environ.get(args.api_key_env, "") if args.api_key_env else ""
    if args.api_key_env and not key:
        raise InvalidInput(f"The variable {args.api_key_env} is not set.", field="api_key_env")
    try:
        asyncio.run(_serve(args, key))
    except OSError as error:
        raise InvalidInput(
            f"The server cannot listen on {args.host}:{args.port}: {error.strerror or error}.",
            field="port",
            hint="Choose another --port.",
        ) from error
    return 0


async def _serve(args: argparse.Namespace, key: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if args.exit_with_stdin:
        watch = partial(_watch_stdin, loop, stop)
        threading.Thread(target=watch, name="stdin", daemon=True).start()
    names = args.preset or preset_names()
    await serve(
        args.host,
        args.port,
        names,
        time_scale=args.time_scale,
        seed=args.seed,
        api_key=key,
        ready=partial(_announce, args.host, names),
        stop=stop,
    )


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 65_536):
        continue
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


def _announce(host: str, names: list[str], port: int) -> None:
    for name in names:
        models = ", ".join(model.name for model in load_preset(name).models)
        sys.stdout.write(f"Simulated tiers {name} at http://{host}:{port}/v1: {models}\n")
    sys.stdout.flush()
