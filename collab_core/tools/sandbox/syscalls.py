"""The system calls that code in the sandbox may make, as a seccomp program.

A list of what is allowed, so that the calls of later kernels are refused too. There is no fork: one
process, hence one limit on memory, and nothing that outlives its parent. There is no anonymous file
and no shared memory of System V either: no limit of a process counts them. The names are Linux's; one
that an architecture does not have is ignored there.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from functools import cache
from typing import TYPE_CHECKING, Literal

from collab_core.tools.sandbox.base import SandboxUnavailable

if TYPE_CHECKING:
    from pyseccomp import SyscallFilter  # type: ignore[import-untyped]

CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWTIME."""
_SOCK_TYPE_MASK = 0xF


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ALLOWED = _names("""
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek
open openat openat2 creat close close_range dup dup2 dup3 flock pipe pipe2
stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
getcwd chdir fchdir getdents getdents64 mkdir mkdirat rmdir unlink unlinkat rename renameat
renameat2 link linkat symlink symlinkat ftruncate fallocate fadvise64 fsync fdatasync umask
sendfile copy_file_range
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait
epoll_pwait2 eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime
mmap munmap mprotect mremap madvise brk msync membarrier
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack
clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getitimer setitimer
alarm pause
getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getgroups getpgid getpgrp
getsid getrlimit getrusage getpriority sysinfo uname sched_yield sched_getaffinity
sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getcpu getrandom
futex futex_waitv set_robust_list get_robust_list rseq set_tid_address arch_prctl restart_syscall
exit exit_group wait4 waitid
recvfrom shutdown getsockopt getsockname getpeername
""")

_OWN_NAMESPACE = [
    "setpriority",
    "execve",
    "kill",
    "tkill",
    "tgkill",
    "chmod",
    "fchmod",
    "fchmodat",
    "utimensat",
    "truncate",
]
"""Harmless where the mounts and the process ids are the sandbox's own. Landlock knows nothing of
modes and times, so that without namespaces they would change files of the worker's user."""

_REFUSED = _names("""
fork vfork execve execveat kill tkill tgkill ptrace mount umount2 setns unshare chroot pivot_root
process_vm_readv process_vm_writev mknod mknodat chmod fchmod fchmodat chown fchown lchown fchownat
utimensat truncate setuid setgid setsid connect bind listen
""")
"""Answered with "not permitted", which explains itself; every other call does not exist."""

_PRCTL = {"PR_SET_NAME": 15, "PR_GET_NAME": 16, "PR_GET_SECCOMP": 21, "PR_GET_NO_NEW_PRIVS": 39}
"""Above all not PR_SET_PDEATHSIG: the reduced rung relies on it."""

_IOCTL = {
    "TCGETS": 0x5401,
    "TIOCGWINSZ": 0x5413,
    "FIONREAD": 0x541B,
    "FIONBIO": 0x5421,
    "FIONCLEX": 0x5450,
    "FIOCLEX": 0x5451,
}
"""What Python asks of every file it opens. Above all not TIOCSTI, which types into a terminal."""

_FCNTL = {
    "F_DUPFD": 0,
    "F_GETFD": 1,
    "F_SETFD": 2,
    "F_GETFL": 3,
    "F_SETFL": 4,
    "F_GETLK": 5,
    "F_SETLK": 6,
    "F_SETLKW": 7,
    "F_OFD_GETLK": 36,
    "F_OFD_SETLK": 37,
    "F_OFD_SETLKW": 38,
    "F_DUPFD_CLOEXEC": 1030,
    "F_GETPIPE_SZ": 1032,
}
"""Above all not F_SETOWN and F_SETSIG: with them the kernel signals any process of the same user."""


@cache
def seccomp_program(tier: Literal["strong", "reduced", "language"]) -> bytes:
    """Return the filter as the kernel takes it (an array of ``struct sock_filter``).

    Raises:
        SandboxUnavailable: libseccomp is not installed.
    """
    try:
        # it loads the C library when imported and fails where that is missing
        import pyseccomp  # noqa: PLC0415
    except (RuntimeError, OSError) as error:
        raise SandboxUnavailable(
            f"libseccomp could not be loaded ({error}).", hint="apt-get install libseccomp2"
        ) from error
    program = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    # the language rung hands over to another program
    more = {"strong": _OWN_NAMESPACE, "reduced": (), "language": ("execve",)}
    allowed = [*_ALLOWED, *more[tier]]
    for name in allowed:
        _add(program, pyseccomp.ALLOW, name)
    for name in _REFUSED:
        if name not in allowed:
            _add(program, pyseccomp.ERRNO(errno.EPERM), name)
    _add(program, pyseccomp.ERRNO(errno.EAFNOSUPPORT), "socket")
    _add_conditional(program)
    with tempfile.TemporaryFile() as file:
        program.export_bpf(file)
        return os.pread(file.fileno(), 1 << 20, 0)


def _add(program: SyscallFilter, action: int, name: str) -> None:
    import pyseccomp  # noqa: PLC0415

    try:
        number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    except (ValueError, OSError):
        return  # newer than the installed libseccomp: it stays refused
    program.add_rule(action, number)


def _add_conditional(program: SyscallFilter) -> None:
    """Allow calls with some arguments only."""
    from pyseccomp import ALLOW, EQ, ERRNO, MASKED_EQ, Arg  # noqa: PLC0415

    thread_or_namespace = CLONE_THREAD | _CLONE_NAMESPACES
    program.add_rule(ALLOW, "clone", Arg(0, MASKED_EQ, thread_or_namespace, CLONE_THREAD))
    program.add_rule(ERRNO(errno.EPERM), "clone", Arg(0, MASKED_EQ, CLONE_THREAD, 0))
    program.add_rule(ALLOW, "prlimit64", Arg(0, EQ, 0))
    # a connected pair, as asyncio makes for itself; datagram ones could be sent elsewhere
    program.add_rule(
        ALLOW,
        "socketpair",
        Arg(0, EQ, socket.AF_UNIX),
        Arg(1, MASKED_EQ, _SOCK_TYPE_MASK, socket.SOCK_STREAM),
    )
    program.add_rule(ALLOW, "sendto", Arg(4, EQ, 0))
    for option in _PRCTL.values():
        program.add_rule(ALLOW, "prctl", Arg(0, EQ, option))
    for command in _FCNTL.values():
        program.add_rule(ALLOW, "fcntl", Arg(1, EQ, command))
    for request in _IOCTL.values():
        program.add_rule(ALLOW, "ioctl", Arg(1, MASKED_EQ, 0xFFFFFFFF, request))
