"""axe finds nothing, and no page is wider than its window: every page, theme and state."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product as combinations
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground

WIDTHS = (320, 390, 768, 1_024, 1_440)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PLANTED = ("finished", "failed", "cancelled", "running", "queued")


def _stop(page: Page) -> None:
    page.locator("[data-opens=stop-dialog]:visible").first.click()


def _fork(page: Page) -> None:
    if page.viewport_size and page.viewport_size["width"] < 760:
        page.locator("#tab-trajectory").click()
    page.locator("[data-fork]").first.click()


def _table(page: Page) -> None:
    page.locator("#charts [data-show=table]").click()


def _offline(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible()


STATES: dict[str, tuple[str, str, Callable[[Page], None] | None]] = {
    "login": ("", "/login/", None),
    "list": ("alice", "/", None),
    "empty list": ("charlie", "/", None),
    "nothing found": ("alice", "/?q=nosuchword", None),
    "new run": ("alice", "/runs/new/", None),
    "strategies": ("alice", "/strategies/", None),
    "tiers": ("alice", "/tiers/", None),
    "endpoint": ("alice", "/tiers/endpoints/new/", None),
    "team": ("alice", "/teams/", None),
    "compare nothing": ("alice", "/compare/", None),
    "compare": ("alice", "/compare/?runs={finished},{failed},{running}", None),
    **{state: ("alice", f"/runs/{{{state}}}/", None) for state in PLANTED},
    "stop dialog": ("alice", "/runs/{running}/", _stop),
    "fork dialog": ("alice", "/runs/{finished}/", _fork),
    "table": ("alice", "/runs/{finished}/", _table),
    "open step": ("alice", "/runs/{finished}/#step-3", None),
}


def _settled(page: Page) -> None:
    """Wait until what the page loads later is there."""
    if page.locator("#run").count():
        expect(page.locator("#now-title")).not_to_have_text("Loading")
        page.wait_for_function("document.getElementById('run').dataset.state !== 'loading'")
    if page.locator("#metrics").count():
        expect(page.locator("#metrics")).not_to_contain_text("Loading")
    if page.locator("#plot:visible, #overlay:visible, #preview:visible").count():
        expect(page.locator(".main-svg").first).to_be_attached()


def _overflow(page: Page) -> list[int]:
    """Return the widths at which the page scrolls sideways."""
    wide = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wide.append(width)
    return wide


def _violations(page: Page) -> list[dict[str, Any]]:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    violations: list[dict[str, Any]] = found.response["violations"]
    for one in violations:
        print(one["impact"], one["id"], [node["target"] for node in one["nodes"]][:5])
    return violations


@pytest.mark.parametrize(
    ("state", "scheme", "width"),
    [(*one,) for one in combinations(STATES, ("light", "dark"), (1_440, 390))],
)
def test_axe_finds_nothing(
    enter: Enter, ground: Ground, state: str, scheme: str, width: int
) -> None:
    name, path, act = STATES[state]
    size = {"width": width, "height": 900}
    page = enter(name, path.format(**ground.runs), viewport=size, color_scheme=scheme)
    _settled(page)
    if act:
        act(page)
    assert [one["id"] for one in _violations(page)] == []


@pytest.mark.parametrize("state", STATES)
def test_no_page_is_wider_than_its_window(enter: Enter, ground: Ground, state: str) -> None:
    name, path, act = STATES[state]
    page = enter(name, path.format(**ground.runs))
    _settled(page)
    if act:
        act(page)
    assert _overflow(page) == []
