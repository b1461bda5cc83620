from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collab_core.errors import InvalidInput
from collab_core.tools.sandbox import commands, self_check, selfcheck
from collab_core.tools.sandbox.base import Check, SandboxReport
from collab_core.tools.sandbox.confined import ConfinedPython
from collab_core.tools.sandbox.selfcheck import check, find
from tests.collab_core.tools.sandbox.conftest import ALLOW_EVERYTHING


def _failed(checks: tuple[Check, ...]) -> set[str]:
    return {check.name for check in checks if not check.passed}


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A PATH with nothing but setpriv; not in pytest's folder, which the sandbox's user cannot read."""
    setpriv = shutil.which("setpriv")
    assert setpriv
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "setpriv").symlink_to(setpriv)
        monkeypatch.setenv("PATH", name)
        yield folder


def _put(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_this_machine_has_the_strong_sandbox() -> None:
    report = self_check("strong")
    assert (report.tier, report.reason) == ("strong", "")
    assert len(report.checks) >= 20
    assert _failed(report.checks) == set()


async def test_the_reduced_sandbox_holds(reduced: ConfinedPython) -> None:
    checks = await check(reduced)
    assert len(checks) >= 20
    assert _failed(checks) == set()


async def test_the_check_gets_out_of_namespaces_without_a_filter(
    namespaces: ConfinedPython,
) -> None:
    failed = _failed(await check(namespaces))
    assert {"fork", "system calls", "other sockets"} <= failed
    # what the namespaces keep away
    assert not {"files of the host", "loopback", "listeners outside", "memory", "disk"} & failed


async def test_the_check_gets_out_of_landlock_without_a_filter(reduced: ConfinedPython) -> None:
    failed = _failed(await check(replace(reduced, program=ALLOW_EVERYTHING)))
    assert {"fork", "system calls", "other sockets", "mode of a file"} - failed <= {
        "mode of a file"
    }


def test_without_bubblewrap_the_reduced_rung_is_taken_and_the_reason_told(programs: Path) -> None:
    report = find("auto")
    assert report.tier == "reduced"
    assert report.reason == ("strong: bubblewrap is not installed. apt-get install bubblewrap")
    assert report.sandbox is not None


def test_a_bubblewrap_that_cannot_make_namespaces_is_found_out(programs: Path) -> None:
    _put(programs, "bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    report = find("auto")
    assert report.tier == "reduced"
    assert "No permissions to create new namespace" in report.reason


def test_a_bubblewrap_that_confines_nothing_is_found_out(programs: Path) -> None:
    """It runs the command as it is: no namespace, no filter."""
    script = 'while [ "$1" != -- ]; do shift; done; shift; shift; exec /usr/bin/python3 "$@"'
    _put(programs, "bwrap", script)
    report = find("strong")
    assert report.tier == "off"
    assert {"files of the host", "loopback", "listeners outside"} <= _failed(report.checks)
    assert "strong: the self-check got out" in report.reason


def test_too_weak_a_sandbox_is_off_not_taken_silently(
    programs: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_SANDBOX", "strong")
    monkeypatch.setattr(selfcheck, "_reports", {})
    with caplog.at_level(logging.WARNING):
        report = self_check()
    assert (report.tier, report.sandbox) == ("off", None)
    assert report.reason == (
        "strong: bubblewrap is not installed. apt-get install bubblewrap "
        "TANDEM_SANDBOX=strong accepts no weaker rung."
    )
    assert "python sandbox: off" in caplog.text


def test_it_can_be_switched_off() -> None:
    report = self_check("off")
    assert (report.tier, report.sandbox) == ("off", None)
    assert "switched off" in report.reason


def test_a_rung_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_SANDBOX", "stong")
    with pytest.raises(InvalidInput, match="TANDEM_SANDBOX is 'stong'; it must be one of auto"):
        self_check()


def test_the_answer_is_kept() -> None:
    assert self_check("strong") is self_check("strong")


async def test_it_can_be_called_inside_an_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selfcheck, "_reports", {})
    assert self_check("strong").tier == "strong"


def test_the_command_prints_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    commands.register(parser.add_subparsers())
    arguments = parser.parse_args(["sandbox", "--weakest", "strong"])
    assert arguments.func(arguments) == 0
    out = capsys.readouterr().out
    assert "held   loopback" in out
    assert "\nsandbox: strong, Python 3" in out
    arguments = parser.parse_args(["sandbox", "--weakest", "off"])
    assert arguments.func(arguments) == 1


def test_a_failed_check_stands_out() -> None:
    report = SandboxReport(tier="off", checks=(Check("disk", False, "99 bytes"),), reason="why")
    assert list(commands.lines(report)) == ["FAILED disk  (99 bytes)", "sandbox: off", "why"]
