"""20 scripted reviewers give 5,000 labels over REST at once; their logs are compared with the server.

Every reviewer takes items, labels them, changes, undoes and skips some, sends one save in five twice and
hangs up in the middle of one in ten, then sends it again. At the end each acknowledged label must be
stored exactly once, with nothing else, and no item may have more labels than the label set asks for.

    python -m benchmarks.reviewers
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx

from benchmarks.report import write_result
from tests.e2e.product import Product

ANSWERS = {"yes": True, "no": False, "unsure": None}
Key = tuple[str, str, int]
"""Reviewer, run, step."""


@dataclass
class Reviewer:
    """One person at work; ``log`` is what the server has acknowledged, the latest state."""

    name: str
    client: httpx.Client
    queue: str
    rng: random.Random
    log: dict[int, str] = field(default_factory=dict)
    waits_ms: list[float] = field(default_factory=list)
    refused: int = 0
    skipped: int = 0

    def work(self) -> None:
        idle = 0
        while idle < 5:
            items = self.post("next", {}, params={"want": self.rng.choice((1, 2, 3))}).json()
            idle = 0 if items["items"] else idle + 1
            if idle:
                time.sleep(0.2)
            for item in items["items"]:
                self.label(item["position"])

    def label(self, position: int) -> None:
        if self.rng.random() < 0.02 and position not in self.log:
            self.post(f"items/{position}/skip", {})
            self.skipped += 1
            return
        if not self.save(position):
            return
        chance = self.rng.random()
        if chance < 0.1:
            self.save(position)
        elif chance < 0.13:
            self.post(f"items/{position}/undo", {})
            self.log.pop(position)

    def save(self, position: int) -> bool:
        answer, key = self.rng.choice(list(ANSWERS)), f"{self.name}-{self.rng.getrandbits(64)}"
        path, body = f"items/{position}/label", {"answer": answer, "seconds": 5.0}
        headers = {"Idempotency-Key": key}
        if self.rng.random() < 0.1:
            self.hang_up(path, body, headers)
        begin = time.perf_counter()
        response = self.post(path, body, headers=headers)
        self.waits_ms.append(1000 * (time.perf_counter() - begin))
        if response.status_code == 409:
            self.refused += 1
            return False
        response.raise_for_status()
        self.log[position] = answer
        if self.rng.random() < 0.2:
            assert self.post(path, body, headers=headers).json()["repeated"] is True
        return True

    def hang_up(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        """Send a save and do not wait for its answer."""
        try:
            self.post(path, body, headers=headers, timeout=0.005)
        except httpx.TimeoutException:
            return

    def post(self, path: str, body: dict[str, Any], **options: Any) -> httpx.Response:
        return self.client.post(f"/api/v1/queues/{self.queue}/{path}", json=body, **options)


def compare(
    reviewers: list[Reviewer], rows: list[dict[str, Any]], where: dict[int, tuple[str, int]]
) -> list[str]:
    """Return every difference between what was acknowledged and what is stored."""
    stored: dict[Key, Any] = {}
    for row in rows:  # revisions come in order: the last one counts
        stored[row["reviewer"], row["run_id"], row["step"]] = row["made_progress"]
    told: dict[Key, Any] = {
        (one.name, *where[position]): ANSWERS[answer]
        for one in reviewers
        for position, answer in one.log.items()
    }
    faults = [f"lost: {key}" for key in told.keys() - stored.keys()]
    faults += [f"not acknowledged: {key}" for key in stored.keys() - told.keys()]
    faults += [f"differs: {key}" for key in told.keys() & stored.keys() if told[key] != stored[key]]
    return faults


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 if log and database agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reviewers", description=__doc__)
    parser.add_argument("--reviewers", type=int, default=20)
    parser.add_argument("--labels", type=int, default=5_000)
    options = parser.parse_args(arguments)
    product = Product()
    product.start(ready="Tandem is ready")
    try:
        wanted = {"reviewers": options.reviewers, "steps": options.labels // 2, "overlap": 2}
        ground = json.loads(product.run_python("tests.e2e.reviewers", json.dumps(wanted)))
        result = _run(product.url, ground)
    finally:
        product.stop()
        log = product.log.read_text()
        product.remove()
        if "Traceback" in log:
            sys.stderr.write(log[-6_000:])
    result["tracebacks"] = log.count("Traceback")
    write_result("reviewers", result)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return 1 if result["differences"] or result["tracebacks"] or result["items_over"] else 0


def _run(url: str, ground: dict[str, Any]) -> dict[str, Any]:
    reviewers = [
        Reviewer(name, _client(url, token), ground["queue"], random.Random(number))
        for number, (name, token) in enumerate(ground["tokens"].items())
    ]
    begin = time.perf_counter()
    with ThreadPoolExecutor(len(reviewers)) as pool:
        list(pool.map(Reviewer.work, reviewers))
    took_s = time.perf_counter() - begin
    owner = _client(url, ground["owner"])
    lines = owner.get(f"/api/v1/label-sets/{ground['set']}/files/labels.jsonl").text.splitlines()
    rows = [json.loads(line) for line in lines]
    where = {int(place): tuple(step) for place, step in ground["places"].items()}
    faults = compare(reviewers, rows, where)
    standing = {(row["reviewer"], row["run_id"], row["step"]) for row in rows}
    per_item = Counter(key[1:] for key in standing)
    waits = sorted(wait for one in reviewers for wait in one.waits_ms)
    return {
        "reviewers": len(reviewers),
        "labels": len(standing),
        "revisions": len(rows),
        "items": len(per_item),
        "items_over": sum(count > 2 for count in per_item.values()),
        "refused": sum(one.refused for one in reviewers),
        "skipped": sum(one.skipped for one in reviewers),
        "differences": faults[:20],
        "seconds": round(took_s, 1),
        "labels_per_s": round(len(waits) / took_s, 1),
        "save_ms_median": round(waits[len(waits) // 2], 1),
        "save_ms_p99": round(waits[int(len(waits) * 0.99)], 1),
    }


def _client(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


if __name__ == "__main__":
    sys.exit(main())
