"""The figures of the comparison, computed anew from exported logs.

A figure on the page agrees with an exact value if it is that value rounded to the digits shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tests.e2e.pages import finished_steps

Log = Sequence[dict[str, Any]]
Exact = float | str
_FIGURE = re.compile(r"^\$?([\d,]+(?:\.(\d+))?)\s?([kM]?)(?: s|×|%)?$")
_SCALE = {"": 1.0, "k": 1e3, "M": 1e6}


def expected_row(log: Log, baseline: Log) -> dict[str, Exact]:
    """Return the exact values of a row of the metrics table by the names of its columns."""
    steps = finished_steps(list(log))
    top = len(log[0]["ladder"]) - 1
    path = [step["tier"] for step in steps]
    used = [step["usage"] for step in steps]
    top_tokens = sum(s["usage"]["output_tokens"] for s in steps if s["tier"] == top)
    return {
        "Outcome": _outcome(log[-1]),
        "Steps": len(steps),
        "Latency": _latency(log),
        "Speed-up": _speedup(log, baseline),
        # Eq. 5: of the steps that have a predecessor, those on another tier than it
        "Switching": _percent(sum(a != b for a, b in pairwise(path)), len(path) - 1),
        "Top-tier steps": _percent(path.count(top), len(path)),
        "Top-tier tokens": _percent(top_tokens, sum(u["output_tokens"] for u in used)),
        "Tokens": sum(u["input_tokens"] + u["output_tokens"] for u in used),
        "Cost": sum(step["cost_usd"] for step in steps),
        "No progress": _count(steps, check="parsed", indicator=0),
        "Verdicts missing": _count(steps, check="missing") + _count(steps, check="malformed"),
    }


def agrees(shown: str, exact: Exact) -> bool:
    """Say whether the words on the page are this value, rounded to the digits they show."""
    if isinstance(exact, str):
        return shown == exact
    found = _FIGURE.match(shown)
    if not found:
        return False
    digits, decimals, suffix = found.groups()
    unit = _SCALE[suffix] * 10.0 ** -len(decimals or "")
    return abs(float(digits.replace(",", "")) * _SCALE[suffix] - exact) <= unit * 0.500_001


def _outcome(last: dict[str, Any]) -> str:
    if last["type"] != "run.finished":
        return {"run.failed": "Failed", "run.cancelled": "Stopped"}[last["type"]]
    words = {"correct": "Correct", "incorrect": "Incorrect", "unscored": "Not scored"}
    return words[last["outcome"]]


def _latency(log: Log) -> float:
    return sum(float(step["latency"]["total_s"]) for step in finished_steps(list(log)))


def _speedup(log: Log, baseline: Log) -> Exact:
    """An unsolved run has no speed-up."""
    solved = log[-1]["type"] == "run.finished" and log[-1]["outcome"] != "incorrect"
    return _latency(baseline) / _latency(log) if solved else "n/a"


def _percent(part: int, whole: int) -> Exact:
    return 100 * part / whole if whole > 0 else "n/a"


def _count(steps: list[dict[str, Any]], **wanted: object) -> int:
    return sum(all(step[key] == value for key, value in wanted.items()) for step in steps)
