"""The colour tokens: contrast by WCAG 2.1, tiers apart for every kind of colour vision."""

from __future__ import annotations

import math
import re
from itertools import combinations
from pathlib import Path

import pytest

CSS = Path(__file__).resolve().parents[2] / "static" / "ui" / "css" / "tokens.css"
THEMES = ("light", "dark")
# Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB
VISION = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
Triple = tuple[float, float, float]


def block(selector: str) -> dict[str, str]:
    text = CSS.read_text(encoding="utf-8")
    found = re.search(re.escape(selector) + r" \{(.*?)\}", text, re.DOTALL)
    assert found, selector
    return {n: v.strip() for n, v in re.findall(r"--([\w-]+):\s*([^;]+);", found.group(1))}


def tokens(theme: str) -> dict[str, str]:
    light = block(":root")
    return light if theme == "light" else light | block(':root[data-theme="dark"]')


def linear(colour: str) -> Triple:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    weights = (0.2126, 0.7152, 0.0722)
    lights = sorted(
        sum(w * c for w, c in zip(weights, linear(colour), strict=True)) for colour in (one, other)
    )
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def lab(rgb: Triple) -> Triple:
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.95047, 1.0, 1.08883)
    ratios = [
        sum(a * b for a, b in zip(row, rgb, strict=True)) / w
        for row, w in zip(rows, white, strict=True)
    ]
    x, y, z = (r ** (1 / 3) if r > 0.008856 else 7.787 * r + 16 / 116 for r in ratios)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def distance(one: str, other: str, vision: str) -> float:
    def seen(colour: str) -> Triple:
        rgb = linear(colour)
        red, green, blue = (
            min(1.0, max(0.0, sum(a * b for a, b in zip(row, rgb, strict=True))))
            for row in VISION[vision]
        )
        return lab((red, green, blue))

    return math.dist(seen(one), seen(other))


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_on_every_ground(theme: str) -> None:
    t = tokens(theme)
    pairs = [
        (text, ground)
        for text in ("text", "text-2", "text-3")
        for ground in ("bg", "surface", "surface-2")
    ]
    pairs += [("text", "surface-3"), ("text-2", "surface-3"), ("on-ink", "ink")]
    for hue in ("small", "mid", "mid-2", "large", "good", "bad"):
        pairs += [(hue, "surface"), (hue, f"{hue}-tint"), ("text", f"{hue}-tint")]
    pairs += [("on-tier", hue) for hue in ("small", "mid", "mid-2", "large")]
    pairs += [("on-run", f"run-{letter}") for letter in "abcdef"]
    low = {
        f"{a} on {b}": round(contrast(t[a], t[b]), 2)
        for a, b in pairs
        if contrast(t[a], t[b]) < 4.5
    }
    assert low == {}


@pytest.mark.parametrize("theme", THEMES)
def test_controls_lines_and_the_focus_ring_stand_out(theme: str) -> None:
    t = tokens(theme)
    for name in ("control", "focus", *(f"run-{letter}" for letter in "abcdef")):
        for ground in ("bg", "surface"):
            assert contrast(t[name], t[ground]) >= 3, (name, ground)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("theme", THEMES)
def test_tiers_stay_apart_for_every_vision(theme: str, vision: str) -> None:
    t = tokens(theme)
    assert distance(t["small"], t["large"], vision) >= 40
    for one, other in combinations(("small", "mid", "large"), 2):
        assert distance(t[one], t[other], vision) >= 25, (one, other)


def test_the_systems_dark_theme_is_the_chosen_dark_theme() -> None:
    assert block(':root:not([data-theme="light"])') == block(':root[data-theme="dark"]')
