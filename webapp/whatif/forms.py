"""The form of a what-if: which runs, which other strategy."""

from __future__ import annotations

from typing import Any

from django import forms

from webapp.runs.forms import fork_choices
from webapp.schema_fields import SchemaForm


class WhatIfForm(forms.Form):
    """An arm where the runs are an experiment's; the chosen runs are in the address otherwise."""

    use_required_attribute = False

    arm = forms.ChoiceField(label="Runs of the arm", required=False)
    strategy = forms.ChoiceField(
        label="Instead under",
        choices=fork_choices,
        help_text="Strategies that decide step by step.",
    )

    def __init__(self, *args: Any, arms: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["arm"].choices = [(arm, arm) for arm in arms]  # type: ignore[attr-defined]
        self.fields["arm"].required = bool(arms)


def deciding(form: SchemaForm) -> dict[str, Any]:
    """Return the parameters that decide; what shapes the prompts is taken from each run."""
    return {field.name: form.cleaned_data[field.name] for field in form.own_fields}
