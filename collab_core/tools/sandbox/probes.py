"""Attempts to get out, made by the self-check inside the sandbox.

Like the bootstrap it goes in as text. Each attempt returns what it got hold of; an exception, or
"" is a pass. One line of JSON per attempt: name, passed, detail.
"""

# Plain calls of the os module on purpose: each line is one system call to be refused.
# ruff: noqa: PTH101, PTH108, PTH110, PTH118, PTH120, PTH123, PTH208, S103, S108, S606

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

_ALLOWED_ENVIRONMENT = {
    "LANG",
    "LC_CTYPE",
    "HOME",
    "TMPDIR",
    "PWD",
    "OPENBLAS_NUM_THREADS",
    "LD_LIBRARY_PATH",
}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_FORBIDDEN_X86_64: dict[str, tuple[Any, ...]] = {
    "ptrace": (101, 9_999, 0, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "add_key": (248, b"user", b"x", b"y", 1, -2),
    "keyctl": (250, 0, -2, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "process_vm_readv": (310, os.getppid(), 0, 0, 0, 0, 0),
    "setns": (308, 0, 0),
    "bpf": (321, 0, 0, 0),
    "memfd_create": (319, b"x", 0),
    "shmget": (29, 0, 4096, 0o1600),
    "userfaultfd": (323, 0),
    "open_by_handle_at": (304, -100, 0, 0),
    "personality": (135, 8),
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
    "unshare": (272, 0x10000000),
    "chroot": (161, b"/tmp"),
}
_FORBIDDEN_EVERYWHERE: dict[str, tuple[Any, ...]] = {
    "pidfd_open": (434, 1, 0),
    "io_uring_setup": (425, 1, 0),
    "clone3": (435, 0, 0),
    "fsopen": (430, b"tmpfs", 0),
    "open_tree": (428, -100, b"/", 1),
    "process_madvise": (440, 0, 0, 0, 0, 0),
}


def main(canary: dict[str, Any]) -> None:
    """Make every attempt and write down how it went."""
    strong = canary["tier"] == "strong"
    attempts: dict[str, Callable[[], Any]] = {
        "files of the host": lambda: _readable(["/etc/passwd", canary["file"]]),
        "files through /proc": lambda: _readable(
            ["/proc/1/environ", "/proc/self/environ", f"/proc/{os.getppid()}/environ"]
        ),
        "processes of the host": lambda: os.listdir("/proc"),
        "write outside of /tmp": lambda: _writable(canary["folder"], tmp_too=not strong),
        "environment": lambda: sorted(set(os.environ) - _ALLOWED_ENVIRONMENT),
        "open files": _open_files,
        "user is not root": lambda: "root" if 0 in (os.getuid(), os.geteuid()) else "",
        "no new privileges": lambda: "" if _libc.prctl(39, 0, 0, 0, 0) == 1 else "not set",
        "seccomp": lambda: "" if _libc.prctl(21, 0, 0, 0, 0) == 2 else "not active",
        "loopback": lambda: _connect(socket.AF_INET, ("127.0.0.1", canary["port"])),
        "unix socket": lambda: _connect(socket.AF_UNIX, canary["socket"]),
        "abstract unix socket": lambda: _connect(socket.AF_UNIX, canary["abstract"]),
        "other sockets": _other_sockets,
        "fork": lambda: _forked(os.fork),
        "signal to the parent": lambda: _killed(canary["pid"]),
        "system calls": _system_calls,
        "memory": lambda: len(bytearray(canary["memory_bytes"] * 2)),
        "limits": lambda: _limits(canary),
    }
    if strong:
        attempts["disk"] = lambda: _filled("/tmp", canary["file_bytes"])
        attempts["shared memory"] = lambda: _filled("/dev/shm", canary["file_bytes"])
    else:
        attempts["exec"] = lambda: os.execv("/bin/true", ["true"])
        attempts["mode of a file"] = lambda: _changed(canary["file"])
    for name, attempt in attempts.items():
        _report(name, attempt)
    _report("the code can work", _works)


def _report(name: str, attempt: Callable[[], Any]) -> None:
    try:
        got = attempt()
    except (OSError, MemoryError) as error:
        if name == "the code can work":
            got, detail = "it cannot", repr(error)
        else:
            got, detail = "", type(error).__name__
    else:
        detail = str(got)[:200] if got else ""
    sys.stdout.write(json.dumps([name, not got, detail]) + "\n")
    sys.stdout.flush()


def _readable(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                file.read(1)
            found.append(path)
        except OSError:
            continue
    return found


def _writable(host_folder: str, *, tmp_too: bool) -> list[str]:
    folders = [
        "/",
        "/usr/lib",
        "/py",
        "/dev",
        "/var/tmp",
        host_folder,
        os.path.dirname(os.__file__),
    ]
    found = []
    for folder in [*folders, *(["/tmp", "/dev/shm", "."] if tmp_too else [])]:
        path = os.path.join(folder, "tandem-self-check")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
            os.unlink(path)
            found.append(folder)
        except OSError:
            continue
    return found


def _open_files() -> list[int]:
    found = []
    for descriptor in range(3, 256):
        try:
            os.fstat(descriptor)
            found.append(descriptor)
        except OSError:
            continue
    return found


def _connect(family: int, address: Any) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(address)
    return f"connected to {address}"


def _other_sockets() -> list[str]:
    kinds = {"AF_INET6": (10, 1), "AF_NETLINK": (16, 3), "AF_PACKET": (17, 3), "AF_VSOCK": (40, 1)}
    found = []
    for name, (family, kind) in {**kinds, "AF_ALG": (38, 5), "raw": (2, 3)}.items():
        descriptor = _libc.socket(family, kind, 0)
        if descriptor >= 0:
            os.close(descriptor)
            found.append(name)
    try:
        for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM):
            end.close()
        found.append("datagram pair")
    except OSError:
        pass  # refused, as it should be
    return found


def _forked(fork: Callable[[], int]) -> str:
    pid = fork()
    if pid == 0:
        os._exit(0)
    return "forked"


def _killed(pid: int) -> str:
    os.kill(pid, 0)
    return "the parent can be reached"


def _system_calls() -> list[str]:
    table = dict(_FORBIDDEN_EVERYWHERE)
    if os.uname().machine == "x86_64":
        table.update(_FORBIDDEN_X86_64)
    found = []
    for name, (number, *arguments) in table.items():
        words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
        result = _libc.syscall(ctypes.c_long(number), *words)
        # any other error comes from the call itself: it was let through
        if result >= 0 or ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM):
            found.append(f"{name} ({errno.errorcode.get(ctypes.get_errno(), result)})")
    return found


def _limits(canary: dict[str, Any]) -> list[str]:
    expected = {
        "AS": canary["memory_bytes"],
        "FSIZE": canary["file_bytes"],
        "NOFILE": 64,
        "CORE": 0,
    }
    return [
        name
        for name, value in expected.items()
        if resource.getrlimit(getattr(resource, "RLIMIT_" + name))[1] != value
    ]


def _filled(folder: str, limit_bytes: int) -> str:
    """Write more than the whole folder may hold, in files that are each small enough."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    block, written = bytes(1 << 20), 0
    paths: list[str] = []
    try:
        while written <= limit_bytes + len(block):
            paths.append(os.path.join(folder, f"fill{len(paths)}"))
            with open(paths[-1], "wb", buffering=0) as file:
                written += file.write(block)
    finally:
        for path in paths:
            if os.path.exists(path):
                os.unlink(path)
    return f"{written} bytes written"


def _changed(path: str) -> str:
    os.chmod(path, 0o666)
    return f"the mode of {path} was changed"


def _works() -> str:
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(sum(range(10))))
    thread.start()
    thread.join()
    return "" if seen == [45] else "a thread did not run"
