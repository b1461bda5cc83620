"""Health of one container, as exit status 0 or 1 and one line that says why.

    healthcheck.py web                 the web process answers
    healthcheck.py worker              some worker ran a canary task within the last minute
    healthcheck.py scheduler           the scheduler's process is alive
    healthcheck.py model URL MODEL     the model server gives a one-token completion

``model`` uses only the standard library, so that it also runs inside a model server's image; the
key is taken from VLLM_API_KEY.
"""

# a lone script; the addresses are the operator's own; Django is only loaded where it is needed
# ruff: noqa: INP001, S310, PLC0415

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

CANARY_MAX_AGE_S = 60.0
ROOT = Path(__file__).resolve().parent.parent


def web() -> str:
    """Ask /healthz with a host name that Django accepts."""
    host = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip(".")
    port = os.environ.get("PORT") or "8000"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/healthz",
        headers={"Host": host} if host not in ("", "*") else {},
    )
    with urllib.request.urlopen(request, timeout=4) as response:
        return f"/healthz answers {response.status}"


def worker() -> str:
    """Look at the canary that the scheduler sends round through the broker."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
    sys.path.insert(0, str(ROOT))
    # needs the product's environment, which the other checks must not need
    import django

    django.setup()
    from django.core.cache import cache

    from webapp.runs.tasks import CANARY

    seen = cache.get(CANARY)
    if seen is None:
        raise RuntimeError("no canary task was run: is the scheduler up, is Redis reachable?")
    age = time.time() - float(seen)
    if age > CANARY_MAX_AGE_S:
        raise RuntimeError(f"the last canary task was run {age:.0f} s ago")
    return f"a canary task was run {age:.0f} s ago"


def scheduler() -> str:
    """Find the process that `celery beat` names in its pid file."""
    # in the container /tmp belongs to it alone
    pid = int(Path(os.environ.get("BEAT_PIDFILE", "/tmp/beat.pid")).read_text())  # noqa: S108
    os.kill(pid, 0)
    return f"process {pid} is alive"


def model(base_url: str, name: str) -> str:
    """Ask for one token: a model server's own /health stays 200 when its engine is dead."""
    body = {"model": name, "max_tokens": 1, "messages": [{"role": "user", "content": "1"}]}
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("VLLM_API_KEY", ""):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(
        f"{base_url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        reply = json.load(response)
    if not reply.get("choices"):
        raise RuntimeError(f"{name} gave no completion")
    return f"{name} answers"


CHECKS: dict[str, Callable[..., str]] = {
    "web": web,
    "worker": worker,
    "scheduler": scheduler,
    "model": model,
}


def main(arguments: list[str]) -> int:
    """Run one check."""
    name, *rest = arguments or [""]
    if name not in CHECKS or len(rest) != (2 if name == "model" else 0):
        sys.stderr.write(__doc__ or "")
        return 2
    try:
        line = CHECKS[name](*rest)
    # the border of a probe: whatever went wrong, the answer is "not healthy" and the reason
    except Exception as error:  # noqa: BLE001
        sys.stdout.write(f"{name}: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"{name}: {line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
