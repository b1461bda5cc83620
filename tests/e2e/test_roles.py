"""Viewers look on, strangers see nothing, and a removed member is shut out at once."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground
from tests.e2e.pages import RunPage

STATES = ("finished", "failed", "running", "queued")


@pytest.mark.parametrize("state", STATES)
def test_a_viewer_finds_nothing_to_press(enter: Enter, ground: Ground, state: str) -> None:
    shown = RunPage(enter("vera"))
    shown.page.goto(ground.path(state))
    expect(shown.page.locator("#now-title")).not_to_have_text("Loading")
    for name in ("Stop run", "Re-run", "Fork"):
        assert shown.page.get_by_role("button", name=name).count() == 0
    assert shown.page.locator("main form[method=post], dialog form[method=post]").count() == 0


def test_a_viewer_is_offered_no_new_run(enter: Enter, guards: list[Guard]) -> None:
    page = enter("vera", "/")
    assert page.locator("main").get_by_role("link", name="New run").count() == 0
    guards[0].allow("status of 403")
    answer = page.goto("/runs/new/")
    assert answer is not None
    assert answer.status == 403


@pytest.mark.parametrize("suffix", ["", "snapshot.json", "steps.json", "export.jsonl", "steps.csv"])
def test_a_stranger_finds_no_run(
    enter: Enter, guards: list[Guard], ground: Ground, suffix: str
) -> None:
    page = enter("charlie")
    guards[0].allow("status of 404")
    answer = page.request.get(ground.path("finished") + suffix)
    assert answer.status == 404
    if not suffix:
        page.goto(ground.path("finished"))
        assert "Velvet Lapwing" not in page.content()
        expect(page.locator("h1")).to_be_visible()


def test_nobody_is_asked_to_sign_in(enter: Enter, ground: Ground) -> None:
    page = enter("", ground.path("finished"))
    assert "/login/?next=/runs/" in page.url


def test_a_member_removed_while_watching_is_told_and_shut_out(
    enter: Enter, guards: list[Guard], ground: Ground
) -> None:
    watching = RunPage(enter("rob"))
    watching.open(ground.path("running"))
    expect(watching.page.locator("#run")).to_have_attribute("data-state", "live")
    owner = enter("alice", "/teams/")
    owner.get_by_role("button", name="Remove rob").click()
    expect(owner.get_by_role("button", name="Remove rob")).to_have_count(0)
    expect(watching.page.locator("#run")).to_have_attribute("data-state", "removed")
    expect(watching.page.locator("#connection")).to_contain_text("no longer have access")
    guards[0].allow("status of 404")
    answer = watching.page.reload()
    assert answer is not None
    assert answer.status == 404
