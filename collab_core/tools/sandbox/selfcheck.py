"""Finds the strongest rung that holds on this machine, by really trying to get out of it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import msgspec

from collab_core.errors import InvalidInput
from collab_core.tools.sandbox import confined, language
from collab_core.tools.sandbox.base import (
    Check,
    Sandbox,
    SandboxLimits,
    SandboxReport,
    SandboxUnavailable,
)

logger = logging.getLogger(__name__)

VARIABLE = "TANDEM_SANDBOX"
Weakest = Literal["auto", "strong", "reduced", "language", "off"]
_CHECK_LIMITS = SandboxLimits(
    wall_s=30.0, cpu_s=20, memory_bytes=256 << 20, file_bytes=8 << 20, shown_chars=64_000
)
_STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
_SLEEPER = {"strong": _STUBBORN, "reduced": _STUBBORN, "language": "while True: pass"}
_FLOOD = "while True: print('x' * 1000)"

RUNGS: Mapping[str, Callable[[], Sandbox]] = {
    "strong": confined.strong,
    "reduced": confined.reduced,
    "language": language.language,
}
"""The ladder, the strongest first."""

_LANGUAGE_ATTEMPTS = {
    "files of the host": "open({file!r}).read()",
    "paths": "from pathlib import Path\nPath({file!r}).read_text()",
    "write": "open({file!r}, 'w').write('x')",
    "folders": "import os\nos.listdir('/')",
    "environment": "import os\ndict(os.environ) or 1 / 0",
    "variable": "import os\nos.getenv('PATH') or 1 / 0",
    "sockets": "import socket",
    "processes": "import subprocess",
    "commands": "import os\nos.system('true')",
    "foreign functions": "import ctypes",
    "import by name": "__import__('socket')",
    "way over classes": "().__class__.__bases__[0].__subclasses__()",
    "way over frames": "(lambda: 0).__code__",
    "way over generators": "(x for x in ()).gi_frame.f_builtins",
    "memory": "[0] * (3 << 30)",
}


class _Attempt(NamedTuple):
    checks: tuple[Check, ...]
    reason: str
    """"" = it holds."""
    sandbox: Sandbox | None = None


@dataclass(frozen=True, kw_only=True)
class _Canaries:
    """Things on the host that nobody inside may reach."""

    folder: Path
    listeners: tuple[socket.socket, ...]

    @property
    def file(self) -> str:
        return str(self.folder / "canary")

    def describe(self, tier: str) -> dict[str, Any]:
        tcp, named, abstract = self.listeners
        return {
            "tier": tier,
            "folder": str(self.folder),
            "file": self.file,
            "port": tcp.getsockname()[1],
            "socket": named.getsockname(),
            "abstract": "\0" + abstract.getsockname()[1:].decode(),
            "pid": os.getpid(),
            "memory_bytes": _CHECK_LIMITS.memory_bytes,
            "file_bytes": _CHECK_LIMITS.file_bytes,
        }

    def touched(self) -> list[str]:
        """Return the listeners that somebody connected to."""
        touched = []
        for listener in self.listeners:
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                continue
            touched.append(str(listener.getsockname()))
        return touched


_lock = threading.Lock()
_reports: dict[Weakest, SandboxReport] = {}


def self_check(weakest: Weakest | None = None) -> SandboxReport:
    """Return the sandbox this machine can have; the answer is kept for the life of the process.

    ``weakest``: the weakest rung to accept; None reads it from TANDEM_SANDBOX. It takes about two
    seconds the first time and blocks: call it when a worker starts, not in an event loop.

    Raises:
        InvalidInput: there is no such rung.
    """
    accepted = weakest or _from_environment()
    with _lock:
        if accepted not in _reports:
            report = find(accepted)
            _reports[accepted] = report
            _say(report)
        return _reports[accepted]


def _from_environment() -> Weakest:
    value = os.environ.get(VARIABLE, "") or "auto"
    if value not in get_args(Weakest):
        raise InvalidInput(
            f"{VARIABLE} is {value!r}; it must be one of {', '.join(get_args(Weakest))}.",
            field=VARIABLE,
        )
    return cast("Weakest", value)


def _say(report: SandboxReport) -> None:
    level = logging.INFO if report.tier == "strong" else logging.WARNING
    logger.log(level, "python sandbox: %s %s", report.tier, report.reason)


def find(weakest: Weakest) -> SandboxReport:
    """Return the strongest rung that holds now, down to ``weakest``."""
    if weakest == "off":
        return SandboxReport(tier="off", reason=f"{VARIABLE}=off: switched off by the operator.")
    names = list(RUNGS)
    accepted = names[: names.index("reduced" if weakest == "auto" else weakest) + 1]
    reasons: list[str] = []
    attempt = _Attempt((), "")
    for name in accepted:
        # an event loop of its own: the caller may be in one
        with ThreadPoolExecutor(1) as thread:
            attempt = thread.submit(asyncio.run, _try(RUNGS[name])).result()
        if attempt.sandbox is not None:
            return SandboxReport(
                tier=attempt.sandbox.tier,
                checks=attempt.checks,
                reason=" ".join(reasons),
                python=attempt.sandbox.description,
                sandbox=attempt.sandbox,
            )
        reasons.append(f"{name}: {attempt.reason}")
    if len(accepted) < len(names):
        reasons.append(f"{VARIABLE}={weakest} accepts no weaker rung.")
    return SandboxReport(tier="off", checks=attempt.checks, reason=" ".join(reasons))


async def _try(rung: Callable[[], Sandbox]) -> _Attempt:
    try:
        sandbox = rung()
        checks = await check(sandbox)
    except SandboxUnavailable as error:
        return _Attempt((), f"{error.message} {error.hint}".strip())
    failed = [check for check in checks if not check.passed]
    if failed:
        told = "; ".join(f"{check.name} ({check.detail})" for check in failed)
        return _Attempt(checks, f"the self-check got out or did not work: {told}.")
    return _Attempt(checks, "", sandbox)


async def check(sandbox: Sandbox) -> tuple[Check, ...]:
    """Return how every attempt to get out went.

    Raises:
        SandboxUnavailable: it did not even start.
    """
    with _canaries() as canaries:
        if sandbox.tier == "language":
            checks = await _ask_language(sandbox, canaries)
        else:
            checks = await _ask_kernel(sandbox, canaries)
        touched = canaries.touched()
    return (
        *checks,
        Check("listeners outside", not touched, ", ".join(touched)),
        await _limit(sandbox, "wall", _SLEEPER[sandbox.tier]),
        await _limit(sandbox, "flood", _FLOOD),
    )


async def _ask_kernel(sandbox: Sandbox, canaries: _Canaries) -> list[Check]:
    source = resources.files(__package__).joinpath("probes.py").read_text()
    code = f"{source}\n\nmain({canaries.describe(sandbox.tier)!r})\n"
    inside = await sandbox.run(code, _CHECK_LIMITS)
    whole = inside.ending == "finished" and not inside.truncated
    detail = inside.ending if whole else inside.output[-300:]
    return [
        *(msgspec.convert(line, Check) for line in _lines(inside.output)),
        Check("all attempts were made", whole, detail),
    ]


async def _ask_language(sandbox: Sandbox, canaries: _Canaries) -> list[Check]:
    checks = []
    for name, code in _LANGUAGE_ATTEMPTS.items():
        seen = await sandbox.run(code.format(file=canaries.file), _CHECK_LIMITS)
        last = (seen.output.strip().splitlines() or [""])[-1]
        checks.append(Check(name, seen.ending == "failed", last[:200]))
    worked = await sandbox.run("print(sum(range(10)))", _CHECK_LIMITS)
    return [*checks, Check("the code can work", worked.output == "45\n", worked.ending)]


def _lines(output: str) -> Iterator[Any]:
    for line in output.splitlines():
        try:
            yield msgspec.json.decode(line)
        except msgspec.DecodeError:
            return  # a traceback: "all attempts were made" shows it


async def _limit(sandbox: Sandbox, ending: str, code: str) -> Check:
    limits = SandboxLimits(wall_s=0.5 if ending == "wall" else 10.0, output_bytes=100_000)
    seen = await sandbox.run(code, limits)
    return Check(f"limit: {ending}", seen.ending == ending, seen.ending)


@contextmanager
def _canaries() -> Iterator[_Canaries]:
    with tempfile.TemporaryDirectory(prefix="tandem-canary-") as name, ExitStack() as stack:
        folder = Path(name)
        # open to everybody: what keeps the sandbox away must not be the file's mode
        folder.chmod(0o777)
        (folder / "canary").write_text("canary")
        (folder / "canary").chmod(0o666)
        listeners = []
        for family, address in (
            (socket.AF_INET, ("127.0.0.1", 0)),
            (socket.AF_UNIX, str(folder / "socket")),
            (socket.AF_UNIX, "\0tandem-" + os.urandom(8).hex()),
        ):
            listener = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.bind(address)
            listener.listen()
            listener.setblocking(False)  # noqa: FBT003
            listeners.append(listener)
        (folder / "socket").chmod(0o777)
        yield _Canaries(folder=folder, listeners=tuple(listeners))
