"""The stage of the web benchmarks: Django on a database of its own, people, and stored runs.

``set_up`` must come before anything of ``webapp`` is imported: it decides the settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.engine import Lookup

if TYPE_CHECKING:
    from webapp.runs.models import Run
    from webapp.teams.models import User, Workspace
    from webapp.tiers.models import Ladder

BACKEND = "django.contrib.auth.backends.ModelBackend"


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a temporary folder that is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="tandem-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL of its own (without fsync); yield the URL of an empty database."""
    from tests.services import PostgresServer

    server = PostgresServer()
    try:
        server.start()
        yield server.new_database()
    finally:
        server.remove()


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Start a Redis of its own; yield its URL."""
    from tests.services import RedisServer

    server = RedisServer()
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def listen() -> socket.socket:
    """Return a listening socket on a free port of the loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1_024)
    return listener


def environment(data_dir: Path, *, database_url: str = "", redis_url: str = "") -> dict[str, str]:
    """Return the environment of a process on this stage."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "webapp.settings",
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": "only-for-benchmarks",
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "TANDEM_HTTPS": "0",
        "TANDEM_STATIC_HASHED": "0",
        "TANDEM_MAX_ACTIVE_RUNS": "1000000",
    }


def set_up(data_dir: Path, *, database_url: str = "", redis_url: str = "") -> None:
    """Set Django up in this process and make the tables."""
    os.environ.update(environment(data_dir, database_url=database_url, redis_url=redis_url))
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)


@dataclass
class Stage:
    workspace: Workspace
    user: User
    ladder: Ladder

    def session(self) -> str:
        """Return the cookie of a signed-in browser."""
        from django.conf import settings
        from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
        from django.contrib.sessions.backends.db import SessionStore

        store = SessionStore()
        store[SESSION_KEY] = str(self.user.pk)
        store[BACKEND_SESSION_KEY] = BACKEND
        store[HASH_SESSION_KEY] = self.user.get_session_auth_hash()
        store.save()
        return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"

    def submit(self, number: int, **changes: Any) -> Run:
        """Store a queued run without waking a worker up."""
        from django.db import transaction

        from webapp.runs import services

        fields: dict[str, Any] = {
            "question": f"Which river port lies east of Halden? ({number})",
            "strategies": [("agentcollab", {})],
            "ladder": self.ladder,
            "seed": number,
        }
        with transaction.atomic():
            run = services.submit(
                self.workspace, self.user, services.Submission(**(fields | changes))
            )[0]
            # the benchmark is the worker: the wake-up call must not go out
            transaction.get_connection().run_on_commit.clear()
        return run


def make_stage(name: str = "bench", *, base_url: str = "http://127.0.0.1:1/v1") -> Stage:
    """Store a workspace, its owner and a ladder of two tiers."""
    from webapp.teams.models import Membership, Role, User, Workspace
    from webapp.tiers.models import Endpoint, Ladder, Rung

    workspace = Workspace.objects.create(name=name)
    user = User.objects.create_user(f"{name}-owner")
    Membership.objects.create(workspace=workspace, user=user, role=Role.OWNER)
    ladder = Ladder.objects.create(workspace=workspace, name=f"{name}-ladder")
    for position, tier in enumerate(("small", "large")):
        endpoint = Endpoint.objects.create(
            workspace=workspace,
            name=f"{name}-{tier}",
            base_url=base_url,
            model=tier,
            context_tokens=10**7,
            max_concurrency=128,
            price_input_usd=0.1 * (1 + 9 * position),
            price_output_usd=0.3 * (1 + 9 * position),
        )
        Rung.objects.create(ladder=ladder, endpoint=endpoint, position=position, tier_name=tier)
    return Stage(workspace, user, ladder)


def store_long_run(stage: Stage, steps: int) -> Run:
    """Store a finished run of ``steps`` steps with 2 kB observations, written by the real engine."""
    from webapp.runs import fold
    from webapp.runs.journal import event_row
    from webapp.runs.models import Run, RunEvent

    run = stage.submit(steps, limits={"max_steps": steps, "max_tokens": None, "max_wall_s": None})
    records = asyncio.run(_played(run, steps))
    rows = [event_row(run.pk, record.seq, record.at, record.event) for record in records[1:]]
    columns = ("run_id", "seq", "at", "type", "step", "body")
    RunEvent.objects.bulk_create(
        [RunEvent(**dict(zip(columns, row, strict=True))) for row in rows], batch_size=500
    )
    Run.objects.filter(pk=run.pk).update(next_seq=len(records), **fold.fold(records).columns())
    return Run.objects.get(pk=run.pk)


def lookups() -> Sequence[Lookup]:
    """Return tools that answer 2 kB at once."""
    return [Lookup(name) for name in ("search", "read", "calculator")]


async def _played(run: Run, steps: int) -> Sequence[Any]:
    from collab_core.backends.scripted import ScriptedBackend
    from collab_core.runtime.engine import execute
    from collab_core.runtime.journal import MemoryJournal
    from webapp.runs import leases, specs

    spec = await asyncio.to_thread(specs.run_spec, run)
    history = await asyncio.to_thread(leases.read_history, run.pk)
    journal: Any = MemoryJournal(history)
    tools = lookups()
    backend = ScriptedBackend(_reply(number) for number in range(1, 3 * steps))
    end = await execute(spec, journal, backend=backend, tools=tools)
    assert end.totals.steps == steps, end  # type: ignore[union-attr]
    records: list[Any] = journal.records
    return records


def _reply(number: int) -> Any:
    """Every seventh step stalls, so that the ladder is climbed again and again."""
    from collab_core.backends.base import ModelReply
    from collab_core.domain import Timing, ToolCall, Usage

    verdict = f"<indicator>{int(number % 7 > 1)}</indicator>"
    thought = "The port must lie on the east bank, so I look for the towns along it. " * 4
    return ModelReply(
        text=f"{thought}<progress><rationale>Step {number}.</rationale>{verdict}</progress>",
        tool_calls=(
            ToolCall(id=f"c{number}", name="search", arguments=f'{{"query": "port {number}"}}'),
        ),
        finish_reason="tool_calls",
        usage=Usage(input_tokens=1_200 + number, output_tokens=90, cached_tokens=1_152),
        timing=Timing(
            first_token_s=0.25, decode_s=0.75 + number % 5 / 10, total_s=1 + number % 5 / 10
        ),
    )


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Return p50, p95, p99 and the largest."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], digits)

    return {
        "p50": round(statistics.median(ordered), digits),
        "p95": at(0.95),
        "p99": at(0.99),
        "max": round(ordered[-1], digits),
        "n": len(ordered),
    }
