"""From submit to the first stored event of the worker: what the queue costs a waiting person.

``services.submit`` commits the run and sends the hint; a Celery worker claims the run and the engine
stores ``run.started``. Embedded: worker threads in this very process. With Redis: a worker process of
its own. The floor is what is left without Celery: the same run handed straight to the worker's loop.

    python -m benchmarks.dispatch
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import stage
from benchmarks.engine import stub
from benchmarks.report import write_result

GAP_S = 0.2
DEADLINE_S = 30.0


def started_at(run_id: int) -> float:
    """Wait for ``run.started`` and return its time."""
    from webapp.runs.models import RunEvent

    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        at = RunEvent.objects.filter(run_id=run_id, type="run.started").values_list("at", flat=True)
        if found := at.first():
            return float(found)
        time.sleep(0.02)
    raise TimeoutError(f"run {run_id} was not started within {DEADLINE_S:g} s")


def delays(count: int, start: Callable[[int], int]) -> list[float]:
    """Submit ``count`` runs one after another; return ms from before ``start`` to run.started."""
    taken = []
    for number in range(count + 1):
        begin = time.time()
        taken.append((started_at(start(number)) - begin) * 1e3)
        time.sleep(GAP_S)
    return taken[1:]  # the first one pays for imports and connections


def through_celery(made: stage.Stage, number: int) -> int:
    from webapp.runs import services

    submission = services.Submission(
        question=f"Which port? ({number})",
        strategies=[("small", {})],
        ladder=made.ladder,
        seed=number,
        limits={"max_steps": 1},
    )
    return int(services.submit(made.workspace, made.user, submission)[0].pk)


def straight(made: stage.Stage, number: int) -> int:
    from webapp.runs.worker import worker

    run = made.submit(number, limits={"max_steps": 1})
    worker().submit(run.pk)
    return int(run.pk)


@contextlib.contextmanager
def celery_threads() -> Iterator[None]:
    """The embedded worker: Celery's threads in this process."""
    from django.conf import settings

    from webapp.celery import app

    controller: Any = app.WorkController(
        pool="threads",
        concurrency=settings.CELERY["worker_concurrency"],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="WARNING",
    )
    thread = threading.Thread(target=controller.start, daemon=True)
    thread.start()
    try:
        yield
    finally:
        controller.stop()
        thread.join(timeout=10)


@contextlib.contextmanager
def celery_process(folder: Path, redis_url: str) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "--app", "webapp", "worker", "--loglevel", "WARNING"]
    process = subprocess.Popen(
        [*command, "--without-gossip", "--without-mingle"],
        env=stage.environment(folder, redis_url=redis_url),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()


def child(folder: Path, redis_url: str, url: str, count: int) -> dict[str, Any]:
    stage.set_up(folder, redis_url=redis_url)
    from webapp.runs.worker import stop_worker

    made = stage.make_stage(base_url=url)
    if redis_url:
        with celery_process(folder, redis_url):
            return {"Redis": delays(count, lambda n: through_celery(made, n))}
    with celery_threads():
        embedded = delays(count, lambda n: through_celery(made, n))
    floor = delays(count, lambda n: straight(made, n))
    stop_worker()
    return {"embedded": embedded, "floor, no Celery": floor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--child", nargs=3)
    options = parser.parse_args()
    if options.child:
        folder, redis_url, url = options.child
        print(json.dumps(child(Path(folder), redis_url, url, options.runs)))
        return
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    with stub() as url, stage.redis_server() as redis_url:
        for broker in ("", redis_url):
            with stage.folder() as folder:
                command = [sys.executable, "-m", "benchmarks.dispatch", "--runs", str(options.runs)]
                command += ["--child", str(folder), broker, url]
                out = subprocess.run(
                    command, stdout=subprocess.PIPE, text=True, check=True, timeout=200
                )
            for name, taken in json.loads(out.stdout.splitlines()[-1]).items():
                result[f"{name}, ms"] = stage.spread(taken)
                print(f"{name}, submit to started, ms: {stage.spread(taken)}", flush=True)
    write_result("dispatch", result)


if __name__ == "__main__":
    main()
