from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import IO

import pytest

from collab_core.errors import InvalidInput
from collab_core.simulator import commands

ARGUMENTS = ["simulate-tiers", "--port", "0", "--preset", "ddv2-7b-38b", "--exit-with-stdin"]
PROGRAM = (
    "import argparse; from collab_core.simulator import commands; "
    "p = argparse.ArgumentParser(); commands.register(p.add_subparsers()); "
    "a = p.parse_args(); raise SystemExit(a.func(a))"
)


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *ARGUMENTS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def test_it_announces_itself_and_dies_with_its_parent(server: subprocess.Popen[str]) -> None:
    line = stream(server.stdout).readline()
    assert "ddv2-7b, ddv2-38b" in line
    url = line.split(" at ")[1].split(": ")[0]
    with urllib.request.urlopen(f"{url}/models", timeout=10) as response:
        assert b"ddv2-38b" in response.read()
    stream(server.stdin).close()
    assert server.wait(10) == 0


def test_it_ends_on_sigterm(server: subprocess.Popen[str]) -> None:
    stream(server.stdout).readline()
    server.send_signal(signal.SIGTERM)
    assert server.wait(10) == 0


@pytest.mark.parametrize("arguments", [["--preset", "none"], ["--api-key-env", "NOT_SET_ANYWHERE"]])
def test_wrong_options_are_input_errors(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    args = parser.parse_args(["simulate-tiers", "--port", "0", *arguments])
    with pytest.raises(InvalidInput):
        args.func(args)
