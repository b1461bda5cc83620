"""Runs inside the sandbox: closes the doors that are still open, then runs the code.

It is handed to ``python -I -S -c`` as text, so it imports nothing but the standard library and works
with older interpreters. Standard input brings the length of the code, a line end and the code; one
byte on standard output says before that everything is closed (the parent sends nothing before).
"""

from __future__ import annotations

import ast
import linecache
import os
import resource
import sys
import traceback
import types
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:  # each of them takes milliseconds to import
    from collections.abc import Callable
    from importlib.abc import MetaPathFinder
    from importlib.machinery import ModuleSpec
    from io import TextIOWrapper

READY = b"\x06"
FILE_NAME = "code.py"
_NR_LANDLOCK = 444
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9


def main(config: dict[str, Any]) -> None:
    """Close up, say so, take the code and run it."""
    rung = config["rung"]
    program = b"" if rung == "strong" else os.read(int(config["seccomp_fd"]), 1 << 20)
    os.closerange(3, 4096)
    for name, value in config["rlimits"].items():
        # a second more for the hard limit: before it, a signal tells which limit it was
        hard = value + 1 if name == "CPU" else value
        resource.setrlimit(getattr(resource, "RLIMIT_" + name), (value, hard))
    os.setpriority(os.PRIO_PROCESS, 0, 10)
    null = os.open("/dev/null", os.O_RDONLY)
    # an interpreter to hand the code over to reads it from a file
    script = os.memfd_create("code", 0) if rung == "language" else -1
    if rung != "strong":
        confine(config["readable"], program, config["parent"])
    os.write(1, READY)
    code = read_code()
    os.dup2(null, 0)
    os.close(null)
    if rung == "language":
        os.write(script, code.encode())
        command = [*config["command"], f"/dev/fd/{script}"]
        os.execve(command[0], command, {})  # noqa: S606
    sys.meta_path.append(cast("MetaPathFinder", OfferedPackages(config["packages"])))
    run(code)


def read_code() -> str:
    """Return the code; ends the process if the parent is gone before all of it came."""
    length, _, text = os.read(0, 65_536).partition(b"\n")
    parts = [text]
    missing = int(length or b"-1") - len(text)
    while missing > 0:
        parts.append(os.read(0, 65_536))
        missing -= len(parts[-1])
        if not parts[-1]:
            break
    if missing:
        os._exit(70)
    return b"".join(parts).decode()


def confine(readable: dict[str, int] | None, program: bytes, parent: int) -> None:
    """Leave this process its rights below the paths of ``readable`` and the calls of ``program``.

    There is no way back. ``readable`` None: files stay as they are.

    Raises:
        OSError: the kernel has no Landlock or no seccomp.
    """
    import ctypes  # noqa: PLC0415  the strong rung does not pay for it

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long

    def call(function: Any, *arguments: Any) -> int:
        words = (ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)
        value = int(function(*words))
        if value < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return value

    call(libc.prctl, _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(70)
    call(libc.prctl, _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if readable is not None:
        restrict_files(readable, lambda *words: call(libc.syscall, *words))
    instructions = ctypes.create_string_buffer(program, len(program))

    class SockFprog(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    header = SockFprog(len(program) // 8, ctypes.addressof(instructions))
    call(libc.prctl, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(header), 0, 0)


def restrict_files(readable: dict[str, int], system_call: Callable[..., int]) -> None:
    """Give all rights to files up but those of ``readable``: Landlock's bits by path."""
    abi = system_call(_NR_LANDLOCK, None, 0, 1)
    # 13 rights since the first version; each of these versions added one
    handled = (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1
    # and TCP since the fourth, abstract sockets and signals since the sixth
    words = [handled, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0]
    attributes = b"".join(word.to_bytes(8, sys.byteorder) for word in words)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = system_call(_NR_LANDLOCK, attributes, size, 0)
    for path, rights in readable.items():
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = rights.to_bytes(8, sys.byteorder) + opened.to_bytes(4, sys.byteorder)
        system_call(_NR_LANDLOCK + 1, ruleset, 1, rule, 0)
        os.close(opened)
    system_call(_NR_LANDLOCK + 2, ruleset, 0)
    os.close(ruleset)


class OfferedPackages:
    """Finds packages by their folders: what lies beside them needs no right to be listed."""

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self._folders:
            return None
        from importlib.util import spec_from_file_location  # noqa: PLC0415  rarely needed

        folder = self._folders[name]
        init = os.path.join(folder, "__init__.py")  # noqa: PTH118
        return spec_from_file_location(name, init, submodule_search_locations=[folder])


def run(code: str) -> None:
    """Run the code as a program; the value of a last bare expression is shown as in a notebook."""
    for stream in (sys.stdout, sys.stderr):
        # lone surrogates are text that a model can make
        cast("TextIOWrapper", stream).reconfigure(
            encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
    sys.argv = [FILE_NAME]
    linecache.cache[FILE_NAME] = (len(code), None, code.splitlines(keepends=True), FILE_NAME)
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        tree = ast.parse(code, FILE_NAME)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        program = compile(tree, FILE_NAME, "exec", dont_inherit=True)
        exec(program, module.__dict__)  # noqa: S102
        if isinstance(last, ast.Expr):
            expression = ast.Expression(last.value)
            program = compile(expression, FILE_NAME, "eval", dont_inherit=True)
            value = eval(program, module.__dict__)  # noqa: S307
            if value is not None:
                print(repr(value))  # noqa: T201
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001
        # the border: whatever the code raised is shown, without the frame of this file
        inner = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(type(error), error, inner)
        sys.exit(1)


if __name__ == "__main__":
    main(ast.literal_eval(sys.argv[1]))
