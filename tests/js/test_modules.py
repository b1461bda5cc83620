"""Runs the page's pure modules in Chromium: the engine they are written for, and no other tool."""

from __future__ import annotations

import asyncio
import mimetypes
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Page, Route, sync_playwright

from collab_core import events as ev
from collab_core.budgets import BudgetSchedule
from tests.collab_core.agents.team import Round, Team, work
from tests.e2e.browser import launch
from tests.fixtures.make_run import log, recorded

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "http://modules.test"
FOLDERS = {"/static/": ROOT / "static", "/js/": ROOT / "tests" / "js"}
pytestmark = pytest.mark.e2e


def serve(route: Route) -> None:
    """Answer from the two folders; no server and no network is needed."""
    path = route.request.url.removeprefix(ORIGIN)
    for prefix, folder in FOLDERS.items():
        file = folder / path.removeprefix(prefix)
        if path.startswith(prefix) and file.is_file():
            kind = mimetypes.guess_type(file.name)[0] or "text/plain"
            return route.fulfill(body=file.read_bytes(), content_type=kind)
    if path == "/":
        return route.fulfill(body="<!doctype html><title>t</title>", content_type="text/html")
    return route.fulfill(status=404)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page()
        page.route("**/*", serve)
        page.goto(f"{ORIGIN}/")
        yield page
        browser.close()


def budgets() -> list[dict[str, Any]]:
    """Return the core's budgets over a grid of parameters."""
    found = []
    for schedule in ("linear", "sigmoid"):
        for growth in (0, 0.5, 1.25, 2, 20):
            for offset in (0, 1):
                for level in (1, 2, 3, 5, 40):
                    for base, most in ((2, 6), (1, 1), (3, 100)):
                        core = BudgetSchedule(
                            base=base, growth=growth, maximum=most, schedule=schedule,
                            midpoint=1.5, offset=offset,
                        )  # fmt: skip
                        parameters = {
                            "budget_base": base, "growth": growth, "budget_max": most,
                            "schedule": schedule, "sigmoid_midpoint": 1.5, "level_offset": offset,
                        }  # fmt: skip
                        found.append(
                            {"parameters": parameters, "level": level, "budget": core.budget(level)}
                        )
    return found


def data() -> dict[str, Any]:
    return {
        "log": [msgspec.json.decode(ev.encode(one)) for one in recorded(log(12))],
        "run": {
            "uuid": "u", "ref": "run-1", "status": "queued", "question": "Who?", "limits": {"max_steps": 40},
            "tiers": [{"name": "small", "model": "s"}, {"name": "large", "model": "l"}],
            "simulated": False, "outcome": "", "answer": "",
        },
        "budgets": budgets(),
        "team": [msgspec.json.decode(ev.encode(one)) for one in team_log()],
    }  # fmt: skip


def team_log() -> list[ev.Recorded]:
    """Return the log of a planner that sets two seekers to work, then a writer."""
    plan = [Round([(1, 0), (1,)]), Round([])]
    # the browser's loop is running in this thread already
    with ThreadPoolExecutor(1) as thread:
        team = Team(plan, random.Random(1))
        _, journal = thread.submit(lambda: asyncio.run(work(team))).result()
    opening = log(0)[0]
    events = [opening, *(record.event for record in journal.records)]
    return [ev.Recorded(seq=seq, at=1.0 * seq, event=event) for seq, event in enumerate(events)]


@pytest.mark.parametrize(
    "file", ["model.test.js", "figures.test.js", "instances.test.js", "experiment.test.js"]
)
def test_the_modules_do_what_they_say(page: Page, file: str) -> None:
    page.goto(f"{ORIGIN}/")
    result = page.evaluate(
        """async ([file, data]) => {
            const { run } = await import("/js/harness.js");
            await import("/js/" + file);
            return run(data);
        }""",
        [file, data()],
    )
    assert result["failures"] == []
    assert result["ran"] >= 12


def test_no_module_turns_text_into_markup() -> None:
    banned = (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "scattergl",
    )
    for file in (ROOT / "static" / "ui" / "js").glob("*.js"):
        text = file.read_text(encoding="utf-8").replace('swap: "innerHTML"', "")
        assert [word for word in banned if word in text] == [], file.name


def test_no_template_holds_script_or_style() -> None:
    for file in (ROOT / "templates").rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        assert " style=" not in text, file
        assert "<style" not in text, file
        assert " onclick" not in text, file
        assert "<script>" not in text, file
        assert "|safe" not in text, file
        assert "https://" not in text, file
