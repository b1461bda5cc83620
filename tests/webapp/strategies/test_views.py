"""The catalogue follows the registry."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.utils.html import escape

from collab_core.strategies.registry import STRATEGIES
from webapp.strategies.views import documentation, parameters_of


def test_every_strategy_is_there_with_source_and_parameters(vera: Client) -> None:
    text = vera.get("/strategies/").content.decode()
    for strategy in STRATEGIES.values():
        assert strategy.title in text
        assert escape(strategy.source) in text
        for name in strategy.parameters.model_fields:
            assert name in text


def test_bounds_are_said_in_words() -> None:
    rows = {row.name: row for row in parameters_of(STRATEGIES["agentcollab"])}
    assert rows["budget_base"].allowed == "1 to 100"
    assert rows["schedule"].allowed == "linear, sigmoid"
    assert rows["top_p"].allowed == "above 0.0 to 1.0"
    assert rows["early_hand_back"].allowed == "true, false"


def test_documentation_is_rendered_and_a_missing_page_is_no_error() -> None:
    assert "<p>" in documentation(STRATEGIES["agentcollab"].doc)
    assert documentation("no-such-page.md") == ""


def test_links_of_the_documentation_lead_to_cards_and_nowhere_else(vera: Client) -> None:
    text = vera.get("/strategies/").content.decode()
    prose = "".join(str(documentation(strategy.doc)) for strategy in STRATEGIES.values())
    links = set(re.findall(r'href="([^"]+)"', prose))
    assert "#agentcollab" in links
    assert all(f'id="{link[1:]}"' in text for link in links if link.startswith("#"))
    assert all(link.startswith(("#", "https://")) for link in links)
    assert ".md)" not in prose


@pytest.mark.parametrize(("person", "offered"), [("bob", True), ("vera", False)])
def test_a_new_run_is_offered_to_those_who_may_start_one(
    person: str, offered: bool, request: pytest.FixtureRequest
) -> None:
    text = request.getfixturevalue(person).get("/strategies/").content.decode()
    assert ('href="/runs/new/"' in text) is offered
