"""Which Python runs inside: one that the sandbox's user can read, with numpy if that is readable too."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from collab_core.tools.sandbox.base import SandboxUnavailable

SANDBOX_UID = 65_533
"""Nobody's: system users end at 999, dynamic ones at 65,519. Only used when the worker is root."""
_PROBE_TIMEOUT_S = 30.0
_DESCRIBE = """
import ast, ctypes, json, linecache, os, resource, sys, sysconfig, traceback
print(json.dumps({
    "executable": os.path.realpath(sys.executable),
    "version": sys.version_info[:3],
    "prefix": sys.base_prefix,
    "stdlib": sysconfig.get_path("stdlib"),
    "libraries": [os.path.join(sysconfig.get_config_var("LIBDIR") or "", name)
        for name in (sysconfig.get_config_var("INSTSONAME"),) if name],
}))
"""
_IMPORT_NUMPY = "import sys; sys.path.append(sys.argv[1]); import numpy; print(numpy.__version__)"


class _Description(msgspec.Struct, frozen=True):
    executable: str
    version: tuple[int, int, int]
    prefix: str
    stdlib: str
    libraries: list[str]


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A Python outside of any virtual environment; paths as the host sees them."""

    executable: Path
    version: tuple[int, int, int]
    prefix: Path
    stdlib: Path
    libraries: tuple[Path, ...]
    """Its shared library, if it has one outside of the system's folders."""
    packages: tuple[Path, ...] = ()
    """Folders of numpy, to be offered under their own names."""

    @property
    def description(self) -> str:
        """For people: ``3.11.7 with numpy``."""
        version = ".".join(map(str, self.version))
        return version + (" with numpy" if self.packages else "")


def drop_privileges() -> tuple[str, ...]:
    """Return what a command must begin with: nothing, or for root the change to another user.

    A user namespace alone relabels root, it takes nothing from it: files of mode 0600 stay readable
    and the limit on processes has no effect.

    Raises:
        SandboxUnavailable: this is root and ``setpriv`` is missing.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SandboxUnavailable(
            "The worker is root and setpriv is missing.", hint="apt-get install util-linux"
        )
    user = (f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups")
    return (setpriv, *user, "--inh-caps=-all", "--no-new-privs", "--")


def first_to_go() -> tuple[str, ...]:
    """Return what a command begins with so that the kernel ends it before anybody else.

    For the memory that no limit of one process covers, and machines that have not enough for all.
    """
    choom = shutil.which("choom")
    return (choom, "-n", "1000", "--") if choom else ()


@cache
def find_interpreter() -> Interpreter:
    """Return the worker's own Python if the sandbox's user can run it, else the system's.

    Raises:
        SandboxUnavailable: neither can be run.
    """
    refusals = []
    for candidate in dict.fromkeys((os.path.realpath(sys.executable), "/usr/bin/python3")):
        done = _run(candidate, _DESCRIBE)
        if done.returncode == 0:
            found = msgspec.json.decode(done.stdout, type=_Description)
            return _interpreter(found)
        refusals.append(f"{candidate}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
    raise SandboxUnavailable(
        "No Python can be run by the sandbox's user (" + "; ".join(refusals) + ").",
        hint="Install one outside of private folders (apt-get install python3), "
        "or do not run the worker as root.",
    )


def _interpreter(found: _Description) -> Interpreter:
    executable = Path(found.executable)
    own = found.version[:2] == sys.version_info[:2]
    return Interpreter(
        executable=executable,
        version=found.version,
        prefix=Path(found.prefix),
        stdlib=Path(found.stdlib),
        libraries=tuple(Path(name) for name in found.libraries if Path(name).is_file()),
        packages=_numpy(executable) if own else (),
    )


def _numpy(executable: Path) -> tuple[Path, ...]:
    """Return numpy's folders if the sandbox's user can import it; its binaries fit one version."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return ()
    package = Path(spec.origin).resolve().parent
    if _run(str(executable), _IMPORT_NUMPY, str(package.parent)).returncode != 0:
        return ()
    folders = (package, package.parent / "numpy.libs")
    return tuple(folder for folder in folders if folder.is_dir())


def _run(executable: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # setpriv still has root's rights while it looks for its command; env has not
    command = [*drop_privileges(), "/usr/bin/env", executable, "-I", "-S", "-c", code, *arguments]
    try:
        return subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            env={},
            cwd="/",
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))
