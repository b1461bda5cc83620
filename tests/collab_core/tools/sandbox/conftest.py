"""The two real sandboxes. A machine that cannot have them fails these tests, it does not skip them."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from collab_core.tools.sandbox import confined
from collab_core.tools.sandbox.base import SandboxLimits
from collab_core.tools.sandbox.confined import ConfinedPython

# BPF_RET | BPF_K, SECCOMP_RET_ALLOW
ALLOW_EVERYTHING = (6).to_bytes(2, "little") + b"\0\0" + (0x7FFF0000).to_bytes(4, "little")


@pytest.fixture(scope="session")
def strong() -> ConfinedPython:
    return confined.strong()


@pytest.fixture(scope="session")
def reduced() -> ConfinedPython:
    return confined.reduced()


@pytest.fixture(params=["strong", "reduced"])
def sandbox(request: pytest.FixtureRequest) -> ConfinedPython:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def namespaces(strong: ConfinedPython) -> ConfinedPython:
    """The strong rung without its list of system calls: what bubblewrap alone keeps away."""
    return replace(strong, program=ALLOW_EVERYTHING)


@dataclass(frozen=True)
class Canaries:
    """Things of the host that everybody may use, unless a sandbox is in between."""

    folder: Path
    file: Path
    tcp: socket.socket
    named: socket.socket
    abstract: socket.socket

    def connected(self) -> list[str]:
        names = []
        for name in ("tcp", "named", "abstract"):
            try:
                getattr(self, name).accept()[0].close()
                names.append(name)
            except BlockingIOError:
                continue
        return names


@pytest.fixture
def canaries() -> Iterator[Canaries]:
    # not tmp_path: pytest's folder is private, which would keep everybody away
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o777)
        file = folder / "canary"
        file.write_text("canary")
        file.chmod(0o666)
        addresses = [
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_UNIX, str(folder / "socket")),
            (socket.AF_UNIX, "\0tandem-test-" + os.urandom(8).hex()),
        ]
        listeners = []
        for family, address in addresses:
            listener = stack.enter_context(socket.socket(family))
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)
            listeners.append(listener)
        (folder / "socket").chmod(0o777)
        yield Canaries(folder, file, *listeners)


@pytest.fixture
def marked() -> SandboxLimits:
    """Limits whose figures are found in the command lines of the sandbox's processes."""
    return SandboxLimits(wall_s=30, memory_bytes=(1 << 30) + int.from_bytes(os.urandom(3), "big"))


def wait_until(true: Callable[[], bool], message: str) -> None:
    for _ in range(1_000):
        if true():
            return
        time.sleep(0.02)
    pytest.fail(message)


def processes(limits: SandboxLimits) -> list[int]:
    """Return the processes whose command line holds the limits' memory figure."""
    mark = str(limits.memory_bytes).encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile
    return found
