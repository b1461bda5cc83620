"""A second opinion on a table: plain Python over raw logs, without numpy and without our code.

It reads the lines of exported logs (JSONL) as dictionaries and adds up the effects themselves (model
calls, tools, steps) where the product goes by a run's own totals.

    python tests/collab_core/experiments/independent.py FOLDER --baseline large

prints one line an arm: logs in sub-folders belong to the arm of their folder's name, others to that of
their strategy's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Log = list[dict[str, Any]]
Run = dict[str, Any]
TERMINAL = {"run.finished": "finished", "run.failed": "failed", "run.cancelled": "cancelled"}


def read(lines: Iterable[str | bytes]) -> Log:
    return [json.loads(line) for line in lines if line.strip()]


def added_up(log: Log) -> Run:
    """Return what one run's effects add up to; what only its last event knows comes from there."""
    end = next(event for event in log if event["type"] in TERMINAL)
    calls = [event for event in log if event["type"] == "model.replied"]
    steps = [event for event in log if event["type"] == "step.finished"]
    top = len(end["totals"]["steps_by_tier"]) - 1
    last: dict[str, int] = {}
    switches = ups = moves = 0
    for step in steps:
        if step["scope"] in last:
            before = last[step["scope"]]
            moves += 1
            switches += before != step["tier"]
            ups += before < step["tier"]
        last[step["scope"]] = step["tier"]
    told = [c["usage"]["cached_tokens"] for c in calls if c["usage"]["cached_tokens"] is not None]
    costs = [call["cost_usd"] for call in calls]
    slowest = max([step["cumulative_s"] for step in steps], default=0.0)
    return {
        "status": TERMINAL[end["type"]],
        "outcome": end.get("outcome", "unscored"),
        "steps": len(steps),
        "large_steps": len([step for step in steps if step["tier"] == top]),
        "switches": switches,
        "escalations": ups,
        "moves": moves,
        "latency_s": slowest + end["totals"]["unfinished_s"],
        "input_tokens": sum(call["usage"]["input_tokens"] for call in calls),
        "cached_tokens": sum(told) if told else None,
        "output_tokens": sum(call["usage"]["output_tokens"] for call in calls),
        "large_output_tokens": sum(
            call["usage"]["output_tokens"] for call in calls if call["tier"] == top
        ),
        "cost_usd": None if None in costs else sum(costs),
        "model_calls": len(calls),
        "checks": len([step for step in steps if step["indicator"] is not None]),
        "stalls": len([step for step in steps if step["indicator"] == 0]),
        "drafts_discarded": len([event for event in log if event["type"] == "draft.discarded"]),
    }


def read_folder(folder: Path) -> dict[tuple[str, str, int], Run]:
    """Return the added up runs of a folder of logs, by (arm, task, seed of the run)."""
    runs = {}
    for path in sorted(folder.rglob("*.jsonl")):
        log = read(path.read_bytes().splitlines())
        queued = next(event for event in log if event["type"] == "run.queued")
        arm = queued["strategy"] if path.parent == folder else path.parent.name
        task = queued["task"]["task_id"] or queued["task"]["question"]
        runs[arm, task, queued["seed"]] = added_up(log)
    return runs


def ratio(above: float, below: float) -> float | None:
    return above / below if below else None


def figures(
    runs: Mapping[tuple[str, str, int], Run], *, baseline: str
) -> dict[str, dict[str, float | None]]:
    """Return the figures of each arm; ``runs`` is by (arm, task, seed)."""
    arms = dict.fromkeys(arm for arm, _, _ in runs)
    return {arm: _row(runs, arm, baseline) for arm in arms}


def _row(
    runs: Mapping[tuple[str, str, int], Run], arm: str, baseline: str
) -> dict[str, float | None]:
    own = {(t, s): run for (a, t, s), run in runs.items() if a == arm}
    done = {cell: run for cell, run in own.items() if run["status"] == "finished"}

    def total(name: str) -> float:
        return sum(run[name] for run in done.values())

    scored = [run["outcome"] for run in done.values() if run["outcome"] != "unscored"]
    failed = len([run for run in own.values() if run["status"] == "failed"])
    correct = scored.count("correct")
    told = [run for run in done.values() if run["cached_tokens"] is not None]
    priced = all(run["cost_usd"] is not None for run in done.values())
    other_s = own_s = 0.0
    for (task, seed), run in done.items():
        other = runs.get((baseline, task, seed))
        if other is not None and other["status"] == "finished":
            other_s += other["latency_s"]
            own_s += run["latency_s"]
    n = len(done)
    switching = ratio(total("switches"), total("moves"))
    return {
        "accuracy": ratio(correct, len(scored)),
        "accuracy_all": ratio(correct, len(scored) + failed),
        "steps": ratio(total("steps"), n),
        "latency_s": ratio(total("latency_s"), n),
        "speedup": ratio(other_s, own_s),
        "switching_ratio": None if switching is None else 100 * switching,
        "large_step_share": ratio(total("large_steps"), total("steps")),
        "large_token_ratio": ratio(total("large_output_tokens"), total("output_tokens")),
        "input_tokens": ratio(total("input_tokens"), n),
        "output_tokens": ratio(total("output_tokens"), n),
        "cached_share": ratio(
            sum(run["cached_tokens"] for run in told), sum(run["input_tokens"] for run in told)
        ),
        "cost_usd": ratio(total("cost_usd"), n) if priced else None,
        "stall_share": ratio(total("stalls"), total("checks")),
        "model_calls": ratio(total("model_calls"), n),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--baseline", default="large")
    options = parser.parse_args()
    runs = read_folder(options.folder)
    for arm, row in figures(runs, baseline=options.baseline).items():
        print(json.dumps({"arm": arm} | row))


if __name__ == "__main__":
    main()
