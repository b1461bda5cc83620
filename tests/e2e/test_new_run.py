"""A question becomes a run that can be watched; a bad entry loses nothing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.pages import NewRunPage, RunPage, finished_steps, log_of

QUESTION = "When was the company founded that built the ship Velvet Lapwing?"


def _shown_in_order(shown: RunPage) -> None:
    """The page agrees with the log: each step once, in order, and the end."""
    steps = [event["step"] for event in finished_steps(log_of(shown.page))]
    assert steps == list(range(1, len(steps) + 1))
    assert shown.order_faults() == []
    assert [int(row[0]) for row in shown.table()] == steps


def test_a_typed_question_runs_to_its_answer_before_our_eyes(enter: Enter) -> None:
    page = enter("bob", "/")
    page.get_by_role("link", name="New run").first.click()
    shown = NewRunPage(page).ask(QUESTION, ladder="slow").submit()
    shown.grow()
    shown.wait_until_ended()
    _shown_in_order(shown)
    steps = finished_steps(log_of(page))
    expect(page.locator("#trajectory li[data-step]")).to_have_count(len(steps))
    assert sorted(shown.cards()) == [event["step"] for event in steps]
    assert page.evaluate("window.__order.seen.size") == len(steps)
    answer = next(event for event in log_of(page) if event["type"] == "run.finished")["answer"]
    expect(page.locator(".answer-text")).to_have_text(answer or "No answer")
    expect(page.get_by_text("Not scored").first).to_be_visible()


def test_text_streams_in_while_the_model_writes(enter: Enter) -> None:
    page = enter("bob")
    NewRunPage(page).ask(QUESTION, ladder="real").choose("large").submit()
    page.wait_for_function(
        """() => {
          const text = document.querySelector("#trajectory [data-live]")?.textContent || "";
          window.__lengths = (window.__lengths || new Set()).add(text.length);
          return window.__lengths.size > 3 && !text.startsWith("Waiting");
        }"""
    )


def test_a_sample_task_is_scored(enter: Enter) -> None:
    page = enter("bob")
    form = NewRunPage(page).pick("medium", place=2)
    expect(page.locator("#picked")).to_be_visible()
    question = page.get_by_role("textbox", name="Question").input_value()
    shown = form.settle(ladder="ddv2-7b-38b").submit().wait_until_ended()
    expect(page.locator("h1")).to_have_text(question)
    verdict = page.locator("section[aria-label=Answer]")
    expect(verdict).to_contain_text(re.compile("Correct|Incorrect"))
    expect(verdict).to_contain_text("Expected")
    _shown_in_order(shown)


def test_editing_a_sample_question_drops_its_score(enter: Enter) -> None:
    page = enter("bob")
    NewRunPage(page).pick("easy")
    page.get_by_role("textbox", name="Question").press_sequentially(" Please.")
    expect(page.locator("#picked")).to_be_hidden()


def _refused(page: Page, guards: list[Guard], words: str) -> None:
    guards[0].allow("status of 422")
    page.locator("#submit").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text(words)


def test_an_empty_task_keeps_the_rest_of_the_form(enter: Enter, guards: list[Guard]) -> None:
    page = enter("bob")
    NewRunPage(page).ask("  ", seed=1234).choose("large", "small")
    _refused(page, guards, "The task is empty")
    expect(page.get_by_label("Seed", exact=True)).to_have_value("1234")
    ticked = page.locator("[data-strategy]:checked")
    assert sorted(ticked.evaluate_all("all => all.map((one) => one.value)")) == ["large", "small"]
    page.get_by_role("alert").get_by_role("link").first.click()
    expect(page.get_by_role("textbox", name="Question")).to_be_focused()


@pytest.mark.parametrize(
    ("field", "value"),
    [("agentcollab-growth", "1e9"), ("agentcollab-budget_base", "-1"), ("max_steps", "0")],
)
def test_a_number_out_of_range_is_named_and_kept(
    enter: Enter, guards: list[Guard], field: str, value: str
) -> None:
    page = enter("bob")
    NewRunPage(page).ask(QUESTION)
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    entry = page.locator(f"[name={field}]")
    entry.fill(value)
    _refused(page, guards, "than or equal to")
    expect(entry).to_have_value(value)
    expect(entry).to_be_visible()
    expect(page.get_by_role("textbox", name="Question")).to_have_value(QUESTION)


@pytest.mark.parametrize("text", ["x" * 100_001, "binary \x01\x02"])
def test_a_task_that_is_too_long_or_binary_is_refused(
    enter: Enter, guards: list[Guard], text: str
) -> None:
    page = enter("bob")
    NewRunPage(page).ask(text)
    _refused(page, guards, "The task")
    expect(page.get_by_role("textbox", name="Question")).to_have_value(text)
