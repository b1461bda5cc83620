"""An experiment is put together on its page, runs before our eyes, and its table comes."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground


class NewExperimentPage:
    def __init__(self, page: Page) -> None:
        self.page = page
        page.goto("/experiments/new/")

    def add(self, title: str) -> None:
        """Add an arm of the strategy with this title, as the keyboard does it."""
        before = self.page.locator("[data-arm]").count()
        if not self.page.locator("#add-arm[open]").count():
            self.page.locator("#add-arm > summary").press("Enter")
        self.page.get_by_role("searchbox", name="Find a strategy").fill(title)
        self.page.get_by_role("button", name=f"Add {title}", exact=True).press("Enter")
        expect(self.page.locator("[data-arm]")).to_have_count(before + 1)
        expect(self.page.locator("[data-arm]").last).to_be_focused()

    def sweep(self, place: int, name: str, values: str) -> None:
        arm = self.page.locator("[data-arm]").nth(place)
        arm.get_by_text("Sweep a parameter").click()
        arm.get_by_label("Parameter", exact=True).select_option(name)
        arm.get_by_label("Values").fill(values)
        arm.get_by_label("Values").press("Enter")

    def total(self) -> str:
        return self.page.locator("#total").inner_text()


def test_from_the_form_to_the_table(enter: Enter) -> None:
    page = enter("bob")
    form = NewExperimentPage(page)
    page.get_by_label("Name", exact=True).fill("Growth by two")
    page.get_by_label("Task set").select_option("world")
    page.get_by_label("easy", exact=True).check()
    page.get_by_label("How many").fill("6")
    form.sweep(0, "growth", "0, 2")
    expect(page.locator("[data-arm]")).to_have_count(3)
    form.add("Small only")
    for ladder in page.get_by_label("Ladder", exact=True).all():
        ladder.select_option("ddv2-7b-38b")
    page.get_by_label("Baseline").select_option("Large only")
    expect(page.locator("#total")).to_have_text("6 tasks × 4 arms × 1 seed = 24 runs")
    page.get_by_role("button", name="Start 24 runs").click()
    page.wait_for_url(re.compile(r"/experiments/[0-9a-f-]{36}/"))
    _shows_its_table(page)


def _shows_its_table(page: Page) -> None:
    """The page is never loaded anew: what it shows comes over the socket and its own questions."""
    page.evaluate("window.__same = true")
    rows = page.locator("#results tbody tr")
    expect(rows).to_have_count(4)
    expect(page.locator("#progress-done")).to_have_text("24 of 24 runs done", timeout=120_000)
    expect(page.locator("#experiment")).to_have_attribute("data-status", "finished")
    expect(rows.first).to_contain_text("6/6", timeout=60_000)
    expect(page.locator("#sweep .main-svg").first).to_be_attached()
    figures = page.request.get(f"{page.url.split('?')[0]}results.json").json()
    for row in figures["table"]["rows"]:
        shown = rows.filter(has_text=row["arm"])
        accuracy = f"{100 * row['figures']['accuracy']['value']:.1f}%"
        expect(shown).to_contain_text(accuracy)
    page.get_by_label("Baseline").select_option("Small only")
    expect(page).to_have_url(re.compile(r"baseline=Small\+only"))
    expect(rows.filter(has_text="Small only")).to_contain_text("baseline")
    page.get_by_role("button", name="Where arms differ").click()
    page.locator("#trials table, #trials .empty").first.wait_for()
    assert page.evaluate("window.__same") is True


def test_a_wrong_entry_loses_nothing(enter: Enter, guards: list[Guard]) -> None:
    page = enter("bob")
    form = NewExperimentPage(page)
    page.get_by_label("Seeds", exact=True).fill("0-x")
    form.add("Random")
    page.get_by_label("Name of the arm").last.fill("Dice")
    guards[0].allow("status of 422")
    page.locator("#submit").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text("0-x is no seed")
    expect(page.get_by_label("Name of the arm").last).to_have_value("Dice")
    summary.get_by_role("link", name=re.compile("Seeds")).click()
    expect(page.get_by_label("Seeds", exact=True)).to_be_focused()


def test_arms_come_and_go_and_the_baseline_follows(enter: Enter) -> None:
    page = enter("bob")
    NewExperimentPage(page)
    page.get_by_role("button", name="Duplicate Large only").click()
    expect(page.locator("[data-arm]")).to_have_count(3)
    page.get_by_label("Name of the arm").nth(1).fill("The large one")
    expect(page.get_by_label("Baseline")).to_have_value("The large one")
    page.get_by_role("button", name="Remove AgentCollab, dynamic").click()
    expect(page.locator("[data-arm]")).to_have_count(2)
    expect(page.locator("[data-arm]").first).to_be_focused()


def test_every_chart_reads_as_a_table_too(enter: Enter, ground: Ground) -> None:
    page = enter("vera", f"/experiments/{ground.trialled['experiment-finished']}/")
    expect(page.locator("#unsolved-solved [data-legend]")).to_contain_text("Unsolved")
    for card in page.locator(".figure:visible").all():
        card.get_by_role("button", name="Table", exact=True).click()
        expect(card.locator("td.num").first).to_be_visible()
        for head in card.locator("thead th").all_inner_texts():
            assert "_" not in head, head
    expect(page.locator("#unsolved-solved [data-legend]")).to_be_hidden()


def test_the_figures_can_be_taken_away(enter: Enter, ground: Ground) -> None:
    page = enter("vera", f"/experiments/{ground.trialled['experiment-finished']}/")
    card = page.locator("#pareto")
    expect(card.locator(".main-svg").first).to_be_attached()
    for what, least in (("Picture (PNG)", 10_000), ("Numbers (CSV)", 100)):
        card.get_by_label("Download What accuracy costs").click()
        with page.expect_download() as caught:
            card.get_by_role("button", name=what).click()
        assert caught.value.path().stat().st_size > least
    expect(page.locator("#results .published")).to_contain_text("AgentCollab (dynamic)")
    answer = page.request.get(f"{page.url}export/table-markdown/")
    assert answer.ok
    assert "published" in answer.text()
