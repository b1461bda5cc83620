"""An experiment killed in its middle, again and again, beside the same one left alone.

    python -m benchmarks.experiment_kills [--tasks 200] [--kills 5]

Both run in the product as people start it (embedded, simulated tiers, real HTTP). The one is ended by
kill -9 at even points of its way and started again; nothing else is done to help it. Simulated models
are a function of the request, so whatever does not measure time must come out equal, trial by trial:
outcome, answer, steps, tiers, tokens. Latencies are measured anew in each and are not compared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import write_result
from benchmarks.stage import listen

STRATEGIES = ("small", "large", "random", "period", "agentcollab-static", "agentcollab")
COMPARED = ("arm", "task_id", "seed", "status", "outcome", "score")
FACTS = (
    "steps",
    "large_steps",
    "switches",
    "moves",
    "output_tokens",
    "large_output_tokens",
    "model_calls",
    "checks",
    "stalls",
    "escalations",
)
START_S, EXPERIMENT_S = 300.0, 3_600.0


@dataclass
class Product:
    """Tandem in a folder of its own, started and killed like a process of the operator's."""

    folder: Path
    port: int
    time_scale: float
    process: subprocess.Popen[bytes] | None = None
    token: str = ""

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DATA_DIR": str(self.folder),
            "PORT": str(self.port),
            "TANDEM_TIME_SCALE": str(self.time_scale),
            "TANDEM_LEASE_S": "30",
            "LOG_LEVEL": "ERROR",
        }

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "tandem"],
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError("Tandem did not start")
            time.sleep(0.2)
        if not self.token:
            issued = subprocess.run(
                [sys.executable, "manage.py", "issue_token", "demo"],
                env=self.environment(),
                capture_output=True,
                check=True,
            )
            self.token = issued.stdout.decode().split()[-1]

    def kill(self) -> None:
        """End it and the model server that it has started, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as got:
                return bool(got.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def ask(self, path: str, body: Any = None) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            content: bytes = answer.read()
        return content


@contextlib.contextmanager
def product(time_scale: float) -> Iterator[Product]:
    folder = Path(tempfile.mkdtemp(prefix="tandem-kills-"))
    with listen() as listener:
        port = listener.getsockname()[1]
    made = Product(folder, port, time_scale)
    try:
        made.start()
        yield made
    finally:
        made.kill()
        shutil.rmtree(folder, ignore_errors=True)


def definition(tasks: int) -> dict[str, Any]:
    ladder = "ddv2-7b-38b"
    arms = [{"label": name, "strategy": name, "ladder": ladder} for name in STRATEGIES]
    return {
        "name": "Killed or not",
        "tasks": {"name": "world", "count": tasks},
        "arms": arms,
        "baseline": "large",
    }


def work(tasks: int, kills: int, time_scale: float) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run the experiment to its end with so many kills; return its trials and what happened."""
    total = tasks * len(STRATEGIES)
    points = [total * (number + 1) // (kills + 1) for number in range(kills)]
    with product(time_scale) as tandem:
        made = json.loads(tandem.ask("/api/v1/experiments", {"definition": definition(tasks)}))
        address = f"/api/v1/experiments/{made['uuid']}"
        began, killed = time.monotonic(), 0
        while True:
            state = json.loads(tandem.ask(address))["progress"]
            if points and state["done"] >= points[0]:
                points.pop(0)
                tandem.kill()
                tandem.start()
                killed += 1
            if state["status"] == "finished":
                break
            if time.monotonic() - began > EXPERIMENT_S:
                raise RuntimeError(f"not done after {EXPERIMENT_S:.0f} s: {state}")
            time.sleep(0.5)
        taken = {"wall_s": round(time.monotonic() - began, 1), "kills": killed, "end": state}
        return read_archive(tandem.ask(f"{address}/archive")), taken


def read_archive(content: bytes) -> list[dict[str, Any]]:
    """Return the trials of an archive, each with the events of its log."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        with tarfile.open(fileobj=file) as tar:

            def lines(name: str) -> list[dict[str, Any]]:
                member = tar.extractfile(name)
                assert member is not None
                return [json.loads(line) for line in member.read().splitlines()]

            return [trial | {"events": lines(trial["log"])} for trial in lines("trials.jsonl")]


def comparable(trial: dict[str, Any]) -> dict[str, Any]:
    end = trial["events"][-1]
    return (
        {name: trial[name] for name in COMPARED}
        | {name: trial["facts"][name] for name in FACTS}
        | {"answer": end.get("answer"), "tiers": tiers(trial)}
    )


def tiers(trial: dict[str, Any]) -> str:
    return "".join(str(e["tier"]) for e in trial["events"] if e["type"] == "step.finished")


def gaps(trials: list[dict[str, Any]]) -> int:
    """Return the logs that are not 0, 1, 2 … to one last event."""
    ends = {"run.finished", "run.failed", "run.cancelled"}
    return sum(
        [event["seq"] for event in trial["events"]] != list(range(len(trial["events"])))
        or [event["type"] in ends for event in trial["events"]].count(True) != 1
        for trial in trials
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--time-scale", type=float, default=0.02)
    args = parser.parse_args()
    alone, left = work(args.tasks, 0, args.time_scale)
    again, killed = work(args.tasks, args.kills, args.time_scale)
    differing = Counter(
        name
        for one, other in zip(map(comparable, alone), map(comparable, again), strict=True)
        for name in one
        if one[name] != other[name]
    )
    resumed = sum(any(e["type"] == "run.resumed" for e in t["events"]) for t in again)
    figures = {
        "trials": len(alone),
        "left alone": left,
        "killed": killed,
        "runs taken up again": resumed,
        "logs with a gap or not one end": gaps(alone) + gaps(again),
        "trials that differ, by column": dict(differing),
    }
    print(json.dumps(figures, indent=1))
    write_result("experiment_kills", figures)


if __name__ == "__main__":
    main()
