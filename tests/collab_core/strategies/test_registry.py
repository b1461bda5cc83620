from __future__ import annotations

from pathlib import Path

import pytest

from collab_core.errors import InvalidInput
from collab_core.strategies.registry import STRATEGIES, build_agent, check_fork, parse_parameters
from tests.collab_core.replies import ladder

DOCS = Path(__file__).parents[3] / "docs" / "strategies"
NEED_WEIGHTS = {"routellm", "frugalgpt", "probe", "agentcollab-calibrated"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_builds_with_its_defaults_and_has_its_page(name: str) -> None:
    assert (DOCS / STRATEGIES[name].doc).is_file()
    if name in NEED_WEIGHTS:
        with pytest.raises(InvalidInput, match="weights: choose what to load"):
            build_agent(name, {}, ladder())
    else:
        build_agent(name, {}, ladder())


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_parameter_is_described(name: str) -> None:
    properties = STRATEGIES[name].parameters.model_json_schema()["properties"]
    assert all(p.get("title") and p.get("description") for p in properties.values())


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"warm_up_steps": -1}, "warm_up_steps"),
        ({"growth": "much"}, "growth"),
        ({"growth": float("nan")}, "growth"),
        ({"budget_base": 9}, ""),
        ({"nonsense": 1}, "nonsense"),
        ({"schedule": "quadratic"}, "schedule"),
        ({"enforce_check": True}, ""),
    ],
)
def test_wrong_parameters_name_the_field(raw: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_parameters("agentcollab", raw)
    assert caught.value.field == field


def test_an_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="agentcollab-static"):
        parse_parameters("best", {})


@pytest.mark.parametrize(("parent", "child"), [("cope", "large"), ("large", "debate")])
def test_a_whole_method_shares_no_steps_with_a_fork(parent: str, child: str) -> None:
    check_fork("small", "large")
    with pytest.raises(InvalidInput, match="a method of its own"):
        check_fork(parent, child)
