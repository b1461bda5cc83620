"""Template tags of the reviews: shares, figures with intervals, what a label says."""

from __future__ import annotations

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from collab_core.review.agreement import Figure
from webapp.runs.templatetags.ui import icon

register = template.Library()
KINDS = {
    "correct": ("chip-good", "circle-check", "Correct"),
    "false_progress": ("chip-bad", "circle-x", "False progress"),
    "missed_progress": ("chip-bad", "circle-x", "Missed progress"),
    "unsure": ("chip-plain", "circle-question-mark", "Cannot tell"),
    "no_verdict": ("chip-plain", "circle-dashed", "No verdict"),
}
"""The same as in ``review-words.js``."""


@register.filter
def per_cent(share: float | None) -> str:
    """6.8 %; n/a where it is unknown."""
    return "n/a" if share is None else f"{100 * share:.1f} %"


@register.filter
def epoch(at: float) -> str:
    return f"{datetime.fromtimestamp(at, tz=UTC):%Y-%m-%d %H:%M}"


@register.simple_tag
def figure(
    found: Figure,
    percent: bool = False,  # noqa: FBT001, FBT002 - a tag's options
    short: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """0.72 (0.51 to 0.93), or why there is none."""
    if found.value is None and short:
        return "not defined"
    if found.value is None:
        return f"not defined: {found.reason}" if found.reason else "n/a"
    words = per_cent if percent else (lambda value: "n/a" if value is None else f"{value:.2f}")
    if found.low is None or found.high is None:
        return words(found.value)
    return f"{words(found.value)} ({words(found.low)} to {words(found.high)})"


@register.simple_tag
def kind_chip(kind: str) -> SafeString:
    if kind not in KINDS:
        return SafeString("")
    look, name, words = KINDS[kind]
    return format_html('<span class="chip {}">{}{}</span>', look, icon(name), words)
