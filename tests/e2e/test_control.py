"""Stop, run again, fork."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground
from tests.e2e.pages import NewRunPage, RunPage, finished_steps, log_of, run_path

STOP_S = 3.0
"""The promise is one second; a busy machine is given the rest."""


def _said(log: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What was decided and said: everything of a log that a seed repeats."""
    told: list[tuple[Any, ...]] = []
    for event in log:
        if event["type"] == "step.started":
            told.append((event["step"], event["tier"], event["reason"], event["level"]))
        elif event["type"] == "model.replied":
            told.append((event["text"], event["request_digest"]))
        elif event["type"] == "tool.returned":
            told.append((event["arguments"], event["observation"]))
        elif event["type"] == "run.finished":
            told.append((event["answer"], event["outcome"], event["ended_by"]))
    return told


def _another_run(page: Page, button: str) -> RunPage:
    before = run_path(page)
    page.get_by_role("button", name=button).first.click()
    page.wait_for_url(lambda url: "/runs/" in url and before not in url)
    return RunPage(page)


def test_stop_ends_a_run_at_once(enter: Enter) -> None:
    page = enter("bob")
    shown = NewRunPage(page).pick("hard", place=2).settle(ladder="real").submit()
    shown.wait_for_steps(1)
    page.get_by_role("button", name="Stop run").first.click()
    dialog = page.get_by_role("dialog")
    pressed = time.time()
    dialog.get_by_role("button", name="Stop run").click()
    expect(page.locator("section[aria-label=Stopped]")).to_contain_text("Stopped by bob")
    log = log_of(page)
    assert log[-1]["type"] == "run.cancelled"
    assert log[-1]["at"] - pressed < STOP_S
    assert len(finished_steps(log)) == log[-1]["totals"]["steps"] >= 1
    expect(page.get_by_role("button", name="Stop run")).to_have_count(0)


def test_the_same_seed_says_the_same_again(enter: Enter) -> None:
    page = enter("bob")
    NewRunPage(page).pick("medium").settle(seed=11).submit().wait_until_ended()
    first = log_of(page)
    _another_run(page, "Re-run").wait_until_ended()
    second = log_of(page)
    assert second[0]["seed"] == first[0]["seed"] == 11
    assert _said(second) == _said(first)


def test_a_fork_keeps_the_steps_before_it(enter: Enter) -> None:
    page = enter("bob")
    shown = NewRunPage(page).pick("hard").settle(seed=5).choose("small").submit()
    shown.wait_until_ended()
    first = log_of(page)
    parent, ref = run_path(page), page.locator(".crumbs [aria-current]").inner_text()
    shown.grow()
    page.get_by_role("button", name="Fork after step 2").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Strategy").select_option("large")
    dialog.get_by_role("button", name="Fork").click()
    page.wait_for_url(lambda url: "/runs/" in url and parent not in url)
    RunPage(page).wait_until_ended()
    second = log_of(page)
    origin = page.get_by_role("link", name=f"{ref}, step 2")
    expect(origin).to_have_attribute("href", f"{parent}#step-2")
    assert _of_steps(second, 1, 2) == _of_steps(first, 1, 2)
    assert {e["tier"] for e in finished_steps(second) if e["step"] > 2} == {1}


def _of_steps(log: list[dict[str, Any]], first: int, last: int) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in event.items() if key not in ("seq", "at")}
        for event in log
        if first <= event.get("step", 0) <= last
    ]


def test_a_failed_run_says_why_and_what_to_do(enter: Enter, ground: Ground) -> None:
    page = enter("bob", ground.path("failed"))
    failure = page.locator("section[aria-label=Failure]")
    expect(failure).to_contain_text("The endpoint of tier large refused the key.")
    expect(failure).to_contain_text("Set the key's variable.")


def test_a_waiting_run_says_its_place_in_line(enter: Enter, ground: Ground) -> None:
    page = enter("bob", ground.path("queued"))
    expect(page.locator("[data-status-text]").last).to_contain_text("Queued, number 1 in line")
