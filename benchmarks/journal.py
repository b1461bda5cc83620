"""CPU of one think-act-observe step with its events in the database, beside the ordinary openai loop.

Ours is the worker of the product (lease, heart-beat, group commit, doorbell) with AgentCollab on two
tiers, on SQLite and on a real PostgreSQL; the peer is ``chat.completions.create()`` with the growing
messages and one JSON line a step. CPU is user + system time of all threads of a process of its own,
the best of ``--rounds``, each of five runs in turn; a database server's share is not in it. Then 64 runs at once in one process
with replies after 150 ms: the share of the ideal throughput from the first step's start to the last
step's end of all runs together, by the times in the stored events.

    python -m benchmarks.journal
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import stage
from benchmarks.engine import openai_runs, stub
from benchmarks.report import write_result

DELAY_S = 0.15
AT_ONCE = 64
IN_TURN = 5
PEER = "openai create()"


def tandem(url: str, *, steps: int, runs: int, together: int) -> dict[str, float]:
    """Do the runs with the product's worker on this process's database."""
    from collab_core.tools.base import Tool
    from webapp.runs.leases import Claim
    from webapp.runs.models import Run
    from webapp.runs.worker import Worker

    tools: Sequence[Tool] = stage.lookups()

    class BenchWorker(Worker):
        async def _tools(self, claim: Claim) -> Sequence[Tool]:
            return tools

    made = stage.make_stage(f"bench{os.getpid()}", base_url=url)
    limits = {"max_steps": steps, "max_tokens": None, "max_wall_s": None}
    warm = made.submit(0, limits=limits | {"max_steps": 2})
    ids = [made.submit(number, limits=limits).pk for number in range(1, runs + 1)]
    worker = BenchWorker()
    worker.start()
    worker.run(warm.pk)  # imports and first connections
    with taken() as figures:
        for number in range(0, len(ids), together):
            for future in [worker.submit(run_id) for run_id in ids[number : number + together]]:
                future.result(timeout=300)
    worker.stop()
    done = Run.objects.filter(pk__in=ids, status="finished", steps=steps).count()
    assert done == runs, f"only {done} of {runs} runs did their {steps} steps"
    return figures | {"share": share_of_ideal(ids)}


def share_of_ideal(ids: Sequence[int]) -> float:
    """Return ideal time / time of the steps; ideal is nothing but the waits for the model."""
    from django.db.models import Count, Max, Min

    from webapp.runs.models import RunEvent

    events = RunEvent.objects.filter(run_id__in=ids)
    first = events.filter(type="step.started").aggregate(at=Min("at"))["at"]
    last = events.filter(type="step.finished").aggregate(at=Max("at"))["at"]
    replies = events.filter(type="model.replied", at__lte=last).values("run_id")
    longest = max(row["n"] for row in replies.annotate(n=Count("id")))
    return float(longest * DELAY_S / (last - first))


def peer(url: str, *, steps: int, runs: int, together: int) -> dict[str, float]:
    asyncio.run(openai_runs(url, steps=2, runs=1, stream=False))
    with taken() as figures:
        for _ in range(runs // together):
            asyncio.run(openai_runs(url, steps=steps, runs=together, stream=False))
    return figures | {"share": steps * DELAY_S / figures["wall_s"]}


@contextlib.contextmanager
def taken() -> Iterator[dict[str, float]]:
    """Fill in CPU and wall seconds of the block, of all threads of this process."""
    figures: dict[str, float] = {}
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    yield figures
    after = resource.getrusage(resource.RUSAGE_SELF)
    figures["cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures["wall_s"] = time.perf_counter() - wall


def measure(
    name: str, url: str, databases: dict[str, str], *, steps: int, runs: int, rounds: int
) -> dict[str, float]:
    """Return the best round in a process (and a data folder) of its own."""
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        with stage.folder() as folder:
            command = [sys.executable, "-m", "benchmarks.journal", "--child", name, url]
            command += [str(folder), databases.get(name, ""), str(steps), str(runs)]
            command += [str(AT_ONCE if runs == AT_ONCE else 1)]
            out = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True, timeout=400
            )
        found.append(json.loads(out.stdout.splitlines()[-1]))
    best = min(found, key=lambda figures: figures["cpu_s"])
    share = max(figures["share"] for figures in found)
    return {"cpu_us_per_step": round(best["cpu_s"] / steps / runs * 1e6), "share": round(share, 4)}


def child(arguments: Sequence[str]) -> None:
    name, url, folder, database_url, *numbers = arguments
    steps, runs, together = map(int, numbers)
    loop = peer
    if name != PEER:
        stage.set_up(Path(folder), database_url=database_url)
        loop = tandem
    print(json.dumps(loop(url, steps=steps, runs=runs, together=together)))


def one_run(names: Sequence[str], databases: dict[str, str], rounds: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with stub() as url:
        for steps in (40, 200):
            for name in names:
                if name == PEER and steps == 200:
                    continue
                took = measure(name, url, databases, steps=steps, runs=IN_TURN, rounds=rounds)
                result[f"{name}, {steps} steps, CPU us a step"] = took["cpu_us_per_step"]
                print(f"{name}, {steps} steps: {took['cpu_us_per_step']} us CPU a step")
    whole = result[f"{PEER}, 40 steps, CPU us a step"]
    for name in databases:
        ours = result[f"{name}, 40 steps, CPU us a step"]
        longer = result[f"{name}, 200 steps, CPU us a step"]
        result[f"{name}, ratio to create() at 40 steps"] = round(ours / whole, 3)
        result[f"{name}, ratio of 200 to 40 steps"] = round(longer / ours, 2)
        print(f"{name}: {ours / whole:.3f} of create() (target 0.15)", end="; ")
        print(f"200 steps {longer / ours:.2f} of 40 (target 1.5)")
    return result


def at_once(names: Sequence[str], databases: dict[str, str], rounds: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with stub(delay_s=DELAY_S) as url:
        for name in names:
            best = measure(
                name, url, databases, steps=40, runs=AT_ONCE, rounds=1 if name == PEER else rounds
            )
            result[f"{name}, {AT_ONCE} runs, share of ideal"] = best["share"]
            result[f"{name}, {AT_ONCE} runs, CPU us a step"] = best["cpu_us_per_step"]
            print(
                f"{name}: {AT_ONCE} runs with 150 ms replies at {best['share']:.1%} of ideal",
                end="",
            )
            print(f", {best['cpu_us_per_step']} us CPU a step (target 95 %)")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("one", "many"))
    parser.add_argument("--child", nargs=7)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    with stage.postgres() as url:
        databases = {"tandem on SQLite": "", "tandem on PostgreSQL": url}
        names = [*databases, PEER]
        if options.only != "many":
            result |= one_run(names, databases, options.rounds)
        if options.only != "one":
            result |= at_once(names, databases, min(2, options.rounds))
    result["load after"] = os.getloadavg()[0]
    write_result("journal", result)


if __name__ == "__main__":
    main()
