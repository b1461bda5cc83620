"""What a person does and reads on the pages, for the tests to say in one line."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

ENDED = "section[aria-label=Answer], section[aria-label=Failure], section[aria-label=Stopped]"
_WATCH_ORDER = """
window.__order = { faults: [], seen: new Set() };
document.addEventListener("DOMContentLoaded", () => {
  const list = document.getElementById("trajectory");
  if (!list) return;
  new MutationObserver(() => {
    const shown = [...list.querySelectorAll("li[data-step]")].map((one) => Number(one.dataset.step));
    for (const step of shown) window.__order.seen.add(step);
    const signs = new Set(shown.slice(1).map((step, i) => Math.sign(step - shown[i])));
    if (signs.size > 1 || signs.has(0)) window.__order.faults.push(shown.join(" "));
  }).observe(list, { childList: true });
});
"""


def sign_in(page: Page, name: str, password: str) -> None:
    page.goto("/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.locator("main button[type=submit], main button").first.click()
    page.wait_for_url(lambda url: "/login/" not in url)


def log_of(page: Page, path: str | None = None) -> list[dict[str, Any]]:
    """Return the stored log of a run (of the page's own, if not told otherwise)."""
    response = page.request.get(f"{path or run_path(page)}export.jsonl")
    assert response.ok
    return [json.loads(line) for line in response.text().splitlines()]


def run_path(page: Page) -> str:
    found = re.search(r"/runs/[0-9a-f-]{36}/", page.url)
    assert found, page.url
    return found.group()


def finished_steps(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in log if event["type"] == "step.finished"]


class RunPage:
    """The live page of a run. Its order of steps is checked at every change of the list."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.add_init_script(_WATCH_ORDER)

    def open(self, path: str) -> RunPage:
        self.page.goto(path)
        expect(self.page.locator("#kpi-steps")).not_to_have_text("–")
        return self

    def wait_until_ended(self) -> RunPage:
        self.page.wait_for_selector(ENDED)
        return self

    def wait_for_steps(self, least: int) -> None:
        self.page.wait_for_function(
            "least => Number(document.getElementById('kpi-steps').textContent) >= least", arg=least
        )

    def cards(self) -> list[int]:
        """Return the steps whose cards are in the page, in the order shown."""
        found = self.page.locator("#trajectory li[data-step]")
        steps: list[int] = found.evaluate_all("all => all.map((one) => Number(one.dataset.step))")
        return steps

    def card(self, step: int) -> Locator:
        return self.page.locator(f"#step-{step}")

    def grow(self) -> None:
        """Make the window so high that every card of a short run is in view."""
        self.page.set_viewport_size({"width": 1440, "height": 12_000})

    def table(self) -> list[list[str]]:
        """Return the rows of the table that stands for the chart, of all its pages."""
        self.page.locator("#charts").get_by_role("button", name="Table").click()
        rows: list[list[str]] = []
        while True:
            rows += self.page.locator("#chart-table tbody tr").evaluate_all(
                "all => all.map((row) => [...row.cells].map((cell) => cell.textContent.trim()))"
            )
            onward = self.page.locator("#chart-table").get_by_role("button", name="Next")
            if not onward.count() or onward.is_disabled():
                return rows
            onward.click()

    def order_faults(self) -> list[str]:
        """Return each state of the list in which a step was doubled or out of place."""
        faults: list[str] = self.page.evaluate("window.__order.faults")
        return faults


class NewRunPage:
    """The form of a new run."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.goto("/runs/new/")

    def ask(self, question: str, *, ladder: str = "", seed: int = 7) -> NewRunPage:
        self.page.get_by_role("textbox", name="Question").fill(question)
        return self.settle(ladder=ladder, seed=seed)

    def settle(self, *, ladder: str = "", seed: int = 7) -> NewRunPage:
        if ladder:
            self.page.get_by_label("Ladder", exact=True).select_option(ladder)
        self.page.get_by_label("Seed", exact=True).fill(str(seed))
        return self

    def pick(self, words: str, place: int = 0) -> NewRunPage:
        """Choose a sample task by searching for it."""
        self.page.get_by_role("button", name="Pick a sample task").click()
        self.page.get_by_label("Search words").fill(words)
        found = self.page.locator("#tasks-list button")
        expect(found.first).to_contain_text(words)
        found.nth(place).click()
        return self

    def choose(self, *strategies: str) -> NewRunPage:
        """Tick exactly these; families that are folded are unfolded first."""
        families = self.page.locator("[data-family]")
        families.evaluate_all("all => all.forEach((one) => { one.open = true; })")
        for box in self.page.locator("[data-strategy]").all():
            box.set_checked(box.input_value() in strategies)
        return self

    def submit(self) -> RunPage:
        """Submit and return the page of the run."""
        shown = RunPage(self.page)
        self.page.locator("#submit").click()
        self.page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}/"))
        return shown
