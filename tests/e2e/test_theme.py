"""Light, dark, forced colours, no motion."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.conftest import Enter
from tests.e2e.ground import Ground

_BACKGROUND = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(246, 247, 249)", "rgb(11, 13, 16)"


def _background(page: Page) -> str:
    colour: str = page.evaluate(_BACKGROUND)
    return colour


def test_the_system_decides_at_first(enter: Enter) -> None:
    assert _background(enter("bob", "/", color_scheme="light")) == LIGHT
    assert _background(enter("bob", "/", color_scheme="dark")) == DARK


def test_a_chosen_theme_stays(enter: Enter) -> None:
    page = enter("bob", "/", color_scheme="light")
    page.get_by_role("button", name="Use the dark theme").first.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto("/strategies/")
    assert _background(page) == DARK
    page.get_by_role("button", name="Use the light theme").first.click()
    page.reload()
    assert _background(page) == LIGHT


def test_the_plot_follows_the_theme(enter: Enter, ground: Ground) -> None:
    page = enter("bob", ground.path("finished"), color_scheme="light")
    tick = page.locator("#plot .ytick text").first
    before = tick.evaluate("one => getComputedStyle(one).fill")
    page.get_by_role("button", name="Use the dark theme").first.click()
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('#plot .ytick text')).fill !== before",
        arg=before,
    )


def test_forced_colours_keep_pressed_and_current_apart(enter: Enter, ground: Ground) -> None:
    page = enter("bob", ground.path("finished"), forced_colors="active")
    pressed = page.locator("#charts [data-show=chart]")
    other = page.locator("#charts [data-show=table]")
    look = """one => { const s = getComputedStyle(one);
      return [s.backgroundColor, s.color, s.borderColor, s.outlineStyle, s.outlineColor].join(); }"""
    assert pressed.evaluate(look) != other.evaluate(look)
    expect(page.locator("#trajectory li[data-step]").first).to_be_visible()


def test_nothing_moves_where_motion_is_not_wanted(enter: Enter, ground: Ground) -> None:
    page = enter("bob", ground.path("running"), reduced_motion="reduce")
    expect(page.locator("#run")).to_have_attribute("data-state", "live")
    assert (
        page.evaluate(
            """() => [...document.querySelectorAll("*")]
          .filter((one) => getComputedStyle(one).animationName !== "none").length"""
        )
        == 0
    )
