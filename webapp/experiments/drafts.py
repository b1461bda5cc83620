"""An experiment as it is being put together: the form and its arms, in what order, with what errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from collab_core.errors import InvalidInput
from collab_core.experiments.definition import MAX_ARMS, Definition
from collab_core.strategies.base import Strategy
from collab_core.strategies.registry import STRATEGIES
from webapp.experiments.forms import MAX_SWEEP, ArmForm, ExperimentForm, initial_of, too_many
from webapp.forms_summary import Fault, faults
from webapp.learning.weights import offers
from webapp.runs.forms import parameters_form
from webapp.schema_fields import SchemaForm
from webapp.teams.models import Workspace

_INDEX = re.compile(r"\d{1,6}\Z")


@dataclass(kw_only=True)
class DraftArm:
    """One arm of the form. ``index`` names its fields; the order is that of the page."""

    index: int
    strategy: Strategy
    form: ArmForm
    parameters: SchemaForm
    sweep_field: str = ""
    sweep_values: str = ""
    sweep_error: str = ""

    @property
    def label(self) -> str:
        return str(self.form["label"].value() or "")

    @property
    def errors(self) -> bool:
        return bool(self.form.errors or self.parameters.errors)

    @property
    def sweepable(self) -> list[tuple[str, str]]:
        """Return the parameters that can take several values, own ones first."""
        bound = [*self.parameters.own_fields, *self.parameters.agent_fields]
        return [(one.name, f"{one.label} ({one.name})") for one in bound]


@dataclass(kw_only=True)
class Draft:
    """The whole of it. ``notes`` say what of a definition could not be taken over."""

    workspace: Workspace
    form: ExperimentForm
    arms: list[DraftArm]
    notes: list[str] = field(default_factory=list)

    @property
    def summary(self) -> list[Fault]:
        """Return every error; the fields of several arms have one name, so theirs name the arm."""
        found = faults([self.form])
        for arm in self.arms:
            for fault in faults([arm.form, arm.parameters]):
                found.append(_named(fault, arm.label or arm.strategy.title))
        return found

    def is_valid(self) -> bool:
        """Check all that needs no look at the workspace, and put the errors at their fields."""
        fine = [self.form.is_valid()]
        for arm in self.arms:
            fine += [arm.form.is_valid(), arm.parameters.is_valid()]
        if not self.arms:
            self.form.add_error(None, "Add at least one arm: a strategy with its parameters.")
        elif words := too_many(len(self.arms)):
            self.form.add_error(None, words)
        labels = [arm.form.cleaned_data.get("label") for arm in self.arms]
        for place, arm in enumerate(self.arms):
            if labels[place] and labels[place] in labels[:place]:
                arm.form.add_error("label", f"There is an arm {labels[place]} already.")
        baseline = self.form.cleaned_data.get("baseline")
        if baseline and baseline not in labels:
            self.form.add_error("baseline", "Choose one of the arms.")
        return all(fine) and not self.summary

    def values(self) -> dict[str, Any]:
        """Return the definition that a valid draft says."""
        arms = [
            {
                "label": arm.form.cleaned_data["label"],
                "strategy": arm.strategy.name,
                "parameters": arm.parameters.cleaned_data,
                "ladder": arm.form.cleaned_data["ladder"],
            }
            for arm in self.arms
        ]
        return self.form.values() | {"arms": arms}

    def place(self, error: InvalidInput) -> None:
        """Put an error of the services at the field that it names."""
        head, *rest = error.field.split(".")
        if head == "arms" and rest and rest[0].isdigit() and int(rest[0]) < len(self.arms):
            _place_in_arm(self.arms[int(rest[0])], error, rest[1:])
            return
        name = _OF_DEFINITION.get(error.field) or (rest[0] if head == "tasks" and rest else head)
        shown = name in self.form.fields and not self.form.fields[name].widget.is_hidden
        self.form.add_error(name if shown else None, words(error))


_OF_DEFINITION = {
    "tasks": "task_set",
    "tasks.name": "task_set",
    "tasks.digest": "task_set",
    "judge.endpoint": "judge",
}


def words(error: InvalidInput) -> str:
    return f"{error.message} {error.hint}".strip()


def _place_in_arm(arm: DraftArm, error: InvalidInput, path: Sequence[str]) -> None:
    name = path[-1] if path else ""
    if name in arm.parameters.fields:
        arm.parameters.add_error(name, words(error))
    else:
        arm.form.add_error(name if name == "ladder" else "label", words(error))


def _named(fault: Fault, arm: str) -> Fault:
    if fault.id:
        return fault._replace(label=f"Arm {arm}, {fault.label}")
    return fault._replace(message=f"Arm {arm}: {fault.message}")


# --- from where ---------------------------------------------------------------------------------
def posted(workspace: Workspace, data: QueryDict) -> Draft:
    """Return what the form sent, bound: nothing of it is lost, whatever is wrong with it."""
    form = ExperimentForm(data, workspace=workspace)
    return Draft(workspace=workspace, form=form, arms=posted_arms(workspace, data))


def posted_arms(workspace: Workspace, data: QueryDict) -> list[DraftArm]:
    found = [posted_arm(workspace, data, index) for index in indexes(data)]
    return [arm for arm in found if arm is not None]


def posted_arm(workspace: Workspace, data: Mapping[str, Any], index: int) -> DraftArm | None:
    """Return one arm of the form; None if there is no such strategy."""
    strategy = STRATEGIES.get(str(data.get(f"arms-{index}-strategy", "")))
    if strategy is None:
        return None
    return DraftArm(
        index=index,
        strategy=strategy,
        form=ArmForm(data, prefix=f"arms-{index}", workspace=workspace),
        parameters=_parameters(workspace, strategy)(data, prefix=f"arms-{index}-p"),
        sweep_field=str(data.get(f"sweep-{index}-field", "")),
        sweep_values=str(data.get(f"sweep-{index}-values", "")),
    )


def indexes(data: QueryDict) -> list[int]:
    """Return the numbers of the form's arms in the order of the page."""
    sent = [int(raw) for raw in data.getlist("arm") if _INDEX.match(raw)]
    return list(dict.fromkeys(sent))[: MAX_ARMS + MAX_SWEEP]


def empty(workspace: Workspace) -> Draft:
    """Return the beginning of a new experiment: the paper's two sides, to be changed."""
    draft = Draft(workspace=workspace, form=ExperimentForm(workspace=workspace), arms=[])
    for name in ("agentcollab", "large"):
        arm = new_arm(workspace, name, len(draft.arms), taken=[one.label for one in draft.arms])
        draft.arms.append(arm)
    draft.form.initial["baseline"] = draft.arms[-1].label
    return draft


def of_definition(workspace: Workspace, definition: Definition, **initial: Any) -> Draft:
    """Return the form filled from a definition."""
    form = ExperimentForm(initial=initial_of(definition) | initial, workspace=workspace)
    draft = Draft(workspace=workspace, form=form, arms=[])
    for arm in definition.arms:
        if arm.strategy not in STRATEGIES:
            draft.notes.append(
                f"The arm {arm.label} was left out: there is no strategy {arm.strategy} here."
            )
            continue
        draft.arms.append(
            new_arm(
                workspace,
                arm.strategy,
                len(draft.arms),
                label=arm.label,
                ladder=arm.ladder,
                parameters=arm.parameters,
            )
        )
    ladders = dict.fromkeys(arm.form.missing for arm in draft.arms if arm.form.missing)
    if missing := [*form.missing, *(f"ladder {name}" for name in ladders)]:
        draft.notes.insert(
            0,
            f"This workspace has not: {'; '.join(missing)}. Choose others below, or add them and "
            "start from the definition again.",
        )
    return draft


def new_arm(
    workspace: Workspace,
    strategy: str,
    index: int,
    *,
    label: str = "",
    ladder: str = "",
    parameters: Mapping[str, Any] | None = None,
    taken: Iterable[str] = (),
) -> DraftArm:
    """Return an arm with the defaults of its strategy where nothing else is said."""
    found = STRATEGIES[strategy]
    initial = {
        "label": label or free_label(found.title, taken),
        "strategy": strategy,
        "ladder": ladder,
    }
    return DraftArm(
        index=index,
        strategy=found,
        form=ArmForm(initial=initial, prefix=f"arms-{index}", workspace=workspace),
        parameters=_parameters(workspace, found)(
            initial=dict(parameters or {}), prefix=f"arms-{index}-p"
        ),
    )


def copies(
    workspace: Workspace, data: QueryDict, index: int, changes: Sequence[Mapping[str, str]]
) -> list[DraftArm]:
    """Return a copy of a sent arm for each of ``changes``, with these entries in its place.

    Keys are the form's: ``label``, or ``p-`` and a parameter.
    """
    prefix, made = f"arms-{index}-", []
    following = max([*indexes(data), -1]) + 1
    for number, change in enumerate(changes, start=following):
        copy = QueryDict(mutable=True)
        for key in data:
            if key.startswith(prefix):
                copy.setlist(f"arms-{number}-{key.removeprefix(prefix)}", data.getlist(key))
        for key, value in change.items():
            copy[f"arms-{number}-{key}"] = value
        arm = posted_arm(workspace, copy, number)
        if arm is not None:
            made.append(arm)
    return made


def swept(workspace: Workspace, data: QueryDict, arm: DraftArm) -> list[DraftArm]:
    """Return an arm for each value of one parameter, instead of the one that is swept.

    Raises:
        InvalidInput: no such parameter, or no fitting values.
    """
    name = arm.sweep_field
    if name not in arm.parameters.fields:
        raise InvalidInput("Choose a parameter.")
    values = [part.strip() for part in arm.sweep_values.split(",") if part.strip()]
    if not 1 <= len(values) <= MAX_SWEEP:
        raise InvalidInput(f"Give 1 to {MAX_SWEEP} values, separated by commas: 0, 1, 2, 3.")
    if len(set(values)) < len(values):
        raise InvalidInput("A value stands there twice.")
    taken = [one.label for one in posted_arms(workspace, data) if one.index != arm.index]
    changes = []
    for value in values:
        label = free_label(f"{arm.label}, {name} {value}", taken)
        taken.append(label)
        changes.append({f"p-{name}": value, "label": label})
    made = copies(workspace, data, arm.index, changes)
    for one in made:
        if errors := one.parameters.errors.get(name):
            raise InvalidInput(f"{one.parameters[name].value()}: {errors[0]}")
    return made


def free_label(wanted: str, taken: Iterable[str]) -> str:
    """Return the label, with a number behind it if it is taken."""
    known, label, number = set(taken), wanted[:80], 2
    while label in known:
        label, number = f"{wanted[:76]} {number}", number + 1
    return label


def _parameters(workspace: Workspace, strategy: Strategy) -> type[SchemaForm]:
    return parameters_form(strategy, weights=offers(workspace))
