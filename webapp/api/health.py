"""Is the process there (``/healthz``), and can it do its work (``/readyz``)."""

from __future__ import annotations

import time

from django.contrib.auth.decorators import login_not_required
from django.core.cache import cache
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from redis.exceptions import RedisError

from webapp.runs.tasks import CANARY

CANARY_AGE_S = 45.0


@login_not_required
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@login_not_required
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Database, broker and a worker that really consumes; 503 with the causes otherwise."""
    problems = {name: cause for name, cause in (_database(), _worker()) if cause}
    response = JsonResponse(
        {"status": "degraded" if problems else "ok", "problems": problems},
        status=503 if problems else 200,
    )
    # probes ask every few seconds: the answer says it, the log need not
    response._has_been_logged = True  # type: ignore[attr-defined] # noqa: SLF001
    return response


def _database() -> tuple[str, str]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "database", "The database does not answer."
    return "database", ""


def _worker() -> tuple[str, str]:
    try:
        seen = cache.get(CANARY)
    except (RedisError, OSError):
        return "broker", "Redis does not answer."
    if seen is None:
        return "worker", "No worker has run a task lately: start one (and a scheduler)."
    age_s = time.time() - seen
    if age_s > CANARY_AGE_S:
        return "worker", f"No worker has run a task for {age_s:.0f} s."
    return "worker", ""
