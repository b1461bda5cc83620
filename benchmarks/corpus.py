"""100,000 stored runs in three workspaces, made fast and always the same ones.

Skewed as real lists are: one large workspace, most runs finished, one strategy used most, some people
and ladders hardly ever. Words of the tasks: one in a third of them, one in a handful, one only in the
oldest runs (what an old project was about), one only in another workspace.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import random
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.stage import Stage, make_stage

COMMON, RARE, OLD, ELSEWHERE = "river", "zirconium", "lighthouse", "submarine"
DAYS = 180
STRATEGIES = (["agentcollab", "small", "large", "agentcollab-static"], [60, 20, 13, 7])
STATUSES = (["finished", "failed", "cancelled", "queued"], [880, 70, 49, 1])
COLUMNS = (
    *("uuid", "workspace_id", "number", "submitted_by_id", "created_at", "fork_step", "race"),
    *("parent_id", "question", "collection_id", "task_id", "gold", "strategy", "parameters"),
    *("ladder_id", "ladder_name", "tiers", "seed", "limits", "simulated", "fence", "owner"),
    *("recoveries", "cancelled_by", "next_seq", "status", "outcome", "answer", "ended_by"),
    *("error_code", "error_message", "error_hint", "started_at", "finished_at", "steps"),
    *("latency_s", "switches", "input_tokens", "output_tokens", "top_tier_output_tokens"),
    *("cost_usd", "tier_path", "stall_path"),
)


class _Room:
    """What the runs of one workspace point at."""

    def __init__(self, name: str, rng: random.Random) -> None:
        from webapp.runs.models import Collection
        from webapp.teams.models import Membership, User
        from webapp.tiers.models import Ladder

        self.stage = make_stage(name)
        self.number = 0
        people = [User.objects.create_user(f"{name}-{who}") for who in ("bea", "cem", "rare")]
        for person in people:
            Membership.objects.create(workspace=self.stage.workspace, user=person)
        self.people = ([self.stage.user, *people], [60, 25, 15, 0.01])
        ladders = [
            Ladder.objects.create(workspace=self.stage.workspace, name=f"{name}-{kind}")
            for kind in ("wide", "rare")
        ]
        self.ladders = ([self.stage.ladder, *ladders], [70, 30, 0.01])
        collection = Collection.objects.create(
            workspace=self.stage.workspace, name="docs", title="Docs", index_file="docs.sqlite3"
        )
        self.collections = ([collection.pk, None], [70, 30])
        self.rng = rng

    def one(self, choice: tuple[Sequence[Any], Sequence[float]]) -> Any:
        return self.rng.choices(*choice)[0]


def store_runs(count: int) -> Stage:
    """Store ``count`` runs; return the largest workspace (70 % of them)."""
    from django.db import connection, transaction

    rng = random.Random(7)
    rooms = [_Room(name, rng) for name in ("main", "second", "third")]
    marks = ", ".join(["%s"] * len(COLUMNS))
    insert = f"INSERT INTO runs_run ({', '.join(COLUMNS)}) VALUES ({marks})"
    rows = _rows(rooms, count, rng)
    with transaction.atomic(), connection.cursor() as cursor:
        while chunk := [row for row, _ in zip(rows, range(2_000), strict=False)]:
            cursor.executemany(insert, chunk)
    for room in rooms:
        room.stage.workspace.last_run_number = room.number
        room.stage.workspace.save()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # what autovacuum does a minute later
            cursor.execute("VACUUM ANALYZE")
    return rooms[0].stage


def _rows(rooms: Sequence[_Room], count: int, rng: random.Random) -> Iterator[Sequence[Any]]:
    from django.db import connection

    words = [_word(rng) for _ in range(3_000)]
    now = dt.datetime.now(dt.UTC)
    adapt = connection.ops.adapt_datetimefield_value
    for index in range(count):
        room = rng.choices(rooms, [70, 25, 5])[0]
        age = DAYS * (1 - index / count) - rng.random() / 100
        at = now - dt.timedelta(days=max(0.001, age))
        values = _run(room, rng, at) | _lease(at)
        values["question"] = _question(rng, words, index / count, other=room is not rooms[0])
        if rng.random() < 0.03 and index > 1_000:
            values |= {"parent_id": rng.randint(1, index), "fork_step": 3}
        for name in ("created_at", "started_at", "finished_at"):
            values[name] = adapt(values[name])
        yield [values[name] for name in COLUMNS]


def _word(rng: random.Random) -> str:
    return "".join(
        rng.choice("bdfgklmnprst") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))
    )


def _question(rng: random.Random, words: Sequence[str], progress: float, *, other: bool) -> str:
    chosen = rng.choices(words, k=rng.randint(8, 24))
    if rng.random() < 0.33:
        chosen[3] = COMMON
    if rng.random() < 0.0001:
        chosen[5] = RARE
    if progress < 0.03:
        chosen[4] = OLD
    if other and rng.random() < 0.1:
        chosen[2] = ELSEWHERE
    return "Which town lies " + " ".join(chosen) + "?"


def _lease(at: dt.datetime) -> dict[str, Any]:
    return {
        "uuid": uuid.uuid4().hex,
        "created_at": at,
        "fork_step": None,
        "race": None,
        "parent_id": None,
        "task_id": "",
        "fence": 1,
        "owner": "",
        "recoveries": 0,
        "cancelled_by": "",
    }


def _run(room: _Room, rng: random.Random, at: dt.datetime) -> dict[str, Any]:
    room.number += 1
    status = room.one(STATUSES)
    ladder = room.one(room.ladders)
    steps = 0 if status == "queued" else min(40, 1 + int(rng.expovariate(1 / 9)))
    latency = round(steps * rng.uniform(0.8, 9.0), 3)
    finished = status == "finished"
    path = "".join(rng.choices("01", [70, 30], k=steps))
    return {
        "workspace_id": room.stage.workspace.pk,
        "number": room.number,
        "submitted_by_id": room.one(room.people).pk,
        "collection_id": room.one(room.collections),
        "gold": json.dumps(["Halden"]),
        "strategy": room.one(STRATEGIES),
        "parameters": json.dumps({"warm_up_steps": 2, "growth": 2.0}),
        "ladder_id": ladder.pk,
        "ladder_name": ladder.name,
        "tiers": json.dumps([{"name": n, "endpoint": "x", "model": n} for n in ("small", "large")]),
        "seed": rng.randrange(2**31),
        "limits": json.dumps({"max_steps": 40}),
        "simulated": rng.random() < 0.5,
        "next_seq": 2 + 5 * steps,
        "status": status,
        "outcome": rng.choices(["correct", "incorrect", "unscored"], [45, 35, 20])[0]
        if finished
        else "",
        "answer": "Halden" if finished else "",
        "ended_by": "answer" if finished else "",
        "error_code": "backend_unreachable" if status == "failed" else "",
        "error_message": "The endpoint does not answer." if status == "failed" else "",
        "error_hint": "",
        "started_at": None if status == "queued" else at,
        "finished_at": None if status == "queued" else at + dt.timedelta(seconds=latency),
        "steps": steps,
        "latency_s": latency,
        "switches": sum(a != b for a, b in itertools.pairwise(path)),
        "input_tokens": steps * 3_000,
        "output_tokens": steps * 90,
        "top_tier_output_tokens": path.count("1") * 90,
        "cost_usd": None if rng.random() < 0.3 else round(steps * rng.uniform(0.0001, 0.01), 6),
        "tier_path": path,
        "stall_path": "".join(rng.choices("10-", [70, 25, 5], k=steps)),
    }
