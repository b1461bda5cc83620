from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from collab_core.tools.sandbox import language
from collab_core.tools.sandbox.base import SandboxUnavailable
from collab_core.tools.sandbox.interpreter import (
    SANDBOX_UID,
    drop_privileges,
    find_interpreter,
)
from collab_core.tools.sandbox.syscalls import seccomp_program


def _as_sandbox(*command: str) -> str:
    dropped = [*drop_privileges(), "/usr/bin/env", *command]
    done = subprocess.run(dropped, capture_output=True, text=True, env={}, check=True)
    return done.stdout.strip()


def test_the_interpreter_is_no_virtual_environment_and_can_be_run() -> None:
    found = find_interpreter()
    version = ".".join(map(str, found.version))
    assert _as_sandbox(str(found.executable), "-V") == f"Python {version}"
    assert (found.stdlib / "os.py").is_file()
    assert not (found.prefix / "pyvenv.cfg").exists()


def test_numpy_is_offered_with_its_libraries() -> None:
    names = [folder.name for folder in find_interpreter().packages]
    assert names[0] == "numpy"
    assert find_interpreter().description.endswith(" with numpy")


@pytest.mark.skipif(os.geteuid() != 0, reason="about workers that are root")
def test_root_becomes_nobody_without_groups_or_rights() -> None:
    status = _as_sandbox("cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == [str(SANDBOX_UID)] * 4
    assert fields["Gid"].split() == [str(SANDBOX_UID)] * 4
    assert fields["Groups"].strip() == ""
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="about workers that are root")
def test_root_without_setpriv_gets_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxUnavailable, match="The worker is root and setpriv is missing"):
        drop_privileges()


def test_a_missing_libseccomp_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyseccomp", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    with pytest.raises(SandboxUnavailable, match="libseccomp could not be loaded") as caught:
        seccomp_program.__wrapped__("strong")
    assert caught.value.hint == "apt-get install libseccomp2"


def test_a_missing_monty_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "PACKAGE", "tandem-no-such-package")
    with pytest.raises(SandboxUnavailable, match="Monty is not installed"):
        language.language()


def test_the_program_of_the_bootstrap_needs_nothing_of_ours() -> None:
    """It is run by an interpreter that has the standard library only."""
    source = Path(language.__file__).with_name("bootstrap.py").read_text()
    assert "import collab_core" not in source
    assert "from collab_core" not in source
    compile(source, "bootstrap.py", "exec")
