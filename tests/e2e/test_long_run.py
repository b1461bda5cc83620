"""Runs of thousands of steps: few nodes, and what is scrolled to is there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Enter
from tests.e2e.ground import LONG, Ground
from tests.e2e.pages import RunPage

MOST_NODES = 3_000
_NODES = "document.getElementsByTagName('*').length"


def _open(enter: Enter, ground: Ground, number: int, hash_: str = "") -> RunPage:
    shown = RunPage(enter("bob"))
    shown.open(ground.path(f"long-{number}") + hash_).wait_until_ended()
    expect(shown.page.locator("#kpi-steps")).to_have_text(f"{number}")
    return shown


@pytest.mark.parametrize("number", LONG)
def test_a_long_run_opens_with_a_small_page(enter: Enter, ground: Ground, number: int) -> None:
    shown = _open(enter, ground, number)
    expect(shown.page.locator("#plot .main-svg").first).to_be_visible()
    expect(shown.card(1).locator(".line-observe")).to_be_visible()
    assert shown.page.evaluate(_NODES) <= MOST_NODES
    assert shown.order_faults() == []


@pytest.mark.parametrize("number", LONG)
def test_the_middle_of_a_long_run_loads_when_scrolled_to(
    enter: Enter, ground: Ground, number: int
) -> None:
    shown = _open(enter, ground, number)
    shown.page.evaluate(
        """() => { const list = document.getElementById("trajectory").getBoundingClientRect();
        window.scrollBy(0, list.top + list.height / 2); }"""
    )
    shown.page.wait_for_function(
        "() => Number(document.querySelector('#trajectory li[data-step]')?.dataset.step) > 100"
    )
    middle = shown.page.locator("#trajectory li[data-step] .line-observe").first
    expect(middle).to_contain_text("3 results")
    cards = shown.cards()
    assert number * 0.3 < min(cards) <= max(cards) < number * 0.7
    assert cards == list(range(min(cards), max(cards) + 1))
    assert shown.page.evaluate(_NODES) <= MOST_NODES


def test_a_permalink_far_down_opens_its_step(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground, 5_000, "#step-4321")
    expect(shown.card(4_321)).to_be_in_viewport()
    expect(shown.card(4_321).locator(".line-observe")).to_contain_text("3 results")


def test_the_table_of_a_long_run_holds_every_step(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground, 1_000)
    assert [int(row[0]) for row in shown.table()] == list(range(1, 1_001))
    assert shown.page.evaluate(_NODES) <= MOST_NODES
