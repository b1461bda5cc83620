"""Real attempts to get out, seen from outside where that is possible."""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from collab_core.tools.sandbox.base import SandboxLimits
from collab_core.tools.sandbox.confined import ConfinedPython
from collab_core.tools.sandbox.interpreter import SANDBOX_UID
from tests.collab_core.tools.sandbox.conftest import (
    ALLOW_EVERYTHING,
    Canaries,
    processes,
    wait_until,
)

SECRET = "tandem-canary-secret"
TRY = """
def attempt(do, *arguments):
    try:
        print("OUT", do(*arguments))
    except Exception as error:
        print("held", type(error).__name__)
"""


async def _tried(sandbox: ConfinedPython, code: str, limits: SandboxLimits | None = None) -> str:
    seen = await sandbox.run(TRY + code, limits)
    assert seen.ending == "finished", seen.output
    return seen.output


def _state(path: Path) -> tuple[float, ...]:
    stat = path.stat()
    return (stat.st_mode, stat.st_uid, stat.st_nlink, stat.st_size, stat.st_mtime_ns)


# --- the host's files ---------------------------------------------------------------------------
async def test_files_of_the_host_cannot_be_read(
    sandbox: ConfinedPython, canaries: Canaries
) -> None:
    paths = [
        str(canaries.file),
        "/etc/passwd",
        "/etc/shadow",
        "/root/.bashrc",
        __file__,
        "/dev/mem",
    ]
    output = await _tried(sandbox, f"for p in {paths}: attempt(lambda: open(p).read(1))")
    assert output.split("\n").count("held FileNotFoundError") + output.count("PermissionError") == 6


async def test_files_of_the_host_cannot_be_written(
    sandbox: ConfinedPython, canaries: Canaries
) -> None:
    code = f"""
import os
p = {str(canaries.file)!r}
attempt(lambda: open(p, "w"))
attempt(os.unlink, p)
attempt(os.rename, p, p + "2")
attempt(os.truncate, p, 0)
attempt(os.chmod, p, 0)
attempt(os.utime, p)
attempt(os.link, p, p + "2")
attempt(os.symlink, "/etc", {str(canaries.folder)!r} + "/link")
attempt(os.mkfifo, {str(canaries.folder)!r} + "/fifo")
"""
    before = _state(canaries.file)
    assert "OUT" not in await _tried(sandbox, code)
    assert canaries.file.read_text() == "canary"
    assert sorted(path.name for path in canaries.folder.iterdir()) == ["canary", "socket"]
    assert _state(canaries.file) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="about workers that are root")
async def test_without_namespaces_even_its_own_files_are_out_of_reach(
    reduced: ConfinedPython, canaries: Canaries
) -> None:
    """Landlock knows nothing of modes and times: the list of system calls has to keep them."""
    os.chown(canaries.file, SANDBOX_UID, SANDBOX_UID)
    before = _state(canaries.file)
    code = f"import os; p = {str(canaries.file)!r}\n"
    code += (
        "attempt(os.chmod, p, 0o777); attempt(os.utime, p, (1, 1)); attempt(os.truncate, p, 0)\n"
    )
    code += "attempt(os.setxattr, p, 'user.x', b'y'); attempt(os.chown, p, -1, -1)"
    assert "OUT" not in await _tried(reduced, code)
    assert _state(canaries.file) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="about workers that are root")
async def test_a_file_of_root_inside_a_bound_folder_stays_closed(strong: ConfinedPython) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "open").write_text("open")
        (Path(name) / "secret").write_text(SECRET)
        (Path(name) / "secret").chmod(0o600)
        interpreter = replace(strong.interpreter, packages=(Path(name),))
        code = f"for n in ('open', 'secret'): attempt(lambda: open('/py/packages/{Path(name).name}/' + n).read())"
        output = await _tried(replace(strong, interpreter=interpreter), code)
    assert output == "OUT open\nheld PermissionError\n"


async def test_packages_of_the_host_are_not_there(sandbox: ConfinedPython) -> None:
    output = await _tried(
        sandbox, "for n in ('django', 'collab_core', 'pip'): attempt(__import__, n)"
    )
    assert output == "held ModuleNotFoundError\n" * 3


async def test_there_is_no_proc(sandbox: ConfinedPython) -> None:
    code = """
import os
for name in ("1/environ", "self/environ", "self/mem", f"{os.getppid()}/environ", "self/fd/0", "kallsyms"):
    attempt(lambda: open("/proc/" + name, "rb").read(1))
attempt(os.listdir, "/proc"); attempt(os.listdir, "/sys"); attempt(os.listdir, "/dev/fd")
"""
    assert "OUT" not in await _tried(sandbox, code)


# --- secrets ------------------------------------------------------------------------------------
async def test_no_secret_of_the_worker_is_inside(
    sandbox: ConfinedPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_KEY_CANARY", SECRET)
    output = await _tried(
        sandbox, "import os, sys; print(dict(os.environ), sys.argv, sys.orig_argv)"
    )
    assert SECRET not in output
    assert "TANDEM" not in output


async def test_open_files_of_the_worker_are_not_inside(
    sandbox: ConfinedPython, canaries: Canaries
) -> None:
    with canaries.file.open() as file:
        os.set_inheritable(file.fileno(), True)
        output = await _tried(sandbox, "import os\nfor n in range(3, 300): attempt(os.fstat, n)")
    assert "OUT" not in output


# --- the network --------------------------------------------------------------------------------
def _connecting(canaries: Canaries) -> str:
    return f"""
import socket
def connect(family, address):
    with socket.socket(family) as s:
        s.settimeout(3)
        s.connect(address)
attempt(connect, socket.AF_INET, ("127.0.0.1", {canaries.tcp.getsockname()[1]}))
attempt(connect, socket.AF_UNIX, {canaries.named.getsockname()!r})
attempt(connect, socket.AF_UNIX, {chr(0) + canaries.abstract.getsockname()[1:].decode()!r})
"""


async def test_no_listener_of_the_host_is_reached(
    sandbox: ConfinedPython, canaries: Canaries
) -> None:
    assert await _tried(sandbox, _connecting(canaries)) == "held OSError\n" * 3
    assert canaries.connected() == []


async def test_namespaces_alone_keep_the_listeners_away(
    namespaces: ConfinedPython, canaries: Canaries
) -> None:
    assert "OUT" not in await _tried(namespaces, _connecting(canaries))
    assert canaries.connected() == []


async def test_landlock_alone_keeps_files_and_tcp_away(
    reduced: ConfinedPython, canaries: Canaries
) -> None:
    landlock = replace(reduced, program=ALLOW_EVERYTHING)
    code = _connecting(canaries) + f"attempt(open, {str(canaries.file)!r})"
    assert (await _tried(landlock, code)).splitlines()[::3] == ["held PermissionError"] * 2
    assert "tcp" not in canaries.connected()


async def test_no_kind_of_socket_can_be_made(sandbox: ConfinedPython) -> None:
    code = """
import socket
for family in range(0, 46):
    for kind in (1, 2, 3, 5):
        attempt(socket.socket, family, kind)
attempt(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)
attempt(socket.getaddrinfo, "localhost", 80)
attempt(socket.create_connection, ("127.0.0.1", 80))
"""
    assert "OUT <socket" not in await _tried(sandbox, code)


async def test_a_pair_of_sockets_cannot_be_turned_outwards(
    sandbox: ConfinedPython, canaries: Canaries
) -> None:
    code = f"""
import socket
one, two = socket.socketpair()
address = {canaries.named.getsockname()!r}
for s in (one, two):
    attempt(s.connect, address); attempt(s.bind, "/tmp/x"); attempt(s.listen)
    attempt(s.sendto, b"x", address); attempt(s.sendmsg, [b"x"], [], 0, address)
"""
    assert "OUT" not in await _tried(sandbox, code)
    assert canaries.connected() == []


# --- processes ----------------------------------------------------------------------------------
async def test_there_is_one_process(sandbox: ConfinedPython) -> None:
    code = """
import multiprocessing, os, pty, subprocess
attempt(os.fork); attempt(os.forkpty); attempt(pty.fork)
attempt(subprocess.run, ["/bin/true"]); attempt(os.posix_spawn, "/bin/true", ["true"], {})
attempt(multiprocessing.Process(target=print).start)
attempt(os.popen, "id")
"""
    assert "OUT" not in await _tried(sandbox, code)


async def test_nobody_outside_can_be_signalled(sandbox: ConfinedPython) -> None:
    code = f"import os\nfor p in ({os.getpid()}, os.getppid(), 1, -1): attempt(os.kill, p, 0)"
    lines = (await _tried(sandbox, code)).splitlines()
    assert lines[0].startswith("held")
    if sandbox.tier == "reduced":  # in its own namespace it finds itself and the init there
        assert all(line.startswith("held") for line in lines)


async def test_nobody_outside_can_be_signalled_by_way_of_a_file(sandbox: ConfinedPython) -> None:
    """The owner of an asynchronous file gets its signal, and the signal can be SIGKILL."""
    code = f"""
import fcntl, os, socket
one, two = socket.socketpair()
attempt(fcntl.fcntl, one, fcntl.F_SETOWN, {os.getpid()})
attempt(fcntl.fcntl, one, 15, bytes(8))
attempt(fcntl.fcntl, one, fcntl.F_SETSIG, 9)
attempt(fcntl.ioctl, one, 0x8901, bytes(4))
attempt(one.setsockopt, socket.SOL_SOCKET, 26, bytes(16))
"""
    assert await _tried(sandbox, code) == "held OSError\n" * 5


async def test_threads_are_bounded_and_harmless(sandbox: ConfinedPython) -> None:
    code = """
import threading
stop = threading.Event()
started = 0
try:
    while started < 2000:
        threading.Thread(target=stop.wait).start(); started += 1
except RuntimeError:
    print("no more")
stop.set()
"""
    assert "no more" in await _tried(sandbox, code)


FORK_BOMB = """
import os, time
children = 0
end = time.monotonic() + 1
while time.monotonic() < end and children < 5000:
    try:
        if os.fork() == 0:
            time.sleep(60); os._exit(0)
        children += 1
    except OSError:
        break
print(children)
"""


async def test_namespaces_alone_stop_a_fork_bomb(
    namespaces: ConfinedPython, marked: SandboxLimits
) -> None:
    seen = await namespaces.run(FORK_BOMB, marked)
    assert 10 < int(seen.output) < 64
    wait_until(lambda: not processes(marked), "some of them live on")


async def test_namespaces_alone_end_a_daemon(
    namespaces: ConfinedPython, marked: SandboxLimits
) -> None:
    code = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(1); os.close(2)
        time.sleep(60)
    os._exit(0)
os.wait()
"""
    assert (await namespaces.run(code, marked)).ending == "finished"
    wait_until(lambda: not processes(marked), "the daemon lives on")


async def test_namespaces_alone_forbid_more_namespaces(namespaces: ConfinedPython) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x10020000):
    print(libc.unshare(flag))
print(libc.mount(b"none", b"/tmp", b"tmpfs", 0, 0), libc.umount2(b"/tmp", 2), libc.chroot(b"/tmp"))
"""
    assert set((await namespaces.run(code)).output.split()) == {"-1"}


async def test_the_order_to_die_with_the_parent_cannot_be_undone(reduced: ConfinedPython) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None)
signal = ctypes.c_int()
print(libc.prctl(1, 0, 0, 0, 0), libc.prctl(2, ctypes.byref(signal), 0, 0, 0))
"""
    assert (await reduced.run(code)).output == "-1 -1\n"


async def test_a_second_set_of_rules_gives_nothing_back(
    reduced: ConfinedPython, canaries: Canaries
) -> None:
    code = f"""
import ctypes, resource
libc = ctypes.CDLL(None)
print(libc.syscall(444, None, 0, 1), libc.prctl(22, 0, 0), libc.syscall(317, 1, 0, None))
attempt(open, {str(canaries.file)!r})
attempt(resource.setrlimit, resource.RLIMIT_AS, (-1, -1))
"""
    assert await _tried(reduced, code) == "-1 -1 -1\nheld PermissionError\nheld ValueError\n"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="machine code of x86-64")
@pytest.mark.parametrize(
    "machine_code",
    ["b814000000cd80c3", "b827000040" + "0f05c3"],
    ids=["32-bit getpid by int 0x80", "x32 getpid"],
)
async def test_other_sets_of_system_calls_are_closed(
    sandbox: ConfinedPython, machine_code: str
) -> None:
    code = f"""
import ctypes, mmap
m = mmap.mmap(-1, 4096, prot=7)
m.write(bytes.fromhex("{machine_code}"))
print("OUT", ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))())
"""
    seen = await sandbox.run(code)
    # killed on the spot, or answered "no such call"
    assert seen.ending == "crashed" or seen.output == "OUT -38\n"


# --- resources ----------------------------------------------------------------------------------
MEMORY = {
    "one block": "bytearray(3 << 30)",
    "many": "[bytearray(1 << 20) for _ in range(3000)]",
    "shared": "__import__('mmap').mmap(-1, 3 << 30)",
    "numpy": "__import__('numpy').ones(1 << 29)",
}


@pytest.mark.parametrize("what", MEMORY.values(), ids=list(MEMORY))
async def test_memory_is_bounded(sandbox: ConfinedPython, what: str) -> None:
    output = await _tried(sandbox, f"attempt(lambda: {what})")
    assert output in ("held MemoryError\n", "held OSError\n", "held _ArrayMemoryError\n")


async def test_memory_outside_of_the_limit_cannot_be_had(sandbox: ConfinedPython) -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None)
attempt(os.memfd_create, "x")
print(libc.shmget(0, 1 << 20, 0o1600), libc.syscall(29, 0, 1 << 20, 0o1600), libc.mq_open(b"/x", 0o102, 0o600, None))
"""
    assert await _tried(sandbox, code) == "held OSError\n-1 -1 -1\n"


FILL = """
import os
def fill(folder):
    total = number = 0
    try:
        while total < 200 << 20:
            with open(f"{folder}/f{number}", "wb", buffering=0) as f:
                for _ in range(20):
                    total += f.write(bytes(1 << 20))
            number += 1
    except OSError:
        return total >> 20
    return total >> 20
print([fill(f) for f in ("/tmp", "/dev/shm", "/", "/dev", "/py", "/usr/lib", "/var/tmp", "/run")])
"""


async def test_the_disk_is_bounded(strong: ConfinedPython) -> None:
    tmp, shm, *others = eval((await strong.run(FILL)).output)
    assert 28 <= tmp <= 32
    assert 7 <= shm <= 8
    assert set(others) == {0}


async def test_without_namespaces_nothing_is_writable(reduced: ConfinedPython) -> None:
    assert set(eval((await reduced.run(FILL)).output)) == {0}


async def test_namespaces_alone_bound_the_disk(namespaces: ConfinedPython) -> None:
    assert sum(eval((await namespaces.run(FILL)).output)) <= 40


async def test_two_runs_do_not_see_each_other(strong: ConfinedPython) -> None:
    writer = asyncio.ensure_future(
        strong.run(
            "import time; open('/tmp/mine', 'w').write('x'); open('/dev/shm/mine', 'w'); time.sleep(1)"
        )
    )
    await asyncio.sleep(0.4)
    code = "import os; print(os.listdir('/tmp'), os.listdir('/dev/shm'))\nfor p in range(2, 99): attempt(os.kill, p, 0)"
    output = await _tried(strong, code)
    assert not writer.done()
    await writer
    assert output.startswith("[] []\n")
    # itself and nobody else
    assert output.count("OUT") == 1


async def test_the_kernel_ends_the_sandbox_before_the_worker(
    sandbox: ConfinedPython, marked: SandboxLimits
) -> None:
    running = asyncio.ensure_future(sandbox.run("import time; time.sleep(60)", marked))
    inside = 3 if sandbox.tier == "strong" else 1
    while len(processes(marked)) < inside:
        await asyncio.sleep(0.02)
    scores = {Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in processes(marked)}
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert scores == {"1000\n"}
