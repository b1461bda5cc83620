"""Where benchmark figures go: one JSON file a benchmark, with the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the figures depend on: never more than its kind."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Store the figures under ``benchmarks/results/<name>.json`` and return the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    stamp = time.strftime("%Y-%m-%d", time.gmtime())
    body = {"benchmark": name, "date": stamp, "machine": machine(), "figures": figures}
    path.write_text(json.dumps(body, indent=2, default=str) + "\n")
    return path
