"""Form fields from pydantic models: strategies' parameters, limits of a run, trainers' options.

A model needs no form of its own. What a field cannot know (two values that exclude each other) is
checked by the model when the form is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from django import forms
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from pydantic import BaseModel

Schema = Mapping[str, Any]
Choices = Sequence[tuple[str, str]]


class Switch(forms.CheckboxInput):
    """A check box that also says "no": so a missing entry can mean the default."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        box = super().render(name, value, attrs, renderer)
        return format_html('<input type="hidden" name="{}" value="false">{}', name, box)


class ListField(forms.CharField):
    """Several values in one line, separated by commas."""

    def __init__(self, *, item: type[float] | type[int] | type[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.item = item

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        parts = [part.strip() for part in str(value or "").split(",") if part.strip()]
        try:
            return [self.item(part) for part in parts]
        except ValueError:
            raise forms.ValidationError("Enter numbers, separated by commas.") from None


class SchemaForm(forms.Form):
    """A form whose fields are a model's; an entry that was not sent means its default."""

    use_required_attribute = False
    groups: Mapping[str, str] = {}
    """The group of each field that has one."""

    def __init__(self, data: Mapping[str, Any] | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        if data is not None:
            self.data = self._completed(data)

    def _completed(self, data: Mapping[str, Any]) -> dict[str, Any]:
        sent = {self.add_prefix(name): name for name in self.fields}
        known = {key: data[key] for key in sent if key in data}
        missing = {
            key: _as_sent(self.fields[name]) for key, name in sent.items() if key not in known
        }
        return known | missing

    def in_group(self, group: str) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if self.groups.get(name, "") == group]

    @property
    def own_fields(self) -> list[forms.BoundField]:
        """The fields of no group."""
        return self.in_group("")

    @property
    def agent_fields(self) -> list[forms.BoundField]:
        """What all strategies share: the agent, its check, sampling."""
        return self.in_group("agent")

    @property
    def agent_errors(self) -> bool:
        return any(field.errors for field in self.agent_fields)


def schema_form(
    model: type[BaseModel], *, weights: Mapping[str, Choices] | None = None
) -> type[SchemaForm]:
    """Return a form class with one field for each field of the model.

    ``weights``: what may be chosen for a field that names weights, by kind.
    """
    schemas = properties_of(model)
    fields: dict[str, Any] = {
        name: weights_field(schema, weights or {}) if schema.get("weights") else field_of(schema)
        for name, schema in schemas.items()
    }
    groups = {name: str(schema["group"]) for name, schema in schemas.items() if "group" in schema}
    return type("ModelForm", (SchemaForm,), {**fields, "groups": groups})


@lru_cache(maxsize=256)
def properties_of(model: type[BaseModel]) -> Mapping[str, Schema]:
    """Return the JSON schema of each field of a model, references followed; do not change it."""
    whole = model.model_json_schema()
    return {
        name: _resolved(schema, whole.get("$defs", {}))
        for name, schema in whole.get("properties", {}).items()
    }


def kinds_of(schema: Schema) -> list[str]:
    """Return the kinds of weights that a field takes; empty = it takes none."""
    kinds = schema.get("weights") or []
    return [kinds] if isinstance(kinds, str) else [str(kind) for kind in kinds]


def weights_field(schema: Schema, offers: Mapping[str, Choices]) -> forms.Field:
    """Return a choice of the workspace's weights of the kinds that the schema names."""
    found = [choice for kind in kinds_of(schema) for choice in offers.get(kind, ())]
    words, without = str(schema.get("description", "")), str(schema.get("default") or "")
    nothing = without.capitalize() or ("None" if found else "None trained yet")
    return forms.ChoiceField(
        choices=[(without, nothing), *found],
        required=False,
        label=schema.get("title", ""),
        help_text=words if found else _how_to_train(words),
        initial=without,
    )


def _how_to_train(words: str) -> SafeString:
    place = reverse("strategies:catalogue") + "#learned"
    return format_html('{} <a href="{}">Train one</a>', words, place)


def field_of(schema: Schema) -> forms.Field:
    """Return the form field of one property of a JSON schema."""
    common: dict[str, Any] = {
        "label": schema.get("title", ""),
        "help_text": schema.get("description", ""),
        "initial": schema.get("default"),
    }
    if options := schema.get("anyOf"):  # a value or null: an empty entry means null
        common["required"] = False
        schema = {**schema, **next(o for o in options if o.get("type") != "null"), "null": True}
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    if "enum" in schema:
        return _choice(schema, common)
    match schema.get("type"):
        case "string":
            return _text(schema, common)
        case "boolean":
            return forms.BooleanField(**{**common, "required": False, "widget": Switch()})
        case "array":
            return _several(schema, common)
        case "integer" | "number":
            return _number(schema, common)
        case _:
            return forms.JSONField(widget=forms.Textarea(attrs={"rows": 4}), **common)


def _choice(schema: Schema, common: dict[str, Any]) -> forms.Field:
    values = {str(choice): choice for choice in schema["enum"] if choice is not None}
    empty = [("", "None")] if schema.get("null") else []
    return forms.TypedChoiceField(
        choices=[*empty, *((choice, choice) for choice in values)],
        coerce=lambda raw: values[str(raw)],
        empty_value=None,
        **common,
    )


def _text(schema: Schema, common: dict[str, Any]) -> forms.Field:
    needed = schema.get("minLength", 0) > 0
    empty: str | None = None if schema.get("null") else ""
    return forms.CharField(
        max_length=schema.get("maxLength"),
        empty_value=empty,
        strip=True,
        **{"required": needed, **common},
    )


def _number(schema: Schema, common: dict[str, Any]) -> forms.Field:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    bounds = {"min_value": low, "max_value": high}
    if schema["type"] == "integer":
        return forms.IntegerField(**bounds, **common)
    return forms.FloatField(widget=forms.NumberInput(attrs={"step": "any"}), **bounds, **common)


def _several(schema: Schema, common: dict[str, Any]) -> forms.Field:
    items = schema.get("items") or next(iter(schema.get("prefixItems") or [{}]))
    item = {"number": float, "integer": int, "string": str}.get(items.get("type", ""))
    if item is None:
        return forms.JSONField(
            required=False, widget=forms.Textarea(attrs={"rows": 3}), **_free(common)
        )
    return ListField(item=item, required=False, **_free(common))


def _free(common: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in common.items() if key != "required"}


def _as_sent(field: forms.Field) -> Any:
    """Return a field's default as a browser would send it; "" where there is none."""
    shown = field.prepare_value(field.initial)
    return "" if shown is None else shown if isinstance(shown, bool) else str(shown)


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> dict[str, Any]:
    """Follow a reference into ``$defs``, also behind ``anyOf``; what stands beside it wins."""
    found = dict(schema)
    if reference := found.pop("$ref", ""):
        found = {**definitions.get(str(reference).rpartition("/")[2], {}), **found}
    if "anyOf" in found:
        found["anyOf"] = [_resolved(option, definitions) for option in found["anyOf"]]
    return found
