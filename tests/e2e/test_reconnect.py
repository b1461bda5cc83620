"""Whatever happens to the connection, each step is shown once, in order, and none is missing."""

from __future__ import annotations

import random

from playwright.sync_api import Page, expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.pages import NewRunPage, RunPage, finished_steps, log_of, run_path

_KEEP_SOCKETS = """
window.__sockets = [];
window.WebSocket = class extends window.WebSocket {
  constructor(...args) { super(...args); window.__sockets.push(this); }
};
"""
# The test closes whatever socket is newest, so at times one that is still connecting.
_CUT_EARLY = r"closed before the connection is established"
_OFFLINE = r"ERR_INTERNET_DISCONNECTED|WebSocket connection to .* failed|ERR_NETWORK_CHANGED"


def _start(page: Page, strategy: str = "large") -> RunPage:
    form = NewRunPage(page).pick("medium", place=1).settle(ladder="slow").choose(strategy)
    return form.submit()


def _agrees_with_log(shown: RunPage) -> None:
    shown.wait_until_ended()
    steps = finished_steps(log_of(shown.page))
    assert shown.order_faults() == []
    shown.grow()
    expect(shown.page.locator("#trajectory li[data-step]")).to_have_count(len(steps))
    table = shown.table()
    assert [int(row[0]) for row in table] == [event["step"] for event in steps]
    assert [row[4] for row in table] == [f"{event['cumulative_s']:.2f}" for event in steps]


def test_a_reload_in_mid_run_shows_every_step_once(enter: Enter) -> None:
    page = enter("bob")
    shown = _start(page)
    for least in (1, 3):
        shown.wait_for_steps(least)
        page.reload()
    expect(page.locator("#run")).to_have_attribute("data-state", "live")
    _agrees_with_log(shown)


def test_dropped_sockets_lose_and_double_nothing(enter: Enter, guards: list[Guard]) -> None:
    page = enter("bob")
    guards[0].allow(_CUT_EARLY)
    page.add_init_script(_KEEP_SOCKETS)
    shown = _start(page, "agentcollab")
    chance = random.Random(26034)
    cuts = 0
    while not page.locator("[data-status-pill][data-status=finished]").count():
        page.wait_for_timeout(chance.uniform(50, 700))
        page.evaluate("window.__sockets.at(-1)?.close()")
        cuts += 1
        assert cuts < 200
    assert page.evaluate("window.__sockets.length") > 2
    _agrees_with_log(shown)


def test_a_lost_network_is_said_and_made_up_for(enter: Enter, guards: list[Guard]) -> None:
    page = enter("bob")
    guards[0].allow(_OFFLINE)
    shown = _start(page)
    shown.wait_for_steps(1)
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("Reconnecting")
    page.wait_for_timeout(1_500)
    page.context.set_offline(False)
    _agrees_with_log(shown)
    expect(page.locator("#connection")).to_be_hidden()


def test_a_page_opened_after_the_end_is_the_page_that_watched(enter: Enter) -> None:
    watched = _start(enter("bob"), "small").wait_until_ended()
    opened = RunPage(enter("vera")).open(run_path(watched.page)).wait_until_ended()
    assert opened.table() == watched.table()
    numbers = "#kpi-steps, #kpi-elapsed, #kpi-switches, #kpi-top, #kpi-cost, #kpi-speedup"
    read = "all => all.map((one) => one.textContent)"
    assert opened.page.locator(numbers).evaluate_all(read) == watched.page.locator(
        numbers
    ).evaluate_all(read)
