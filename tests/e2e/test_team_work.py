"""People work together: they discuss a step live, are called, follow a link, and let others in."""

from __future__ import annotations

import re

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.ground import PASSWORD, Ground
from tests.e2e.test_accessibility import OPTIONS, WIDTHS

HOSTILE = '<img src=x onerror="window.__xss=1"><script>window.__xss=2</script> \u202egnorw'


def opened(page: Page) -> Page:
    expect(page.locator("#now-title")).not_to_have_text("Loading")
    expect(page.locator("#comment-form")).to_be_visible()
    return page


def assert_accessible(page: Page) -> None:
    for width in (1_440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        found = Axe().run(page, options=OPTIONS).response["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        fits = "() => document.documentElement.scrollWidth <= window.innerWidth"
        page.wait_for_function(fits, timeout=5_000)


def test_a_step_is_discussed_live_and_who_is_called_finds_the_place(
    enter: Enter, ground: Ground
) -> None:
    alice = opened(enter("alice", ground.path("finished")))
    bob = opened(enter("bob", ground.path("finished")))
    alice.locator("[data-comment-step='3']").click()
    expect(alice.get_by_label("Write a comment")).to_be_focused()
    alice.keyboard.type(f"@bob look: {HOSTILE}")
    alice.keyboard.press("Control+Enter")
    seen = bob.locator("#comment-list li").last
    expect(seen).to_contain_text('<img src=x onerror="window.__xss=1">')
    expect(seen).not_to_contain_text("\u202e")
    expect(seen.locator(".mention")).to_have_text("@bob")
    expect(seen.get_by_role("link", name="step 3")).to_have_attribute("href", "#step-3")
    expect(bob.locator("#comment-news")).to_have_text("New comment by alice")
    expect(bob.locator("[data-comment-step='3']")).to_have_text("1")
    assert_accessible(bob)

    bob.set_viewport_size({"width": 1_440, "height": 900})
    bob.goto("/")
    bob.get_by_role("link", name="Notifications, 1 unread").first.click()
    assert_accessible(bob)
    bob.get_by_role("button", name=re.compile("Open the comment by alice")).click()
    expect(bob.locator("#comment-list li[data-linked]")).to_be_focused()
    expect(bob.get_by_role("link", name="Notifications", exact=True).first).to_be_attached()


def test_a_comment_is_written_changed_and_deleted_by_keyboard(enter: Enter, ground: Ground) -> None:
    page = opened(enter("bob", ground.path("failed")))
    page.get_by_label("Write a comment").focus()
    page.keyboard.type("First words")
    page.keyboard.press("Control+Enter")
    mine = page.locator("#comment-list li")
    expect(mine).to_contain_text("First words")
    expect(page.get_by_label("Write a comment")).to_have_value("")
    mine.get_by_role("button", name="Edit your comment").press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type("given up")
    page.keyboard.press("Escape")
    expect(mine).to_contain_text("First words")
    mine.get_by_role("button", name="Edit your comment").press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type("Other words")
    page.keyboard.press("Control+Enter")
    expect(mine).to_contain_text("Other words")
    expect(mine).to_contain_text("edited")
    delete = mine.get_by_role("button", name=re.compile("elete bob's comment"))
    delete.press("Enter")
    delete.press("Enter")
    expect(mine).to_contain_text("This comment was deleted.")


def test_what_could_not_be_sent_stays_and_is_sent_once(
    enter: Enter, ground: Ground, guards: list[Guard]
) -> None:
    page = opened(enter("bob", ground.path("cancelled")))
    guards[0].allow("ERR_INTERNET_DISCONNECTED")
    page.get_by_label("Write a comment").fill("written in a tunnel")
    page.context.set_offline(True)
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator("#comment-error")).to_contain_text("Your text is still here")
    page.context.set_offline(False)
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.locator("#comment-list li")).to_have_count(1)
    page.reload()
    expect(page.locator("#comment-list li")).to_have_count(1)


def test_an_invited_person_makes_an_account_and_is_in(enter: Enter, guards: list[Guard]) -> None:
    alice = enter("alice", "/teams/")
    form = alice.locator("form[action$='/invitations/add/']")
    form.get_by_label("Role").select_option("reviewer")
    form.get_by_role("button", name="Make a link").click()
    link = alice.locator("[data-link]").inner_text()
    assert_accessible(alice)

    dora = enter("", link)
    assert_accessible(dora)
    dora.get_by_label("User name").fill("dora")
    dora.get_by_label("Password", exact=True).fill(PASSWORD)
    dora.get_by_label("Password again").fill(PASSWORD)
    dora.get_by_role("button", name="Make the account and join").click()
    expect(dora.get_by_role("heading", name="Runs")).to_be_visible()
    guards[1].allow("status of 404")
    dora.goto(link)
    expect(dora.get_by_role("heading", name="This invitation does not work")).to_be_visible()
    alice.goto("/teams/audit/")
    expect(alice.locator("tbody tr").first).to_contain_text("Invitation accepted")
