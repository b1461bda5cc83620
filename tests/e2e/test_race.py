"""Four strategies on one task, side by side; the figures are those of the logs."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Enter, Visitors
from tests.e2e.figures import agrees, expected_row
from tests.e2e.pages import NewRunPage, log_of

STRATEGIES = ("agentcollab", "agentcollab-static", "small", "large")


def _uuids(page: Page) -> list[str]:
    return re.findall(r"[0-9a-f-]{36}", page.url.split("baseline")[0])


def _wait_until_all_ended(page: Page, runs: int) -> None:
    expect(page.locator("#metrics tbody tr")).to_have_count(runs)
    expect(page.locator("#metrics")).not_to_contain_text(re.compile("Loading|Queued|Running"))


def _metrics(page: Page) -> list[dict[str, str]]:
    """Read the table: one dict a run, by the head of the column."""
    read: list[dict[str, str]] = page.locator("#metrics table").evaluate(
        """table => {
          const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
          return [...table.tBodies[0].rows].map((row) => Object.fromEntries(
            [...row.cells].map((cell, i) => {
              cell.querySelectorAll(".muted").forEach((extra) => i && extra.remove());
              return [names[i], cell.textContent.trim()];
            })));
        }"""
    )
    return read


@pytest.fixture(scope="module")
def race(visitors: Visitors) -> str:
    """Submit a race, watch it end on the page it opens, and return its address."""
    context = visitors.context("bob")
    page = context.new_page()
    NewRunPage(page).pick("medium", place=1).settle(ladder="slow").choose(*STRATEGIES)
    expect(page.locator("#submit-words")).to_have_text("Start 4 runs")
    page.locator("#submit").click()
    page.wait_for_url(re.compile("/compare/"))
    expect(page.locator("#metrics")).to_contain_text("Running")
    _wait_until_all_ended(page, len(STRATEGIES))
    address = page.url
    context.close()
    return address


@pytest.mark.parametrize("baseline", [0, 3])
def test_the_metrics_are_those_of_the_logs(enter: Enter, race: str, baseline: int) -> None:
    page = enter("bob", race)
    _wait_until_all_ended(page, len(STRATEGIES))
    page.locator("#baseline-button").click()
    page.locator(".menu-list a").filter(has=page.locator(f".badge-{'abcd'[baseline]}")).click()
    _wait_until_all_ended(page, len(STRATEGIES))
    logs = [log_of(page, f"/runs/{uuid}/") for uuid in _uuids(page)]
    assert [log[0]["strategy"] for log in logs] == list(STRATEGIES)
    for row, log in zip(_metrics(page), logs, strict=True):
        exact = expected_row(log, logs[baseline])
        wrong = {k: (row.get(k), v) for k, v in exact.items() if not agrees(row.get(k, ""), v)}
        assert wrong == {}


def test_a_run_can_be_taken_out_and_put_back(enter: Enter, race: str) -> None:
    page = enter("bob", race)
    page.get_by_role("link", name="Remove run B").click()
    expect(page.locator("#metrics tbody tr")).to_have_count(3)
    page.get_by_role("button", name="Add run").click()
    page.locator("#add-dialog a").first.click()
    expect(page.locator("#metrics tbody tr")).to_have_count(4)


def test_steps_stand_next_to_each_other(enter: Enter, race: str) -> None:
    page = enter("bob", race)
    _wait_until_all_ended(page, len(STRATEGIES))
    logs = [log_of(page, f"/runs/{uuid}/") for uuid in _uuids(page)]
    page.locator("section", has=page.locator("#overlay")).get_by_role(
        "button", name="Table"
    ).click()
    rows = page.locator("#overlay-table tbody tr").evaluate_all(
        "all => all.map((row) => [...row.cells].slice(1).map((cell) => cell.textContent))"
    )
    for index, log in enumerate(logs):
        ends = [f"{e['cumulative_s']:.2f}" for e in log if e["type"] == "step.finished"]
        assert [row[index] for row in rows if row[index] != "–"] == ends
    expect(page.locator("#aligned tbody tr").first).to_be_visible()
