"""Template tags of the house: icons, tier looks, ribbons and numbers with units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any
from xml.etree import ElementTree

from django import template
from django.template.context import RequestContext
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from lucide import _load_icon

from webapp.review.reads import waiting_for
from webapp.runs.models import Run
from webapp.teams.models import Membership

register = template.Library()

SPRITE = [
    "arrow-down",
    "arrow-up",
    "bell",
    "brain",
    "check",
    "chevron-down",
    "chevron-left",
    "chevron-right",
    "chevron-up",
    "circle-check",
    "circle-dashed",
    "circle-question-mark",
    "circle-slash",
    "circle-x",
    "clipboard-check",
    "download",
    "ellipsis",
    "eye",
    "eye-off",
    "flask-conical",
    "git-branch",
    "git-compare",
    "info",
    "keyboard",
    "link",
    "list",
    "loader-circle",
    "log-out",
    "message-square",
    "moon",
    "pause",
    "pencil",
    "play",
    "plus",
    "refresh-cw",
    "repeat",
    "rotate-ccw",
    "route",
    "search",
    "server",
    "square",
    "table",
    "terminal",
    "trash-2",
    "triangle-alert",
    "users",
    "x",
]
TIER_SIGNS = "0123456789abcdefghijklmnopqrstuvwxyz"
RIBBON = (96, 18)
MOST_WAITING = 99


def _symbol(name: str) -> SafeString:
    shapes = format_html_join(
        "", "<{} {}/>", ((_tag(node), _attributes(node)) for node in _load_icon(name))
    )
    return format_html('<symbol id="i-{}" viewBox="0 0 24 24">{}</symbol>', name, shapes)


def _tag(node: ElementTree.Element) -> str:
    return node.tag.text if isinstance(node.tag, ElementTree.QName) else str(node.tag)


def _attributes(node: ElementTree.Element) -> SafeString:
    return format_html_join(" ", '{}="{}"', node.attrib.items())


_sprite: SafeString | None = None


@register.simple_tag
def icon_sprite() -> SafeString:
    """Return every icon the pages use, once, as symbols for ``<use>``."""
    global _sprite  # noqa: PLW0603 - made once a process, then constant
    if _sprite is None:
        symbols = format_html_join("", "{}", ((_symbol(name),) for name in SPRITE))
        _sprite = format_html('<svg class="sprite" aria-hidden="true">{}</svg>', symbols)
    return _sprite


@register.simple_tag
@cache
def icon(name: str, extra: str = "") -> SafeString:
    """Return an icon of the sprite; it is decoration, its neighbour text carries the meaning."""
    return format_html(
        '<svg class="icon {}" viewBox="0 0 24 24" aria-hidden="true"><use href="#i-{}"/></svg>',
        extra,
        name,
    )


def tier_look(tier: int, tiers: int) -> str:
    """Return the look's key; the same rule as ``tierLook`` in model.js."""
    if tier <= 0:
        return "small"
    if tier >= tiers - 1:
        return "large"
    return "mid" if tier % 2 else "mid-2"


@register.simple_tag
def look(tier: int, tiers: int) -> str:
    return tier_look(tier, tiers)


RIBBON_BARS = {"small": (7, 9), "mid": (4, 12), "mid-2": (4, 12), "large": (1, 15)}
"""Top and height of a look's bars."""


def ribbon_paths(path: str, tiers: int, limit: int) -> dict[str, str]:
    """Return one SVG path a look, all its spans in it; ``limit`` steps fill the ribbon."""
    unit = RIBBON[0] / max(limit, len(path), 1)
    paths: dict[str, str] = {}
    start = 0
    for sign, span in groupby(path):
        steps = sum(1 for _ in span)
        key = tier_look(TIER_SIGNS.find(sign), tiers)
        top, height = RIBBON_BARS[key]
        width = max(steps * unit - 0.6, 0.6)
        bar = f"M{start * unit:.2f} {top}h{width:.2f}v{height}h-{width:.2f}z"
        paths[key] = paths.get(key, "") + bar
        start += steps
    return paths


@register.simple_tag
def ribbon(run: Run) -> SafeString:
    """Return a run's tiers by step as a small picture with a text alternative."""
    tiers = len(run.tiers)
    spans = ribbon_paths(run.tier_path, tiers, int(run.limits.get("max_steps") or 40))
    # numbers and our own words only: nothing to escape, and a list shows fifty of them
    bars = "".join(f'<path class="fill-{key}" d="{d}"/>' for key, d in spans.items())
    top = TIER_SIGNS[max(tiers - 1, 0)]
    words = f"{len(run.tier_path)} steps, {run.tier_path.count(top) if tiers > 1 else 0} on the top tier"
    width, height = RIBBON
    return SafeString(
        f'<svg class="ribbon" role="img" aria-label="{words}" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}">{bars}</svg>'
    )


@register.filter
def seconds(value: float | None) -> str:
    """7.20 s, 93.1 s, 120 s, 12 min 4 s, 2 h 13 min; the same words as format.js."""
    if value is None:
        return "n/a"
    if value < 600:
        return (
            f"{value:.2f} s"
            if value < 10
            else f"{value:.1f} s"
            if value < 100
            else f"{value:.0f} s"
        )
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@register.filter
def usd(value: float | None) -> str:
    """Dollars with the digits that small amounts need; unknown is never 0."""
    if value is None:
        return "unknown"
    return (
        "$0"
        if value == 0
        else f"${value:.2f}"
        if value >= 1
        else f"${value:.4f}"
        if value >= 0.001
        else f"${value:.6f}"
    )


@register.filter
def age(value: datetime | None) -> str:
    """now, 5 min, 3 h, 2 d: how long ago."""
    if value is None:
        return ""
    gone = max(0.0, (timezone.now() - value).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if gone >= size:
            return f"{int(gone // size)} {unit} ago"
    return "now"


@register.simple_tag
def when(value: datetime) -> SafeString:
    """Return how long ago, with the time itself (UTC) in its title: digits only, nothing to escape."""
    return SafeString(
        f'<time datetime="{value.isoformat()}" title="{value:%Y-%m-%d %H:%M} UTC">{age(value)}</time>'
    )


@register.filter
def get(mapping: Mapping[str, Any], key: str) -> Any:
    return mapping.get(key)


@register.filter
def letter(index: int) -> str:
    return "ABCDEF"[index]


@register.inclusion_tag("runs/_running_now.html", takes_context=True)
def running_now(context: RequestContext) -> dict[str, Iterable[Run]]:
    """List up to five runs under way in the active workspace."""
    membership: Membership | None = context.get("membership")
    if membership is None:
        return {"runs": []}
    active = Run.objects.alive().filter(workspace_id=membership.workspace_id)
    return {"runs": active.order_by("-id").only("uuid", "number", "steps", "limits", "status")[:5]}


@register.simple_tag(takes_context=True)
def review_waiting(context: RequestContext) -> str:
    """Return how many steps wait for this user's label, in at most three characters."""
    membership: Membership | None = context.get("membership")
    if membership is None or not membership.may_review:
        return ""
    number = waiting_for(membership.user, membership.workspace_id, MOST_WAITING + 1)
    return f"{MOST_WAITING}+" if number > MOST_WAITING else str(number or "")
