"""From finished runs to weights to a run that uses them, all in the browser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import APIRequestContext, Page, expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter, Visitors
from tests.e2e.pages import NewRunPage, RunPage, log_of
from tests.e2e.product import Product
from tests.services import wait_for

LADDER = "ddv2-7b-38b"
TASKS = 20


@pytest.fixture(scope="package")
def logged(product: Product, visitors: Visitors) -> None:
    """Finished runs of the same tasks on both tiers: submitted over REST, done by the product."""
    token = product.run_python("tests.e2e.material", "bob")
    context = visitors.context("")
    api = Api(context.request, {"Authorization": f"Bearer {token}"})
    tasks = api.get(f"/tasks?collection=world&limit={TASKS}")
    for task in tasks:
        for strategy in ("small", "large"):
            api.submit(task, strategy)
    wait_for(lambda: not any(api.get(f"/runs?status={s}&who=bob")["runs"] for s in ("queued", "running")), "the runs")  # fmt: skip
    context.close()


@dataclass
class Api:
    request: APIRequestContext
    headers: dict[str, str]

    def get(self, path: str) -> Any:
        return self.request.get(f"/api/v1{path}", headers=self.headers).json()

    def submit(self, task: dict[str, str], strategy: str) -> None:
        body = {
            "question": task["question"], "task_id": task["task_id"], "collection": "world",
            "ladder": LADDER, "strategy": strategy, "seed": 3, "limits": {"max_steps": 12},
        }  # fmt: skip
        assert self.request.post("/api/v1/runs", data=body, headers=self.headers).status == 201


@pytest.mark.usefixtures("logged")
def test_a_router_is_trained_in_the_browser_and_decides_a_run(enter: Enter) -> None:
    page = enter("bob", "/strategies/")
    page.get_by_role("link", name="Train Probe").click()
    ladder = page.get_by_label("Ladder", exact=True)
    option = ladder.locator("option", has_text=LADDER)
    expect(option).to_contain_text(re.compile(r"\(\d\d+ finished runs\)"))
    ladder.select_option(option.get_attribute("value"))
    page.get_by_label("Name", exact=True).fill("Browser made")
    expect(page.get_by_text("stands in for a sentence-encoder")).to_be_visible()
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile("/trainings/"))
    page.reload()
    expect(page.get_by_role("heading", name="Held-out report")).to_be_visible()
    expect(page.locator(".pill[data-status=finished]")).to_be_visible()
    expect(page.locator(".title-line").get_by_text("Stand-in encoder")).to_be_visible()
    expect(page.locator("#curve .main-svg").first).to_be_visible()
    page.get_by_role("button", name="Table").click()
    assert page.locator("#curve-table tbody tr").count() > 1
    _use(page)


def _use(page: Page) -> None:
    form = NewRunPage(page).pick("easy").settle(ladder=LADDER).choose("probe")
    page.locator('[data-parameters="probe"] summary').first.click()
    choice = page.locator("[name=probe-weights]")
    value = choice.locator("option", has_text="Browser made").get_attribute("value")
    assert value
    assert re.fullmatch(r"browser-made-[0-9a-f]{12}", value)
    choice.select_option(value)
    shown: RunPage = form.submit().wait_until_ended()
    expect(shown.page.locator("section[aria-label=Failure]")).to_have_count(0)
    events = log_of(shown.page)
    scored = [event for event in events if event["type"] == "scorer.returned"]
    assert scored
    assert all(event["stand_in"] for event in scored)
    page.reload()
    expect(page.locator("#stand-in")).to_be_visible()


def test_a_log_that_is_none_says_so(enter: Enter) -> None:
    page = enter("bob", "/strategies/train/probe/")
    page.get_by_label("Learn from").select_option("upload")
    expect(page.get_by_label("Ladder", exact=True)).to_be_hidden()
    page.get_by_label("Log", exact=True).set_input_files(
        {"name": "x.jsonl", "mimeType": "text/plain", "buffer": b"<img src=x onerror=alert(1)>\n"}
    )
    page.get_by_role("button", name="Start training").click()
    failure = page.get_by_role("alert")
    expect(failure).to_contain_text("upload.jsonl")
    expect(page.get_by_role("link", name="Train again")).to_be_visible()


def test_missing_weights_are_named_at_their_card(enter: Enter, guards: list[Guard]) -> None:
    page = enter("bob")
    NewRunPage(page).ask("Who?", ladder="slow").choose("routellm")
    guards[0].allow("status of 422")
    page.locator("#submit").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    summary.get_by_role("link").first.click()
    expect(page.locator("[name=routellm-weights]")).to_be_focused()


def test_a_strategy_is_found_by_its_words(enter: Enter) -> None:
    page = enter("bob", "/runs/new/")
    page.get_by_label("Find a strategy").fill("blind period")
    expect(page.locator("[data-card]:visible")).to_have_count(1)
    expect(page.get_by_text("1 strategy found")).to_be_visible()
    page.get_by_label("Find a strategy").fill("no such thing")
    expect(page.get_by_text("No strategy matches.")).to_be_visible()
    page.get_by_label("Find a strategy").fill("")
    expect(page.locator("[data-card][hidden]")).to_have_count(0)
    expect(page.locator("[data-strategy]:checked")).to_have_count(1)
