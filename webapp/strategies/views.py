"""The catalogue of strategies: words, parameters and documentation of each, from the registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.views.decorators.http import require_GET
from markdown_it import MarkdownIt
from markdown_it.token import Token

from collab_core.strategies.base import Strategy
from collab_core.strategies.registry import STRATEGIES
from webapp.learning.catalogue import learned
from webapp.runs.forms import parameters_form
from webapp.schema_fields import kinds_of, properties_of
from webapp.static_files import PLOTLY_URL_PATH
from webapp.teams.access import active_workspace

LABELS = {
    "native": "as published, open points as parameters",
    "adapted": "fitted to routing by step",
    "proxy": "a stand-in for a method that cannot run here",
}
PREVIEWED = (
    "warm_up_steps",
    "budget_base",
    "growth",
    "budget_max",
    "schedule",
    "sigmoid_midpoint",
    "level_offset",
)


class Parameter(NamedTuple):
    name: str
    title: str
    description: str
    default: Any
    allowed: str


class Card(NamedTuple):
    strategy: Strategy
    label_words: str
    parameters: list[Parameter]
    text: SafeString


class FamilyOfCards(NamedTuple):
    name: str
    slug: str
    cards: list[Card]


@require_GET
def catalogue(request: HttpRequest) -> HttpResponse:
    """List every strategy, what was learned for them, and the budget schedule with live inputs."""
    form = parameters_form(STRATEGIES["agentcollab"])(auto_id="preview_%s")
    context = {
        "families": families(),
        "labels": LABELS,
        "preview_fields": [form[name] for name in PREVIEWED],
        "plotly_js": static(PLOTLY_URL_PATH),
        **learned(active_workspace(request).workspace),
    }
    return render(request, "strategies/catalogue.html", context)


def families() -> list[FamilyOfCards]:
    """Return the strategies by family, both in the registry's order."""
    found: dict[str, list[Card]] = {}
    for strategy in STRATEGIES.values():
        card = Card(
            strategy=strategy,
            label_words=LABELS[strategy.label],
            parameters=parameters_of(strategy),
            text=documentation(strategy.doc),
        )
        found.setdefault(strategy.family, []).append(card)
    return [FamilyOfCards(name, f"family-{slugify(name)}", cards) for name, cards in found.items()]


def parameters_of(strategy: Strategy) -> list[Parameter]:
    """Return the rows of a strategy's parameter table, from its model."""
    return [
        Parameter(
            name=name,
            title=str(schema.get("title", name)),
            description=str(schema.get("description", "")),
            default=schema.get("default"),
            allowed=_allowed(schema),
        )
        for name, schema in properties_of(strategy.parameters).items()
    ]


def _allowed(schema: Mapping[str, Any]) -> str:
    if kinds := kinds_of(schema):
        return f"weights of kind {' or '.join(kinds)}"
    if options := schema.get("anyOf"):
        words = [_allowed(option) for option in options if option.get("type") != "null"]
        return ", ".join([*words, "or none"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return ", ".join(str(choice) for choice in schema["enum"])
    if schema.get("type") == "boolean":
        return "true, false"
    if schema.get("type") == "string":
        return f"text, at most {schema['maxLength']}" if "maxLength" in schema else "text"
    if schema.get("type") == "array":
        return "several, separated by commas"
    if schema.get("type") == "object":
        return "a JSON object"
    if schema.get("type") not in ("integer", "number"):
        return "any"
    low = schema.get("minimum", schema.get("exclusiveMinimum", "any"))
    above = "above " if "exclusiveMinimum" in schema else ""
    return f"{above}{low} to {schema.get('maximum', 'any')}"


@lru_cache(maxsize=64)
def documentation(name: str) -> SafeString:
    """Return a page of docs/strategies as HTML; "" if this installation ships without docs.

    The text is ours, from the repository; raw HTML in it is escaped all the same.
    """
    path = Path(settings.BASE_DIR) / "docs" / "strategies" / name
    if not path.is_file():
        return SafeString("")
    text = path.read_text(encoding="utf-8")
    body = text.split("\n", 1)[1] if text.startswith("# ") and "\n" in text else text
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = renderer.parse(body)
    for token in tokens:
        if token.children:
            token.children = list(_with_links_that_lead_somewhere(token.children))
    html: str = renderer.renderer.render(tokens, renderer.options, {})
    return mark_safe(html)  # noqa: S308 - html off, own text


def _with_links_that_lead_somewhere(tokens: Iterable[Token]) -> Iterator[Token]:
    """Link pages of strategies to their cards; of links to other files only the words stay."""
    dropped = False
    for token in tokens:
        if token.type == "link_open" and "://" not in (target := str(token.attrs["href"])):
            anchor = _anchor(target)
            if dropped := not anchor:
                continue
            token.attrs["href"] = anchor
        elif token.type == "link_close" and dropped:
            dropped = False
            continue
        yield token


def _anchor(target: str) -> str:
    """Return the place in the catalogue that a relative link means; "" if it is not there."""
    page = target.partition("#")[0]
    named = (strategy.name for strategy in STRATEGIES.values() if strategy.doc == page)
    return f"#{name}" if (name := next(named, "")) else ""
