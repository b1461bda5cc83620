"""The page of a run in headless Chromium: opening long runs, and a step's way to the screen.

Opening: from the start of the navigation to the frame with the chart and with the first step card,
files from the browser's cache, best and median of several loads. Live: 64 runs stream at 20 tokens a
second from a stub in the process that also serves the page (as embedded mode does); the delay is from
the ``at`` of ``step.finished`` (just before its commit) to the frame that shows the finished card,
and to the chart with that step.

    python -m benchmarks.browser
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks import stage
from benchmarks.engine import stub
from benchmarks.report import write_result

TARGETS_S = {1_000: 0.9, 5_000: 1.2}
LIVE_RUNS = 64
LIVE_TARGET_MS = 200.0
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--enable-precise-memory-info",
]
OBSERVER = (Path(__file__).parent / "observer.js").read_text()


# --- the server (a process of its own) ----------------------------------------------------------
def server(folder: str, kind: str, url: str, steps: Sequence[int]) -> None:
    """Serve stored long runs, or 64 live ones; ends when its standard input does."""
    stage.set_up(Path(folder))
    import uvicorn

    from webapp.asgi import application

    made = stage.make_stage(base_url=url)
    runs = _stored(made, steps) if kind == "open" else _submitted(made, steps[0])
    listener = stage.listen()
    told = {"port": listener.getsockname()[1], "runs": [str(run.uuid) for run in runs]}
    print(json.dumps(told | {"cookie": made.session()}), flush=True)
    config = uvicorn.Config(
        application, lifespan="off", log_level="warning", ws_per_message_deflate=False
    )
    uvicorn_server = uvicorn.Server(config)

    def obey() -> None:
        for line in sys.stdin:
            if line == "go\n":
                print(json.dumps(_finished_at(runs)), flush=True)
        uvicorn_server.should_exit = True

    threading.Thread(target=obey, daemon=True).start()
    uvicorn_server.run(sockets=[listener])


def _stored(made: stage.Stage, steps: Sequence[int]) -> list[Any]:
    return [stage.store_long_run(made, count) for count in steps]


def _submitted(made: stage.Stage, steps: int) -> list[Any]:
    limits = {"max_steps": steps, "max_tokens": None, "max_wall_s": None}
    return [made.submit(number, limits=limits) for number in range(LIVE_RUNS)]


def _finished_at(runs: Sequence[Any]) -> dict[int, float]:
    """Do the runs with the product's worker; return when each step of the first one finished."""
    from collab_core.tools.base import Tool
    from webapp.runs.leases import Claim
    from webapp.runs.models import RunEvent
    from webapp.runs.worker import Worker

    tools: Sequence[Tool] = stage.lookups()

    class BenchWorker(Worker):
        async def _tools(self, claim: Claim) -> Sequence[Tool]:
            return tools

    worker = BenchWorker()
    worker.start()
    for future in [worker.submit(run.pk) for run in runs]:
        future.result(timeout=180)
    worker.stop()
    rows = RunEvent.objects.filter(run=runs[0], type="step.finished")
    return dict(rows.values_list("step", "at"))


@contextlib.contextmanager
def served(kind: str, url: str, *steps: int) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    with stage.folder() as folder:
        child = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.browser", "--child", str(folder), kind, url),
                *map(str, steps),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert child.stdout is not None
            yield child, json.loads(child.stdout.readline())
        finally:
            assert child.stdin is not None
            child.stdin.close()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()


# --- the browser --------------------------------------------------------------------------------
@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def signed_in(browser: Browser, told: Any) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    name, value = told["cookie"].split("=", 1)
    context.add_cookies([{"name": name, "value": value, "domain": "127.0.0.1", "path": "/"}])
    context.add_init_script(OBSERVER)
    context.set_default_timeout(60_000)
    return context


def opened(page: Page, address: str) -> dict[str, float]:
    """Load the page; return seconds from the start of the navigation."""
    page.goto(address, wait_until="commit")
    page.wait_for_function("() => window.bench?.chart > 0 && window.bench?.first > 0")
    script = "() => [bench.chart - performance.timeOrigin, bench.first - performance.timeOrigin]"
    chart, card = page.evaluate(script)
    return {"chart": chart / 1e3, "card": card / 1e3, "both": max(chart, card) / 1e3}


def opening(browser: Browser, loads: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    with served("open", "http://127.0.0.1:1/v1", *TARGETS_S) as (_, told):
        for (steps, target), uuid in zip(TARGETS_S.items(), told["runs"], strict=True):
            context = signed_in(browser, told)
            page = context.new_page()
            address = f"http://127.0.0.1:{told['port']}/runs/{uuid}/"
            first = opened(page, address)
            warm = [opened(page, address) for _ in range(loads)]
            figures = {
                f"{part}, {word}, s": round(pick(load[part] for load in warm), 3)
                for part in ("chart", "card", "both")
                for word, pick in (("best", min), ("median", statistics.median))
            }
            figures |= {"cold, s": round(first["both"], 3), "target, s": target} | weight(page)
            result[f"{steps} steps"] = figures
            print(f"{steps} steps: {figures}", flush=True)
            context.close()
    return result


def weight(page: Page) -> dict[str, float]:
    """Return the page's DOM nodes and JavaScript heap, after it has settled and been collected."""
    page.wait_for_timeout(500)
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    nodes = page.evaluate("() => document.querySelectorAll('*').length")
    heap = page.evaluate("() => performance.memory.usedJSHeapSize")
    return {"DOM nodes": nodes, "JS heap, MB": round(heap / 1e6, 1)}


def live(browser: Browser, steps: int) -> dict[str, Any]:
    with stub(rate=20.0) as url, served("live", url, steps) as (child, told):
        context = signed_in(browser, told)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{told['port']}/runs/{told['runs'][0]}/")
        page.wait_for_selector('#run[data-state="live"]')
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        begin = time.monotonic()
        page.wait_for_selector('#run[data-state="ended"]', timeout=180_000)
        took = time.monotonic() - begin
        page.wait_for_timeout(500)
        seen = page.evaluate("() => window.bench")
        assert child.stdout is not None
        finished = {int(step): at for step, at in json.loads(child.stdout.readline()).items()}
        context.close()
    cards = {int(step): at for step, at in seen["steps"].items()}
    assert set(cards) == set(finished), "not every finished step was shown"
    waits = [cards[step] - at * 1e3 for step, at in finished.items()]
    charts = [points_at(seen["points"], step, steps) - at * 1e3 for step, at in finished.items()]
    result = {
        "card, ms": stage.spread(waits, 1),
        "chart, ms": stage.spread(charts, 1),
        "target p95, ms": LIVE_TARGET_MS,
        "seconds a step": round(took / steps, 2),
    }
    print(f"{LIVE_RUNS} live runs, finished step to screen: {result}", flush=True)
    return result


def points_at(points: dict[str, float], step: int, steps: int) -> float:
    """Return when the chart first had this step; a step has the same number of points as any other."""
    most = max(map(int, points))
    return min(at for number, at in points.items() if int(number) * steps >= most * step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=7)
    parser.add_argument("--steps", type=int, default=25, help="of each live run")
    parser.add_argument("--only", choices=("open", "live"))
    parser.add_argument("--child", nargs="*")
    options = parser.parse_args()
    if options.child:
        folder, kind, url, *steps = options.child
        server(folder, kind, url, [int(count) for count in steps])
        return
    result: dict[str, Any] = {"load": os.getloadavg()[0]}
    with chromium() as browser:
        if options.only != "live":
            result |= opening(browser, options.loads)
        if options.only != "open":
            result[f"{LIVE_RUNS} live runs"] = live(browser, options.steps)
    result["load after"] = os.getloadavg()[0]
    write_result("browser", result)


if __name__ == "__main__":
    main()
