"""Forms of a run: what it is asked, by which strategies, on which ladder, within which limits.

The fields of a strategy's parameters come from its pydantic model, so a new strategy needs no form.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import QuerySet

from collab_core.strategies.registry import STRATEGIES, Strategy
from webapp.runs.models import Collection
from webapp.runs.services import MAX_SEED, LimitsInput
from webapp.teams.models import Workspace
from webapp.tiers.models import Ladder


def _field(schema: Mapping[str, Any]) -> forms.Field:
    common: dict[str, Any] = {
        "label": schema.get("title", ""),
        "help_text": schema.get("description", ""),
        "initial": schema.get("default"),
    }
    if options := schema.get("anyOf"):  # a value or null: an empty entry means null
        common["required"] = False
        schema = next(option for option in options if option.get("type") != "null")
    if choices := schema.get("enum"):
        values = {str(choice): choice for choice in choices}
        return forms.TypedChoiceField(
            choices=[(choice, str(choice)) for choice in choices],
            coerce=lambda raw: values[str(raw)],
            **common,
        )
    if schema["type"] == "string":
        required = schema.get("minLength", 0) > 0
        return forms.CharField(
            max_length=schema.get("maxLength"), **{"required": required, **common}
        )
    if schema["type"] == "boolean":
        return forms.BooleanField(required=False, **common)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    bounds = {"min_value": low, "max_value": schema.get("maximum")}
    if schema["type"] == "integer":
        return forms.IntegerField(**bounds, **common)
    return forms.FloatField(widget=forms.NumberInput(attrs={"step": "any"}), **bounds, **common)


def parameters_form(strategy: Strategy) -> type[ParametersForm]:
    """Return a form class with one field for each parameter of the strategy."""
    properties = strategy.parameters.model_json_schema()["properties"]
    fields = {name: _field(schema) for name, schema in properties.items()}
    return type("ParametersForm", (ParametersForm,), fields)


class ParametersForm(forms.Form):
    """The parameters of one strategy; its prefix is the strategy's name."""

    use_required_attribute = False


def parameter_forms(
    data: Mapping[str, Any] | None = None, initial: Mapping[str, dict[str, Any]] | None = None
) -> dict[str, ParametersForm]:
    """Return the forms of all strategies by name."""
    return {
        name: parameters_form(strategy)(
            data, prefix=name, initial=(initial or {}).get(name), auto_id="id_%s"
        )
        for name, strategy in STRATEGIES.items()
    }


class NewRunForm(forms.Form):
    """One task under one strategy, or under several as a race."""

    use_required_attribute = False

    question = forms.CharField(
        label="Question",
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "dir": "auto", "autocomplete": "off"}),
        help_text="Any question. The agent answers it from the collection with its tools.",
    )
    task_id = forms.CharField(required=False, widget=forms.HiddenInput)
    collection = forms.ModelChoiceField(
        label="Collection", queryset=Collection.objects.none(), required=False, to_field_name="uuid",
        empty_label="None (calculator only)", help_text="The documents that search and read work on.",
    )  # fmt: skip
    ladder = forms.ModelChoiceField(
        label="Ladder", queryset=Ladder.objects.none(), to_field_name="uuid", empty_label=None,
        help_text="The tiers, cheapest first.",
        error_messages={"required": "Choose a ladder. Owners make one under Tiers."},
    )  # fmt: skip
    strategies = forms.MultipleChoiceField(
        label="Strategy",
        choices=[(name, strategy.title) for name, strategy in STRATEGIES.items()],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one strategy."},
    )
    seed = forms.IntegerField(
        label="Seed", required=False, min_value=0, max_value=MAX_SEED, help_text="Empty: a random one. The same seed repeats a simulated run.",
    )  # fmt: skip
    key = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        collections = Collection.objects.filter(workspace=workspace).order_by("title")
        self.fields["collection"].queryset = collections  # type: ignore[attr-defined]
        self.fields["ladder"].queryset = usable_ladders(workspace)  # type: ignore[attr-defined]
        self.fields["key"].initial = uuid.uuid4().hex
        for name, schema in LimitsInput.model_json_schema()["properties"].items():
            self.fields[name] = _field(schema)

    def limits(self) -> dict[str, Any]:
        """Return the limits as the service takes them; None = unlimited."""
        return {name: self.cleaned_data[name] for name in LimitsInput.model_fields}

    @property
    def limit_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in LimitsInput.model_fields]


class ForkForm(forms.Form):
    """Where to branch off, and what goes on from there."""

    use_required_attribute = False

    after_step = forms.IntegerField(label="After step", min_value=1)
    strategy = forms.ChoiceField(
        label="Strategy", choices=[(name, s.title) for name, s in STRATEGIES.items()]
    )
    ladder = forms.ModelChoiceField(
        label="Ladder", queryset=Ladder.objects.none(), to_field_name="uuid", empty_label=None
    )

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["ladder"].queryset = usable_ladders(workspace)  # type: ignore[attr-defined]


def usable_ladders(workspace: Workspace) -> QuerySet[Ladder]:
    """Return the workspace's ladders that have a tier."""
    return (
        Ladder.objects.filter(workspace=workspace, archived_at=None, rungs__isnull=False)
        .distinct()
        .order_by("name")
    )
