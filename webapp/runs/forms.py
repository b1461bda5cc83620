"""Forms of a run: what it is asked, by which strategies, on which ladder, within which limits.

The fields of a strategy's parameters come from its pydantic model, so a new strategy needs no form.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django import forms
from django.db.models import QuerySet

from collab_core.strategies.base import Strategy
from collab_core.strategies.registry import STRATEGIES
from collab_core.tools.registry import COLLECTION_TOOLS, ToolOffer, default_names
from webapp.runs import tools
from webapp.runs.models import Collection
from webapp.runs.services import MAX_SEED, LimitsInput
from webapp.schema_fields import Choices, SchemaForm, field_of, schema_form
from webapp.teams.models import Workspace
from webapp.tiers.models import Ladder


def parameters_form(
    strategy: Strategy, *, weights: Mapping[str, Choices] | None = None
) -> type[SchemaForm]:
    """Return a form class with one field for each parameter of the strategy.

    ``weights``: what the workspace has trained, by kind.
    """
    return schema_form(strategy.parameters, weights=weights)


def parameter_forms(
    names: Iterable[str],
    *,
    data: Mapping[str, Any] | None = None,
    initial: Mapping[str, dict[str, Any]] | None = None,
    weights: Mapping[str, Choices] | None = None,
) -> dict[str, SchemaForm]:
    """Return the forms of these strategies by name; unknown ones are left out."""
    return {
        name: parameters_form(STRATEGIES[name], weights=weights)(
            data, prefix=name, initial=(initial or {}).get(name), auto_id="id_%s"
        )
        for name in names
        if name in STRATEGIES
    }


class ToolBox(NamedTuple):
    """A tool as the form shows it."""

    offer: ToolOffer
    ticked: bool


def strategy_choices() -> list[tuple[str, str]]:
    return [(name, strategy.title) for name, strategy in STRATEGIES.items()]


def fork_choices() -> list[tuple[str, str]]:
    """Return the strategies that can go on from another's steps: whole methods cannot."""
    return [(name, s.title) for name, s in STRATEGIES.items() if s.policy is not None]


def tool_choices() -> list[tuple[str, str]]:
    return [(offer.name, offer.title) for offer in tools.offers()]


class SettingsForm(forms.Form):
    """The tools of a run and its limits: of one that is submitted, and of all of an experiment."""

    use_required_attribute = False

    tools = forms.MultipleChoiceField(
        label="Tools", choices=tool_choices, required=False, widget=forms.CheckboxSelectMultiple
    )
    tools_shown = forms.BooleanField(required=False, initial=True, widget=forms.HiddenInput)
    """Tells "none is ticked" from "nothing was asked"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, schema in LimitsInput.model_json_schema()["properties"].items():
            self.fields[name] = field_of(schema)

    def limits(self) -> dict[str, Any]:
        """Return the limits as the service takes them; None = unlimited."""
        return {name: self.cleaned_data[name] for name in LimitsInput.model_fields}

    @property
    def tool_boxes(self) -> list[ToolBox]:
        chosen = self["tools"].value()
        ticked = default_names(collection=True) if chosen is None else chosen
        return [ToolBox(offer, offer.name in ticked) for offer in tools.offers()]

    @property
    def limit_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in LimitsInput.model_fields]


class NewRunForm(SettingsForm):
    """One task under one strategy, or under several as a race."""

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
        empty_label="None (no search and read)", help_text="The documents that search and read work on.",
    )  # fmt: skip
    ladder = forms.ModelChoiceField(
        label="Ladder", queryset=Ladder.objects.none(), to_field_name="uuid", empty_label=None,
        help_text="The tiers, cheapest first.",
        error_messages={"required": "Choose a ladder. Owners make one under Tiers."},
    )  # fmt: skip
    strategies = forms.MultipleChoiceField(
        label="Strategy",
        choices=strategy_choices,
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

    def chosen_tools(self) -> list[str] | None:
        """Return the ticked tools; those of a collection only with one. None = the default ones."""
        if not self.cleaned_data["tools_shown"]:
            return None
        ticked: list[str] = self.cleaned_data["tools"]
        if self.cleaned_data["collection"] is not None:
            return ticked
        return [name for name in ticked if name not in COLLECTION_TOOLS]


class ForkForm(forms.Form):
    """Where to branch off, and what goes on from there."""

    use_required_attribute = False

    after_step = forms.IntegerField(label="After step", min_value=1)
    strategy = forms.ChoiceField(label="Strategy", choices=fork_choices)
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
