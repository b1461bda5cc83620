"""axe finds nothing, and no page is wider than its window: every page, theme and state."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product as combinations
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as Late

from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground

WIDTHS = (320, 390, 768, 1_024, 1_440)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
OPTIONS: dict[str, Any] = {
    "runOnly": {"type": "tag", "values": RULES},
    "resultTypes": ["violations"],
}
_STILL = "() => document.getAnimations().every((one) => one.playState !== 'running')"
_FITS = "() => document.documentElement.scrollWidth <= window.innerWidth"
PLANTED = ("finished", "failed", "cancelled", "running", "queued")


def _stop(page: Page) -> None:
    page.locator("[data-opens=stop-dialog]:visible").first.click()


def _delete(page: Page) -> None:
    page.locator("[data-opens=delete-dialog]").click()


def _fork(page: Page) -> None:
    page.locator("[data-fork]").first.click()


def _table(page: Page) -> None:
    page.locator("#charts [data-show=table]").click()


def _answer(page: Page) -> None:
    expect(page.locator("#judged")).to_be_visible()
    page.locator("[data-answer=no]").click()


def _reveal(page: Page) -> None:
    """Label the first item, go back to it and look at the verdict."""
    _answer(page)
    page.locator("#save").click()
    expect(page.locator("#review")).to_have_attribute("data-waiting", "0")
    page.locator("#previous").click()
    page.keyboard.press("r")
    expect(page.locator("#after .label-list")).to_be_visible()


def _keys(page: Page) -> None:
    expect(page.locator("#judged")).to_be_visible()
    page.locator("[data-opens=keys-dialog]:visible").click()


def _labels_shown(page: Page) -> None:
    expect(page.locator("#verdicts .label-list").first).to_be_visible()


def _reconnecting(page: Page) -> None:
    """The page hears that the network is gone, and keeps its data."""
    page.evaluate("window.dispatchEvent(new Event('offline'))")
    expect(page.locator("#connection")).to_be_visible()


def _tables(page: Page) -> None:
    """Every figure as its table."""
    for button in page.locator("section.figure:visible [data-show=table]").all():
        button.click()


def _arms(page: Page) -> None:
    """Every fold of the form is open."""
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")


Scheme = Literal["light", "dark"]
PAGES = (
    *(
        "audit",
        "notifications",
        "login",
        "list",
        "new run",
        "strategies",
        "tiers",
        "endpoint",
        "team",
        "compare",
    ),
    *("finished", "running", "failed", "train", "weights"),
    *("review", "label", "label set", "numbers", "disagreements", "run labels", "new queue"),
    *("experiments", "new experiment", "experiment", "task sets", "what if"),
)
STATES: dict[str, tuple[str, str, Callable[[Page], None] | None]] = {
    "login": ("", "/login/", None),
    "list": ("alice", "/", None),
    "empty list": ("charlie", "/", None),
    "nothing found": ("alice", "/?q=nosuchword", None),
    "new run": ("alice", "/runs/new/", None),
    "strategies": ("alice", "/strategies/", None),
    "train": ("alice", "/strategies/train/frugalgpt/", None),
    "training under way": ("alice", "/strategies/trainings/{training-running}/", None),
    "failed training": ("alice", "/strategies/trainings/{training-failed}/", None),
    "finished training": ("alice", "/strategies/trainings/{training-finished}/", None),
    "weights": ("alice", "/strategies/weights/{weights}/", None),
    "delete dialog": ("alice", "/strategies/weights/{weights}/", _delete),
    "review": ("alice", "/review/", None),
    "no review": ("charlie", "/review/", None),
    "new queue": ("alice", "/review/queues/new/", None),
    "label": ("alice", "/review/queues/{queue}/", _answer),
    "revealed": ("bob", "/review/queues/{open}/", _reveal),
    "label keys": ("alice", "/review/queues/{queue}/", _keys),
    "label set": ("alice", "/review/sets/{set}/", None),
    "numbers": ("alice", "/review/sets/{set}/numbers/", None),
    "disagreements": ("vera", "/review/sets/{set}/disagreements/", None),
    "run labels": ("vera", "/review/runs/{run}/", _labels_shown),
    "tiers": ("alice", "/tiers/", None),
    "endpoint": ("alice", "/tiers/endpoints/new/", None),
    "team": ("alice", "/teams/", None),
    "audit": ("alice", "/teams/audit/", None),
    "notifications": ("bob", "/notifications/", None),
    "compare nothing": ("alice", "/compare/", None),
    "compare": ("alice", "/compare/?runs={finished},{failed},{running}", None),
    **{state: ("alice", f"/runs/{{{state}}}/", None) for state in PLANTED},
    "stop dialog": ("alice", "/runs/{running}/", _stop),
    "fork dialog": ("alice", "/runs/{finished}/", _fork),
    "table": ("alice", "/runs/{finished}/", _table),
    "reconnecting": ("alice", "/runs/{running}/", _reconnecting),
    "experiments": ("alice", "/experiments/", None),
    "no experiments": ("charlie", "/experiments/", None),
    "new experiment": ("alice", "/experiments/new/", None),
    "unfolded experiment": ("alice", "/experiments/new/", _arms),
    "experiment": ("alice", "/experiments/{experiment-finished}/", None),
    "paused experiment": ("alice", "/experiments/{experiment-paused}/", None),
    "experiment as tables": ("alice", "/experiments/{experiment-finished}/", _tables),
    "stop an experiment": ("alice", "/experiments/{experiment-paused}/", _stop),
    "task sets": ("alice", "/experiments/task-sets/", None),
    "task set": ("alice", "/experiments/task-sets/{task-set}/", None),
    "what if": ("alice", "/what-if/new/?experiment={experiment-finished}", None),
    "failed what-if": ("alice", "/what-if/{what-if}/", None),
    "open step": ("alice", "/runs/{finished}/#step-3", None),
}


def _settled(page: Page) -> None:
    """Wait until what the page loads later is there."""
    if page.locator("#run").count():
        expect(page.locator("#now-title")).not_to_have_text("Loading")
        page.wait_for_function("() => document.getElementById('run').dataset.state !== 'loading'")
    if page.locator("#experiment").count():
        expect(page.locator("#results table")).to_be_visible()
        expect(page.locator("#trials table")).to_be_visible()
        expect(page.locator("#pareto .main-svg").first).to_be_attached()
    if page.locator("#metrics").count():
        expect(page.locator("#metrics")).not_to_contain_text("Loading")
    if page.locator("#plot:visible, #overlay:visible, #preview:visible, #curve:visible").count():
        expect(page.locator(".main-svg").first).to_be_attached()


def _wider_than_window(page: Page) -> list[int]:
    """Return the widths at which the page keeps scrolling sideways."""
    wide = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        try:
            page.wait_for_function(_FITS, timeout=5_000)  # plots follow a resize a moment later
        except Late:
            wide.append(width)
    return wide


def _looks(state: str) -> list[tuple[Scheme, int]]:
    """Each page in both themes at both widths; its further states in one of each."""
    every: list[tuple[Scheme, int]] = list(combinations(("light", "dark"), (1_440, 390)))
    return every if state in PAGES else [every[0], every[3]]


def _violations(page: Page, state: str) -> list[str]:
    """Return what axe finds; the page follows each change of theme and width."""
    found = []
    for scheme, width in _looks(state):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(_STILL)  # colours pass into each other
        for one in Axe().run(page, options=OPTIONS).response["violations"]:
            targets = [node["target"] for node in one["nodes"]][:5]
            found.append(f"{scheme} {width}: {one['impact']} {one['id']} {targets}")
    return found


@pytest.mark.parametrize("state", STATES)
def test_a_page_is_accessible_and_fits(enter: Enter, ground: Ground, state: str) -> None:
    name, path, act = STATES[state]
    places = {**ground.runs, **ground.learned, **ground.review, **ground.trialled}
    page = enter(name, path.format(**places))
    _settled(page)
    if act:
        act(page)
    assert _violations(page, state) == []
    assert _wider_than_window(page) == []
