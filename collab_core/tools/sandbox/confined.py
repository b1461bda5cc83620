"""The two rungs that the kernel enforces: bubblewrap's namespaces, and Landlock."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from collab_core.tools.sandbox.base import Execution, SandboxLimits, SandboxUnavailable
from collab_core.tools.sandbox.execution import execute
from collab_core.tools.sandbox.interpreter import (
    Interpreter,
    drop_privileges,
    find_interpreter,
    first_to_go,
)
from collab_core.tools.sandbox.syscalls import seccomp_program

_HOME = Path("/py")
_SYSTEM_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_SHARED_MEMORY_BYTES = 8 << 20
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "HOME": "/tmp",  # noqa: S108
    "TMPDIR": "/tmp",  # noqa: S108
    # its threads would each reserve address space, and the machine is shared
    "OPENBLAS_NUM_THREADS": "1",
}
_NOWHERE = {"HOME": "/", "TMPDIR": "/"}
_READ_FILE, _READ_DIR = 4, 8
"""Landlock's bits."""
_MAX_PROCESSES = 64
"""Threads, too: there is no fork. Counted inside the user namespace, so only the sandbox's own."""


@dataclass(frozen=True, kw_only=True)
class ConfinedPython:
    """Runs code in a process of its own that the kernel confines."""

    tier: Literal["strong", "reduced"]
    interpreter: Interpreter
    program: bytes
    """The seccomp filter."""

    @property
    def description(self) -> str:
        return self.interpreter.description

    async def run(self, code: str, limits: SandboxLimits | None = None) -> Execution:
        """See :class:`Sandbox`."""
        limits = limits or SandboxLimits()
        build = _strong_command if self.tier == "strong" else _reduced_command
        return await execute(
            build(self.interpreter, limits),
            code,
            limits,
            program=self.program,
            environment={} if self.tier == "strong" else _ENVIRONMENT | _NOWHERE,
        )


def strong() -> ConfinedPython:
    """Return the rung with namespaces of its own.

    Raises:
        SandboxUnavailable: bubblewrap, libseccomp or a Python is missing.
    """
    _bubblewrap()
    program = seccomp_program("strong")
    return ConfinedPython(tier="strong", interpreter=find_interpreter(), program=program)


def reduced() -> ConfinedPython:
    """Return the rung that only Landlock and seccomp guard.

    Raises:
        SandboxUnavailable: libseccomp or a Python is missing.
    """
    program = seccomp_program("reduced")
    return ConfinedPython(tier="reduced", interpreter=find_interpreter(), program=program)


def _bubblewrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailable("bubblewrap is not installed.", hint="apt-get install bubblewrap")
    return found


def _strong_command(interpreter: Interpreter, limits: SandboxLimits) -> list[str]:
    config = base_config(limits) | {
        "rung": "strong",
        "packages": {name: str(_HOME / "packages" / name) for name in _importable(interpreter)},
    }
    config["rlimits"]["NPROC"] = _MAX_PROCESSES
    return [
        *drop_privileges(),
        *first_to_go(),
        _bubblewrap(),
        *("--unshare-all", "--unshare-user", "--disable-userns"),
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *(part for name, value in _ENVIRONMENT.items() for part in ("--setenv", name, value)),
        *("--setenv", "LD_LIBRARY_PATH", str(_HOME / "lib")),
        *_mounts(interpreter),
        # no /proc: Python needs nothing of it, and it tells much about the host
        *("--dir", "/dev"),
        *(part for device in _DEVICES for part in ("--dev-bind-try", device, device)),
        *("--size", str(_SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--size", str(limits.file_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"),  # noqa: S108
        # the root is a tmpfs without a size
        *("--remount-ro", "/"),
        *("--seccomp", "{seccomp}", "--"),
        *(str(_HOME / "bin/python3"), "-I", "-S", "-B", "-c", bootstrap_source(), repr(config)),
    ]


def _mounts(interpreter: Interpreter) -> Iterator[str]:
    for name in _SYSTEM_LIBRARIES:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    stdlib = _HOME / interpreter.stdlib.relative_to(interpreter.prefix)
    inside = {
        interpreter.executable: _HOME / "bin/python3",
        interpreter.stdlib: stdlib,
        **{library: _HOME / "lib" / library.name for library in interpreter.libraries},
        **{package: _HOME / "packages" / package.name for package in interpreter.packages},
    }
    for source, target in inside.items():
        yield from ("--ro-bind", str(source), str(target))
    # what others installed beside the standard library is not the sandbox's to read
    for name in ("site-packages", "dist-packages"):
        if (interpreter.stdlib / name).is_dir():
            yield from ("--tmpfs", str(stdlib / name), "--remount-ro", str(stdlib / name))


def _reduced_command(interpreter: Interpreter, limits: SandboxLimits) -> list[str]:
    folders = [*map(Path, _SYSTEM_LIBRARIES), interpreter.stdlib, *interpreter.packages]
    readable = {
        **{str(folder): _READ_FILE | _READ_DIR for folder in folders if folder.is_dir()},
        **{str(library): _READ_FILE for library in interpreter.libraries},
    }
    config = base_config(limits) | {
        "rung": "reduced",
        "readable": readable,
        "packages": _importable(interpreter),
    }
    return [
        *drop_privileges(),
        *first_to_go(),
        *(str(interpreter.executable), "-I", "-S", "-B", "-c", bootstrap_source()),
        repr(config),
    ]


def _importable(interpreter: Interpreter) -> dict[str, str]:
    """Return the packages by name, without the folders that only hold their libraries."""
    folders = [p for p in interpreter.packages if (p / "__init__.py").is_file()]
    return {folder.name: str(folder) for folder in folders}


def base_config(limits: SandboxLimits) -> dict[str, Any]:
    """Return what the bootstrap of every rung is told."""
    return {
        "seccomp_fd": "{seccomp}",
        "parent": os.getpid(),
        "rlimits": {
            "AS": limits.memory_bytes,
            "CPU": limits.cpu_s,
            "FSIZE": limits.file_bytes,
            "NOFILE": 64,
            "STACK": 8 << 20,
            "MEMLOCK": 0,
            "CORE": 0,
        },
    }


@cache
def bootstrap_source() -> str:
    """Return the text of ``bootstrap.py``."""
    return resources.files(__package__).joinpath("bootstrap.py").read_text()
