"""The training itself: ``python -m collab_core train`` as a process of its own.

It is CPU work, so it must not share the worker's interpreter. It is told nothing of this
installation but what it needs, it yields to everything else on the machine, and it ends with its
parent, even one that is killed: its standard input closes then.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings

logger = logging.getLogger(__name__)
NICE = 10
STOP_S = 3.0
"""From the request to stop to the kill."""
MAX_LINE = 8 * 1024**2
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "HF_HOME")
_LOG_LEVELS = ("DEBUG ", "INFO ", "WARNING ", "ERROR ")


class Step(NamedTuple):
    """What the process says on the way; also once a second when it says nothing (text None)."""

    fraction: float
    text: str | None


class Refused(Exception):
    """The training cannot be done; its words are for the user."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Child:
    """One training process. Use it as a context: leaving it ends the process."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self._command = [sys.executable, "-m", "collab_core", "train", *arguments]
        self._errors = folder / "errors.txt"
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.done = False
        """It said that the weights are written."""

    def __enter__(self) -> Child:
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, arguments not a shell's
                [*self._command, "--progress", "json", "--exit-with-stdin"],
                cwd=settings.BASE_DIR,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
        self._reader = threading.Thread(target=self._read, name="training-output", daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._reader.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def steps(self, *, every_s: float = 1.0) -> Iterator[Step]:
        """Yield how far it is, at least every ``every_s``, until it has ended."""
        while True:
            try:
                line = self._lines.get(timeout=every_s)
            except queue.Empty:
                yield Step(0.0, None)
                continue
            if line is None:
                return
            said = _decoded(line)
            if "manifest" in said:
                self.done = True
            elif isinstance(said.get("fraction"), int | float):
                yield Step(
                    min(1.0, max(0.0, said["fraction"])),
                    str(said.get("text", "")).replace("\0", "\ufffd"),
                )

    def stop(self) -> None:
        """End the process: asked first, then killed."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait(timeout=STOP_S)

    def check(self) -> None:
        """Check that it ended well.

        Raises:
            Refused: with its own words.
        """
        status = self._process.wait(timeout=STOP_S)
        if status == 0 and self.done:
            return
        raise _said(
            status, self._errors.read_text("utf-8", "replace").replace("\0", "\ufffd")[-20_000:]
        )

    def _read(self) -> None:
        output = self._process.stdout
        assert output is not None
        while line := output.readline(MAX_LINE):
            self._lines.put(line.decode("utf-8", "replace"))
        self._lines.put(None)


def _decoded(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        logger.warning("a training wrote what is no JSON: %.200s", line)
        return {}
    return said if isinstance(said, dict) else {}


def _said(status: int, errors: str) -> Refused:
    """Turn an exit status and what was written to standard error into words for the user."""
    lines = [
        line for line in errors.splitlines() if line.strip() and not line.startswith(_LOG_LEVELS)
    ]
    if status == 2 and lines and not lines[0].startswith("usage:"):
        return Refused(lines[0][:1_000], " ".join(lines[1:])[:1_000])
    logger.error("a training ended with status %s: %s", status, errors)
    if status < 0:
        return Refused(
            f"The training process was killed by signal {-status}.",
            "Most often the machine had too little memory; use fewer runs.",
        )
    last = lines[-1][:300] if lines else "no message"
    return Refused(f"The training broke: {last}", "The worker's log has the whole message.")
