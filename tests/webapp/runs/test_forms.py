"""The forms of a run are made of the strategies' own models."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from collab_core.strategies.registry import STRATEGIES
from tests.webapp.personas import Room
from webapp.runs.forms import NewRunForm, parameter_forms, parameters_form


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategys_form_has_its_parameters_and_their_defaults(name: str) -> None:
    model = STRATEGIES[name].parameters
    form = parameters_form(STRATEGIES[name])()
    assert list(form.fields) == list(model.model_fields)
    assert {key: field.initial for key, field in form.fields.items()} == model().model_dump()


def test_bounds_and_choices_come_from_the_model() -> None:
    data = QueryDict(mutable=True)
    for name, value in STRATEGIES["agentcollab"].parameters().model_dump().items():
        data[f"agentcollab-{name}"] = str(value)
    data["agentcollab-budget_base"] = "0"
    data["agentcollab-schedule"] = "cubic"
    form = parameter_forms(["agentcollab"], data=data)["agentcollab"]
    assert set(form.errors) == {"budget_base", "schedule"}


def test_an_empty_limit_means_none_and_an_empty_seed_a_random_one(room: Room) -> None:
    data = QueryDict(mutable=True)
    data.update({"question": "?", "ladder": str(room.ladder.uuid), "strategies": "small", "max_steps": "5", "max_tokens": "", "max_cost_usd": "", "max_wall_s": "", "max_output_tokens": "64"})  # fmt: skip
    form = NewRunForm(data, workspace=room.workspace)
    assert form.is_valid(), form.errors
    assert form.limits() == {"max_steps": 5, "max_tokens": None, "max_cost_usd": None, "max_wall_s": None, "max_output_tokens": 64}  # fmt: skip
    assert form.cleaned_data["seed"] is None


def test_another_workspaces_ladder_is_no_choice(room: Room) -> None:
    form = NewRunForm(workspace=room.other)
    assert str(room.ladder.uuid) not in str(form["ladder"])
