"""What went wrong in a form, for the summary on top of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django import forms


class Fault(NamedTuple):
    id: str
    label: str
    message: str


def faults(all_forms: Iterable[forms.BaseForm]) -> list[Fault]:
    """Return every error of these forms, with the id of the field to go to ("" = the whole)."""
    found: list[Fault] = []
    for form in all_forms:
        for name, errors in form.errors.items():
            bound = form[name] if name in form.fields else None
            target, label = (
                (str(bound.id_for_label or bound.auto_id), str(bound.label)) if bound else ("", "")
            )
            found.extend(Fault(target, label, str(error)) for error in errors)
    return found
