"""Finding one's way in a run: permalinks, filters, the table, downloads, the keyboard."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Enter
from tests.e2e.ground import STEPS, Ground
from tests.e2e.pages import RunPage, finished_steps, log_of

PNG = b"\x89PNG\r\n\x1a\n"


def _open(enter: Enter, ground: Ground, hash_: str = "") -> RunPage:
    shown = RunPage(enter("bob"))
    shown.open(ground.path("finished") + hash_)
    return shown


def _focused_step(page: Page) -> int:
    return int(page.evaluate("document.activeElement.closest('li[data-step]')?.dataset.step || 0"))


def test_a_permalink_opens_its_step(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground, "#step-9")
    expect(shown.card(9)).to_be_in_viewport()
    expect(shown.card(9).get_by_role("button", name="Show less")).to_be_visible()
    expect(shown.card(9).locator(".line-observe")).to_contain_text("3 results")
    assert _focused_step(shown.page) == 9


def test_a_step_number_is_its_permalink(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground)
    shown.grow()
    shown.card(5).get_by_role("link", name="Step 5, permalink").click()
    assert shown.page.url.endswith("#step-5")
    expect(shown.card(5)).to_be_focused()


def test_the_filters_leave_what_they_name(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground)
    shown.grow()
    log = log_of(shown.page)
    stalled = [e["step"] for e in finished_steps(log) if e["indicator"] == 0]
    shown.page.get_by_role("button", name="No progress").click()
    expect(shown.page.locator("#trajectory li[data-step]")).to_have_count(len(stalled))
    assert sorted(shown.cards()) == stalled
    shown.page.get_by_role("button", name="Switches").click()
    switches = [e for e in log if e["type"] == "tier.switched"]
    expect(shown.page.locator("#trajectory .switch-row")).to_have_count(len(switches))
    assert shown.cards() == []
    shown.page.get_by_role("button", name="All").click()
    expect(shown.page.locator("#trajectory li[data-step]")).to_have_count(STEPS)


def test_the_table_shows_the_numbers_of_the_csv(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground)
    with shown.page.expect_download() as waiting:
        shown.page.get_by_label("Download", exact=True).click()
        shown.page.get_by_role("link", name="Steps (CSV)").last.click()
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
    table = shown.table()
    assert len(rows) == len(table) == STEPS
    for row, cells in zip(rows, table, strict=True):
        assert cells[0] == row["step"]
        assert cells[1].lower() == row["tier_name"]
        assert cells[3:5] == [f"{float(row[name]):.2f}" for name in ("latency_s", "cumulative_s")]
        assert cells[5] == row["output_tokens"]
        assert cells[7] == ("Progress" if row["indicator"] == "1" else "No progress")
    assert {row["simulated"] for row in rows} == {"True"}


def test_the_chart_draws_every_step(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground)
    expect(shown.page.locator("#plot")).to_have_attribute("data-points", "12")
    drawn = shown.page.evaluate(
        """() => document.getElementById("plot").data
          .filter((trace) => trace.customdata && trace.type === "scatter")
          .flatMap((trace) => trace.x.map((x, i) => [x, trace.y[i]]))
          .sort((a, b) => a[0] - b[0])"""
    )
    steps = finished_steps(log_of(shown.page))
    assert drawn == [[e["step"], e["cumulative_s"]] for e in steps]


def test_the_picture_downloads_as_png(enter: Enter, ground: Ground, tmp_path: Path) -> None:
    shown = _open(enter, ground)
    expect(shown.page.locator("#plot .main-svg").first).to_be_visible()
    shown.page.get_by_label("Download", exact=True).click()
    with shown.page.expect_download() as waiting:
        shown.page.get_by_role("button", name="Picture (PNG)").click()
    picture = waiting.value.path().read_bytes()
    assert waiting.value.suggested_filename.endswith(".png")
    assert picture.startswith(PNG)
    assert len(picture) > 10_000


def test_j_and_k_walk_through_the_steps(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground)
    expect(shown.card(1)).to_be_visible()
    walked = []
    for key in ("j", "j", "j", "k"):
        shown.page.keyboard.press(key)
        walked.append(_focused_step(shown.page))
    assert walked == [1, 2, 3, 2]
    shown.page.keyboard.press("o")
    expect(shown.card(2).get_by_role("button", name="Show less")).to_be_visible()


def test_escape_closes_a_dialog_and_gives_the_focus_back(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground)
    fork = shown.page.get_by_role("button", name="Fork after step 1", exact=True)
    fork.focus()
    shown.page.keyboard.press("Enter")
    expect(shown.page.get_by_role("dialog")).to_be_visible()
    shown.page.keyboard.press("j")  # a letter for the dialog's select, not for the list
    shown.page.keyboard.press("Escape")
    expect(shown.page.get_by_role("dialog")).to_have_count(0)
    expect(fork).to_be_focused()


def test_the_keys_explain_themselves(enter: Enter, ground: Ground) -> None:
    shown = _open(enter, ground)
    shown.page.keyboard.press("?")
    expect(shown.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    shown.page.keyboard.press("Escape")
    expect(shown.page.get_by_role("dialog")).to_have_count(0)


def test_a_run_can_be_submitted_with_the_keyboard_alone(enter: Enter) -> None:
    page = enter("bob", "/runs/new/")
    page.get_by_role("textbox", name="Question").focus()
    page.keyboard.type("What is 6 times 7?")
    button = page.locator("#submit")
    for _ in range(40):
        if button.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(button).to_be_focused()
    assert button.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    page.keyboard.press("Enter")
    RunPage(page).wait_until_ended()
