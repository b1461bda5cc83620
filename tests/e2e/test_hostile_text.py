"""Text of models, documents and people is shown literally and does nothing, on every page.

The guard of ``enter`` fails each of these tests on a script that ran, a dialog, a violated policy
or a request to another host.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import Guard
from tests.e2e.conftest import Enter
from tests.e2e.ground import PASSWORD, Ground
from tests.e2e.pages import NewRunPage, RunPage
from tests.e2e.payloads import HUGE, NAME, PAYLOADS

_READ_CARDS = """async (steps) => {
  const read = {};
  for (let step = 1; step <= steps; step += 1) {
    location.hash = `step-${step}`;
    const parts = () => document.querySelector(`#step-${step}`);
    const end = performance.now() + 20000;
    while (!parts()?.querySelector(".line-observe") || !parts()?.querySelector(".step-details")) {
      if (performance.now() > end) throw new Error(`step ${step} does not open`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const text = (name) => [...parts().querySelectorAll(name)].map((one) => one.textContent);
    read[step] = { think: text(".line-think"), act: text(".line-act"), observe: text(".line-observe"),
      retry: text(".line-retry"), rationale: text(".rationale"), links: [...parts().querySelectorAll("a")].map((one) => one.getAttribute("href")) };
  }
  return read;
}"""


def test_what_models_and_tools_say_is_only_text(enter: Enter, ground: Ground) -> None:
    shown = RunPage(enter(NAME)).open(ground.path("hostile-failed"))
    cards = shown.page.evaluate(_READ_CARDS, len(PAYLOADS))
    assert len(PAYLOADS) > 40
    for step, payload in enumerate(PAYLOADS, start=1):
        card = cards[str(step)]
        for place in ("think", "act", "observe", "retry", "rationale"):
            assert payload.strip() in "".join(card[place]), (step, place, payload[:80])
        others = [link for link in card["links"] if link != f"#step-{step}"]
        assert len(others) == len(card["links"]) - 1, payload  # its own permalink
        assert all(link.startswith(("#comment-", "/review/runs/")) for link in others), others


def test_hostile_tasks_answers_and_errors_are_only_text(enter: Enter, ground: Ground) -> None:
    page = enter(NAME, ground.path("hostile-failed"))
    failure = page.locator("section[aria-label=Failure]")
    for payload in PAYLOADS[:-1]:
        assert payload.strip() in (failure.text_content() or "")
    assert PAYLOADS[0] in (page.locator("h1").text_content() or "")
    page.goto(ground.path("hostile-finished"))
    expect(page.locator(".answer-text")).to_contain_text(HUGE[-60:])
    page.locator("#charts").get_by_role("button", name="Table").click()
    expect(page.locator("#chart-table tbody tr")).to_have_count(6)
    assert page.title().startswith(f"run-2: {PAYLOADS[0][:20]}")


def test_hovering_a_hostile_step_shows_its_text(enter: Enter, ground: Ground) -> None:
    page = enter(NAME, ground.path("hostile-failed"))
    expect(page.locator("#plot .main-svg").first).to_be_visible()
    for step in range(1, len(PAYLOADS), 4):
        page.evaluate(
            """step => {
              const traces = document.getElementById("plot").data;
              const curve = traces.findIndex((t) => t.customdata && t.type === "scatter" && t.x.includes(step));
              window.Plotly.Fx.hover("plot", [{ curveNumber: curve, pointNumber: traces[curve].x.indexOf(step) }], ["xy"]);
            }""",
            step,
        )
        expect(page.locator("#plot .hoverlayer text").first).to_be_attached()
    assert page.locator("#plot .hoverlayer a").count() == 0


@pytest.mark.parametrize(
    "path",
    ["/", "/runs/new/", "/strategies/", "/tiers/", "/teams/", "/tiers/endpoints/new/"]
    + [f"/?q={quote(payload)}&who={quote(NAME)}" for payload in PAYLOADS[:12:3]],
)
def test_every_page_survives_hostile_names(enter: Enter, ground: Ground, path: str) -> None:
    page = enter(NAME, path)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator(".who-name")).to_have_text(NAME)
    _nothing_of_ours(page)


def test_the_pages_of_hostile_things_show_their_names(enter: Enter, ground: Ground) -> None:
    page = enter(NAME, f"/tiers/ladders/{ground.hostile_ladder}/")
    expect(page.get_by_label("Name", exact=True)).to_have_value(NAME)
    page.goto(f"/tiers/endpoints/{ground.hostile_endpoint}/")
    expect(page.get_by_label("Model", exact=True)).to_have_value(NAME)
    both = ",".join(ground.runs[name] for name in ("hostile-failed", "hostile-finished"))
    page.goto(f"/compare/?runs={both}")
    expect(page.locator("#metrics tbody tr")).to_have_count(2)
    expect(page.locator("#metrics")).not_to_contain_text("Loading")
    _nothing_of_ours(page)


def test_the_pages_of_hostile_trainings_show_text(enter: Enter, ground: Ground) -> None:
    page = enter(NAME)
    for what, uuid in ground.hostile_learned.items():
        kind = "weights" if what == "weights" else "trainings"
        page.goto(f"/strategies/{kind}/{uuid}/")
        expect(page.locator("h1")).to_have_text(NAME)
        expect(page.locator("main")).to_contain_text(PAYLOADS[0].split()[0])
        _nothing_of_ours(page)


def test_the_pages_of_hostile_experiments_show_text(enter: Enter, ground: Ground) -> None:
    known = ground.hostile_trialled
    page = enter(NAME, f"/experiments/{known['experiment-finished']}/")
    for place in ("#results table", "#trials table", "#failures table", "#tests table"):
        expect(page.locator(place)).to_contain_text(PAYLOADS[0])
    expect(page.locator("#pareto .main-svg").first).to_be_attached()
    _nothing_of_ours(page)
    for path in (
        "/experiments/",
        "/experiments/task-sets/",
        f"/experiments/task-sets/{known['task-set']}/",
        f"/experiments/new/?from={known['experiment-finished']}",
        f"/what-if/new/?experiment={known['experiment-finished']}",
        f"/what-if/{known['what-if']}/",
    ):
        page.goto(path)
        expect(page.locator("main")).to_contain_text(PAYLOADS[0].split()[0])
        _nothing_of_ours(page)


def test_the_pages_of_hostile_labels_show_text(enter: Enter, ground: Ground) -> None:
    known = ground.hostile_review
    page = enter(NAME, f"/review/runs/{known['run']}/")
    expect(page.locator("#step-1 .comment").first).to_contain_text(PAYLOADS[1].strip()[:20])
    expect(page.locator("#step-1 .label-list")).to_contain_text("<b>second</b>")
    _nothing_of_ours(page)
    for path in ("", f"sets/{known['set']}/", f"sets/{known['set']}/numbers/"):
        page.goto(f"/review/{path}")
        expect(page.locator("main")).to_contain_text(PAYLOADS[0][:20])
        _nothing_of_ours(page)
    page.goto(f"/review/sets/{known['set']}/disagreements/")
    expect(page.locator("main")).to_contain_text("<b>second</b>")
    _nothing_of_ours(page)
    page.goto(f"/review/queues/{known['queue']}/")
    for _ in range(3):
        expect(page.locator("#judged .text").first).to_be_visible()
        page.keyboard.press("2")
        page.keyboard.press("Enter")
    _nothing_of_ours(page)


def _nothing_of_ours(page: Page) -> None:
    """No element of a payload became part of the page."""
    hostile = "iframe, object, embed, marquee, base, [src*='evil.example'], [href*='evil.example']"
    assert page.locator(hostile).count() == 0
    assert page.locator("main img, main video, main math").count() == 0


def test_hostile_tasks_can_be_submitted_and_read(enter: Enter) -> None:
    page = enter("bob")
    question = "\n".join(payload for payload in PAYLOADS[:-1] if payload.isprintable())
    NewRunPage(page).ask(question).choose("small").submit().wait_until_ended()
    page.get_by_text("Whole task").click()
    whole = page.locator("details", has_text="Whole task").locator("p")
    assert (whole.text_content() or "").split() == question.split()


@pytest.mark.parametrize(
    "path",
    [
        "/compare/?runs=%3Cscript%3Ewindow.__xss=1%3C/script%3E",
        "/runs/%3Csvg%20onload=alert(1)%3E/",
    ],
)
def test_hostile_addresses_are_not_found(enter: Enter, guards: list[Guard], path: str) -> None:
    page = enter("bob")
    guards[0].allow("status of 404")
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 404
    expect(page.locator("h1")).to_be_visible()


def test_signing_in_leads_to_no_other_host(enter: Enter) -> None:
    page = enter("", "/login/?next=https://evil.example/")
    page.get_by_label("Username").fill("bob")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main button").first.click()
    expect(page).to_have_url("/")
