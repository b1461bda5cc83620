"""Server time of the list of 100,000 runs and of long runs, through Django's whole handler.

Each figure is the best of three requests of the test client: middleware, session, queries, rendering.
Wall time, and the CPU time of this process, which a busy machine disturbs less (with SQLite it is all
the work there is; with PostgreSQL the server's share comes on top).
Every filter (frequent, rare, without a match) under every order, the first page and one 40 % deep;
then text search in every way it can go; then REST and the snapshot of a long run.

    python -m benchmarks.pages                 # SQLite, then PostgreSQL
    python -m benchmarks.pages --slowest 20    # which requests were the slowest
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from benchmarks import stage
from benchmarks.report import write_result

if TYPE_CHECKING:
    from django.test import Client

TARGET_MS = 25.0
SNAPSHOT_TARGET_MS = 15.0
ROUNDS = 3
ORDERS = [sign + key for key in ("created", "latency", "cost", "steps") for sign in ("-", "")]
FILTERS: list[dict[str, str]] = [
    {},
    {"status": "finished"},
    {"status": "failed"},
    {"status": "queued"},
    {"outcome": "correct"},
    {"strategy": "agentcollab-static"},
    {"ladder": "main-wide"},
    {"ladder": "main-rare"},
    {"collection": "docs"},
    {"who": "main-bea"},
    {"who": "main-rare"},
    {"status": "failed", "outcome": "correct"},
    {"status": "failed", "strategy": "agentcollab-static", "who": "main-cem"},
    {"from": "{day30}", "to": "{day20}"},
    {"to": "{day170}", "status": "failed", "strategy": "agentcollab-static"},
    {"from": "2001-01-01", "to": "2001-01-02"},
]
TEXTS = {
    "one in three": {"q": "river"},
    "rare": {"q": "zirconium"},
    "no match": {"q": "quetzalcoatl"},
    "only the oldest runs": {"q": "lighthouse"},
    "only in another workspace": {"q": "submarine"},
    "two words": {"q": "river town"},
    "frequent and rare": {"q": "river zirconium"},
    "frequent, rare person": {"q": "river", "who": "main-rare"},
    "frequent, impossible filter": {"q": "river", "status": "failed", "outcome": "correct"},
    "oldest, impossible filter": {"q": "lighthouse", "status": "failed", "outcome": "correct"},
    "in every task": {"q": "which"},
    "in every task, frequent filter": {"q": "which", "status": "failed"},
    "two letters, not ASCII": {"q": "né"},
    "two letters": {"q": "ab"},
    "number": {"q": "run-4711"},
}


class Took(NamedTuple):
    wall_ms: float
    cpu_ms: float


def measure(client: Client, path: str, *, rounds: int = ROUNDS, **headers: Any) -> Took:
    """Return the shortest times of the request."""
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.thread_time()
        response = client.get(path, **headers)
        cpus.append((time.thread_time() - cpu) * 1e3)
        walls.append((time.perf_counter() - wall) * 1e3)
        assert response.status_code == 200, (path, response.status_code)
    return Took(round(min(walls), 2), round(min(cpus), 2))


def addresses(found: stage.Stage) -> Iterator[tuple[str, str]]:
    """Yield what is asked and its address."""
    for order in ORDERS:
        cursor = deep_cursor(found, order)
        for filters in FILTERS:
            query = {key: on_day(value) for key, value in filters.items()} | {"order": order}
            words = " ".join(f"{k}={v}" for k, v in query.items())
            yield f"{words}, first", "/?" + urlencode(query)
            yield f"{words}, deep", "/?" + urlencode(query | {"cursor": cursor})
        for name, query in TEXTS.items():
            yield f"text {name}, order={order}", "/?" + urlencode(query | {"order": order})


def on_day(value: str) -> str:
    if not value.startswith("{day"):
        return value
    ago = int(value[4:-1]) * 86_400
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() - ago))


def deep_cursor(found: stage.Stage, order: str) -> str:
    """Return the mark of a page 40 % down the list."""
    from django.db.models import F

    from webapp.runs import queries
    from webapp.runs.models import Run

    column, down = queries.ORDERS[order.lstrip("-")], order.startswith("-")
    runs = Run.objects.filter(workspace=found.workspace, **{f"{column}__isnull": False})
    keys = [F(column), F("pk")]
    ordered = runs.order_by(*(key.desc() if down else key.asc() for key in keys))
    # the form of a mark is nobody's contract; only how deep it is matters here
    return queries._cursor(  # noqa: SLF001
        order, ordered[int(runs.count() * 0.4)]
    )


def child(count: int) -> dict[str, Any]:
    """Measure on the database of this process's environment."""
    from django.test import Client

    from benchmarks.corpus import store_runs
    from webapp.teams.models import Token

    start = time.perf_counter()
    found = store_runs(count)
    made_s = time.perf_counter() - start
    long = {steps: stage.store_long_run(found, steps) for steps in (1_000, 5_000)}
    client = Client()
    client.force_login(found.user, backend=stage.BACKEND)
    _, secret = Token.objects.issue(found.user, "bench")
    bearer: dict[str, Any] = {"HTTP_AUTHORIZATION": f"Bearer {secret}"}
    client.get("/")  # imports and templates
    lists = {name: measure(client, path) for name, path in addresses(found)}
    anonymous = Client()
    rest = {
        f"order={order}": measure(anonymous, f"/api/v1/runs?order={order}", **bearer)
        for order in ORDERS
    }
    snapshots: dict[str, Any] = {}
    for steps, run in long.items():
        for name in ("", "snapshot.json", "steps.json?from=1&to=50", "steps.csv"):
            took = measure(client, f"/runs/{run.uuid}/{name}", rounds=7)
            snapshots[f"{steps} steps, {name or 'page'}"] = took
        size = len(client.get(f"/runs/{run.uuid}/snapshot.json").content)
        snapshots[f"{steps} steps, snapshot kB"] = size // 1_000
    return {"made_s": made_s, "lists": lists, "rest": rest, "run": snapshots}


def summary(measured: dict[str, Any]) -> dict[str, Any]:
    lists, rest = measured["lists"], measured["rest"]
    slowest = sorted(lists.items(), key=lambda item: -item[1][0])
    told: dict[str, Any] = {}
    for place, name in enumerate(("wall ms", "CPU ms")):
        times = [took[place] for took in lists.values()]
        told[f"list, {name}"] = stage.spread(times)
        told[f"list, share of requests within {TARGET_MS:g} {name}"] = round(
            sum(took <= TARGET_MS for took in times) / len(times), 4
        )
        told[f"plain first page, {name}"] = lists["order=-created, first"][place]
        told[f"REST list, {name}"] = stage.spread([took[place] for took in rest.values()])
    return told | {"slowest, [wall, CPU] ms": dict(slowest[:8]), "run": measured["run"]}


def on(name: str, count: int, slowest: int, database_url: str = "") -> dict[str, Any]:
    with stage.folder() as folder:
        command = [sys.executable, "-m", "benchmarks.pages", "--child", str(folder)]
        command += [database_url, "--runs", str(count)]
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600)
    measured = json.loads(out.stdout.splitlines()[-1])
    told = summary(measured)
    print(f"{name}, {count:,} runs (made in {measured['made_s']:.0f} s), target {TARGET_MS:g} ms")
    for key, value in told.items():
        print(f"  {key}: {value}")
    for words, took in sorted(measured["lists"].items(), key=lambda item: -item[1][0])[:slowest]:
        print(f"    {took}  {words}")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--slowest", type=int, default=0)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--child", nargs=2, metavar=("FOLDER", "DATABASE_URL"))
    options = parser.parse_args()
    if options.child:
        stage.set_up(Path(options.child[0]), database_url=options.child[1])
        print(json.dumps(child(options.runs)))
        return
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    if options.only != "postgresql":
        result["SQLite"] = on("SQLite", options.runs, options.slowest)
    if options.only != "sqlite":
        with stage.postgres() as url:
            result["PostgreSQL"] = on("PostgreSQL", options.runs, options.slowest, url)
    write_result("pages", result)


if __name__ == "__main__":
    main()
