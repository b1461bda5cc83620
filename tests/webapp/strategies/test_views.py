"""The catalogue follows the registry."""

from __future__ import annotations

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
