"""A reviewer at work in the browser: by keyboard alone, and through a lost connection."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground
from tests.e2e.labels import FIFTY

KEYS = {"1": True, "2": False, "3": None}


def stored(page: Page, label_set: str) -> list[dict[str, Any]]:
    """Return the labels that the server holds, all revisions."""
    answer = page.request.get(f"/review/sets/{label_set}/files/labels.jsonl")
    assert answer.ok
    return [json.loads(line) for line in answer.text().splitlines()]


def place(page: Page) -> str:
    return page.locator("#item-place").inner_text()


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def onward(page: Page, before: str) -> None:
    """Wait until another item is in view, with the focus on its judged step."""
    expect(page.locator("#item-place")).not_to_have_text(before)
    expect(page.locator("#judged")).to_be_focused()


def test_fifty_items_by_keyboard_alone(enter: Enter, ground: Ground) -> None:
    page = enter("alice", f"/review/queues/{ground.review['fifty']}/")
    expect(page.locator("#judged")).to_be_focused()
    given: dict[str, bool | None] = {}
    for number in range(FIFTY):
        here, key = place(page), "123"[number % 3]
        assert here not in given
        if number == 4:  # what is typed in a comment labels nothing
            press(page, "c")
            page.keyboard.type("1 and 2, S")
            press(page, "Escape")
            assert page.locator("[aria-checked=true]").count() == 0
        if number == 7:  # saved by mistake, undone, saved anew
            press(page, "1", "Enter")
            onward(page, here)
            press(page, "u")
            expect(page.locator("#item-place")).to_have_text(here)
        press(page, key, "Enter")
        given[here] = KEYS[key]
        if number < FIFTY - 1:
            onward(page, here)
        if number == 9:  # look back, and come again
            after = place(page)
            press(page, "k")
            expect(page.locator("#item-place")).to_have_text(here)
            press(page, "j")
            expect(page.locator("#item-place")).to_have_text(after)
    expect(page.locator("#state-title")).to_have_text(f"All {FIFTY} reviewed")
    latest = {f"step {row['step']}": row for row in stored(page, ground.review["fifty_set"])}
    assert {step: row["made_progress"] for step, row in latest.items()} == {
        here.split(", ")[1]: answer for here, answer in given.items()
    }
    assert all(row["blind"] for row in latest.values())
    assert [row["comment"] for row in latest.values() if row["comment"]] == ["1 and 2, S"]


def test_a_lost_connection_loses_no_label_and_doubles_none(
    enter: Enter, ground: Ground, guards: list[Guard]
) -> None:
    page = enter("bob", f"/review/queues/{ground.review['lost']}/")
    guards[0].allow(r"ERR_INTERNET_DISCONNECTED")
    expect(page.locator("#judged")).to_be_focused()
    page.wait_for_load_state("networkidle")
    page.context.set_offline(True)
    first = place(page)
    press(page, "2", "Enter")
    onward(page, first)
    second = place(page)
    press(page, "1", "Enter")
    onward(page, second)
    expect(page.locator("#connection")).to_contain_text("2 labels kept in this browser")
    page.context.set_offline(False)
    expect(page.locator("#review")).to_have_attribute("data-waiting", "0")
    page.reload()  # whatever was left would be sent again
    expect(page.locator("#judged")).to_be_visible()
    rows = stored(page, ground.review["lost_set"])
    told = {f"step {row['step']}": (row["made_progress"], row["revision"]) for row in rows}
    assert told == {first.split(", ")[1]: (False, 1), second.split(", ")[1]: (True, 1)}


def test_keys_faster_than_the_server_are_refused_aloud(enter: Enter, ground: Ground) -> None:
    page = enter("rob", f"/review/queues/{ground.review['fast']}/")
    expect(page.locator("#judged")).to_be_focused()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/next/", hold)
    given: dict[str, bool | None] = {}
    for _ in range(3):  # as many as were fetched ahead
        given[place(page).split(", ")[1]] = True
        press(page, "1", "Enter")
    expect(page.locator("#mine-words")).to_have_text("3 by you")
    press(page, "2")
    expect(page.locator("#toasts")).to_contain_text("this key was not taken")
    page.route("**/next/", lambda route: route.continue_())  # what is asked from now on
    for route in held:
        route.continue_()
    expect(page.locator("#judged")).to_be_focused()
    press(page, "Enter")  # no answer was chosen for the step that is shown now
    expect(page.locator("#toasts")).to_contain_text("Choose 1, 2 or 3 first")
    given[place(page).split(", ")[1]] = None
    press(page, "3", "Enter")
    expect(page.locator("#mine-words")).to_have_text("4 by you")
    expect(page.locator("#review")).to_have_attribute("data-waiting", "0")
    rows = stored(page, ground.review["fast_set"])
    assert {f"step {row['step']}": row["made_progress"] for row in rows} == given
    first = next(iter(given))
    page.goto(f"/review/queues/{ground.review['fast']}/?item=1")  # where "Change" leads
    expect(page.locator("#item-place")).to_contain_text(first)
    expect(page.locator("[aria-checked=true]")).to_have_attribute("data-answer", "yes")
    press(page, "2", "Enter")
    expect(page.locator("#item-place")).not_to_contain_text(first)
    expect(page.locator("#mine-words")).to_have_text("4 by you")


def test_the_verdict_is_shown_after_saving_only(enter: Enter, ground: Ground) -> None:
    page = enter("rob", f"/review/queues/{ground.review['queue']}/")
    expect(page.locator("#judged")).to_be_focused()
    assert page.locator(".tier, .rationale").count() == 0
    here = place(page)
    press(page, "r")
    expect(page.locator("#toasts")).to_contain_text("after your label is saved")
    press(page, "1", "Enter")
    onward(page, here)
    press(page, "k", "r")
    expect(page.locator("#judged .tier")).to_be_visible()
    expect(page.locator("#after")).to_contain_text("rob")
    assert page.locator(".context-step .tier").count() == 0
