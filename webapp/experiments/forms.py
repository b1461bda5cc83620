"""Forms of an experiment: its tasks, its arms, its seeds, its limits.

An arm's parameters are the fields of its strategy's own model. Names stand for ladders, task sets,
collections and endpoints, as in a definition: one that this workspace has not is an error at its
field and not another one silently taken.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django import forms
from django.db.models import Count

from collab_core.experiments.definition import MAX_ARMS, MAX_SEEDS, Definition
from collab_core.experiments.published import PUBLISHED
from collab_core.tools.registry import COLLECTION_TOOLS
from webapp.experiments.models import TaskItem, TaskSet
from webapp.runs.forms import SettingsForm, usable_ladders
from webapp.runs.models import Collection
from webapp.runs.services import MAX_SEED
from webapp.teams.models import Workspace
from webapp.tiers.models import Endpoint

MAX_SWEEP = 20
_RANGE = re.compile(r"(\d{1,10})(?:\s*-\s*(\d{1,10}))?\Z")
_JUDGED = ("judge", "critic")


_EASE = {"easy": 0, "medium": 1, "hard": 2}


class SeedsField(forms.CharField):
    """Seeds and ranges of them: ``0-4, 7``; the page counts them by the same rule."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> list[int]:  # type: ignore[override]
        seeds: list[int] = []
        for part in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*-\s*", "-", str(value or "")))):
            found = _RANGE.match(part)
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
            if not first <= last <= MAX_SEED or last - first >= MAX_SEEDS:
                raise forms.ValidationError(
                    f"{part[:40]} is no seed. Write seeds from 0 to {MAX_SEED:,} and ranges: 0-4, 7."
                )
            seeds.extend(seed for seed in range(first, last + 1) if seed not in seeds)
        if len(seeds) > MAX_SEEDS:
            raise forms.ValidationError(f"These are {len(seeds)} seeds; at most {MAX_SEEDS} fit.")
        return seeds


class IdsField(forms.CharField):
    """Task ids, one a line."""

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]


class NamesField(forms.MultipleChoiceField):
    """Several of the names that the chosen task set has."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.CheckboxSelectMultiple, **kwargs)


class Group(NamedTuple):
    """So many tasks of a set have this difficulty and this category."""

    difficulty: str
    category: str
    tasks: int


class ExperimentForm(SettingsForm):
    """Everything of an experiment but its arms."""

    name = forms.CharField(label="Name", max_length=120)
    description = forms.CharField(
        label="What it is to find out", max_length=4_000, required=False, widget=forms.Textarea(attrs={"rows": 2}),
    )  # fmt: skip
    task_set = forms.ChoiceField(
        label="Task set", error_messages={"required": "Choose a task set, or add one first."}
    )
    difficulties = NamesField(label="Difficulty", help_text="None ticked: all.")
    categories = NamesField(label="Category", help_text="None ticked: all.")
    ids = IdsField(
        label="These tasks only", required=False, widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="Ids, one a line. They replace the choices above.",
    )  # fmt: skip
    count = forms.IntegerField(
        label="How many", min_value=1, required=False, help_text="Drawn at random; empty: all.",
    )  # fmt: skip
    sample_seed = forms.IntegerField(
        label="Seed of the draw", min_value=0, max_value=MAX_SEED, initial=0, required=False, help_text="The same seed draws the same tasks.",
    )  # fmt: skip
    seeds = SeedsField(
        label="Seeds", initial="0", help_text="Every arm does every task once a seed: 0-4, 7.",
        error_messages={"required": "Give at least one seed: 0."},
    )  # fmt: skip
    judge = forms.ChoiceField(
        label="Judge", required=False, help_text="The endpoint that grades the answers. Its verdicts are kept and can be asked for again.",
    )  # fmt: skip
    collection = forms.ChoiceField(
        label="Collection", required=False, help_text="The documents that search and read work on.",
    )  # fmt: skip
    baseline = forms.CharField(
        label="Baseline", required=False, max_length=80, help_text="The arm that speedups are against. It can be changed on the result page.",
    )  # fmt: skip
    published = forms.ChoiceField(
        label="Published rows beside", required=False, help_text="Rows of a paper, marked as such. They were measured elsewhere.",
    )  # fmt: skip
    max_parallel = forms.IntegerField(
        label="Runs at the same time", min_value=1, max_value=10_000, required=False, help_text="Empty: as many as the installation allows.",
    )  # fmt: skip
    parent = forms.UUIDField(required=False, widget=forms.HiddenInput)
    key = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace = workspace
        self.missing: list[str] = []
        """What the beginning names and the workspace has not, in words."""
        self.fields["key"].initial = uuid.uuid4().hex
        self._offer("task_set", self._task_set_choices())
        self._offer("collection", [("", "That of the task set"), *collection_choices(workspace)])
        self._offer("judge", [("", "Choose an endpoint"), *endpoint_choices(workspace)])
        self._offer("published", [("", "None"), *published_choices()])
        self.chosen = self._chosen_task_set()
        self.groups = groups(self.chosen) if self.chosen else []
        for name, values in (
            ("difficulties", [group.difficulty for group in self.groups]),
            ("categories", [group.category for group in self.groups]),
        ):
            self._offer(name, [(value, value) for value in dict.fromkeys(values) if value])

    def _offer(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        """Set a field's choices; a beginning that is none of them is shown as what it is."""
        given = self.initial.get(name)
        unknown = (
            [(given, f"{given} (not in this workspace)")]
            if isinstance(given, str) and given not in dict(choices) and not self.is_bound
            else []
        )
        self.fields[name].choices = [*unknown, *choices]  # type: ignore[attr-defined]
        if given and unknown:
            self.missing.append(f"{str(self.fields[name].label).lower()} {given}")

    def _task_set_choices(self) -> list[tuple[str, str]]:
        found = TaskSet.objects.live().filter(workspace=self.workspace).order_by("title", "name")
        return [(one.name, f"{one.title} ({one.name}, {one.tasks_total:,} tasks)") for one in found]

    def _chosen_task_set(self) -> TaskSet | None:
        """The set that is chosen, else the one that the browser shows first."""
        choices: Any = self.fields["task_set"].choices  # type: ignore[attr-defined]
        name = self["task_set"].value() or next((value for value, _ in choices), "")
        live = TaskSet.objects.live().filter(workspace=self.workspace, name=str(name)[:80])
        return live.first()

    @property
    def choice_fields(self) -> list[forms.BoundField]:
        return [self["difficulties"], self["categories"]]

    @property
    def limits_wrong(self) -> bool:
        return any(field.errors for field in self.limit_fields)

    @property
    def judged(self) -> bool:
        return self.chosen is not None and self.chosen.needs in _JUDGED

    def values(self) -> dict[str, Any]:
        """Return the definition that a valid form says, without the arms."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "description": data["description"],
            "tasks": {
                "name": data["task_set"],
                "ids": data["ids"] or None,
                "difficulties": data["difficulties"],
                "categories": data["categories"],
                "count": data["count"],
                "sample_seed": data["sample_seed"] or 0,
            },
            "seeds": data["seeds"],
            "limits": self.limits(),
            "tools": self._chosen_tools(),
            "collection": data["collection"],
            "baseline": data["baseline"],
            "judge": {"endpoint": data["judge"]} if data["judge"] else None,
            "published": data["published"],
        }

    def _chosen_tools(self) -> list[str] | None:
        """Return the ticked tools; those of a collection only with one. None = the default ones."""
        if not self.cleaned_data["tools_shown"]:
            return None
        ticked: list[str] = self.cleaned_data["tools"]
        if self.cleaned_data["collection"] or (self.chosen and self.chosen.collection_id):
            return ticked
        return [name for name in ticked if name not in COLLECTION_TOOLS]


class ArmForm(forms.Form):
    """What an arm is called, and the ladder it runs on."""

    use_required_attribute = False

    label = forms.CharField(label="Name of the arm", max_length=80)
    strategy = forms.CharField(widget=forms.HiddenInput)
    ladder = forms.ChoiceField(label="Ladder")

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = [ladder.name for ladder in usable_ladders(workspace)]
        given = self.initial.get("ladder")
        known: list[tuple[str, str]] = [(name, name) for name in names]
        self.missing = ""
        """The ladder that the beginning names and the workspace has not; "" = it has it."""
        if given and given not in names and not self.is_bound:
            self.missing = given
            known.insert(0, (given, f"{given} (not in this workspace)"))
        self.fields["ladder"].choices = known  # type: ignore[attr-defined]


class DefinitionForm(forms.Form):
    """A definition to begin with."""

    use_required_attribute = False

    file = forms.FileField(
        label="Definition", help_text="A .json file that was exported from an experiment.",
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
    )  # fmt: skip


class TaskSetForm(forms.Form):
    """Questions and answers of one's own."""

    use_required_attribute = False

    file = forms.FileField(
        label="File",
        help_text='JSON lines {"question": …, "answers": […]}, or CSV with the columns question and '
        "answer. Also read: id, difficulty, category.",
        error_messages={"required": "Choose a file.", "empty": "The file is empty."},
    )
    name = forms.CharField(
        label="Name", max_length=80, required=False, help_text="Empty: that of the file."
    )
    collection = forms.ChoiceField(
        label="Collection", required=False, help_text="The documents that the tasks are about."
    )

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["collection"].choices = [("", "None"), *collection_choices(workspace)]  # type: ignore[attr-defined]


def groups(task_set: TaskSet) -> list[Group]:
    """Return how many tasks a set has of each difficulty and category, in the order of the set."""
    found = (
        TaskItem.objects.filter(task_set=task_set)
        .values_list("difficulty", "category")
        .annotate(tasks=Count("pk"))
        .order_by("difficulty", "category")
    )
    rows = [Group(*row) for row in found]
    return sorted(rows, key=lambda row: _EASE.get(row.difficulty, len(_EASE)))


def initial_of(definition: Definition) -> dict[str, Any]:
    """Return what the form shows of a definition."""
    tasks = definition.tasks
    shown: dict[str, Any] = {
        "name": definition.name,
        "description": definition.description,
        "task_set": tasks.name,
        "ids": list(tasks.ids or ()),
        "difficulties": list(tasks.difficulties),
        "categories": list(tasks.categories),
        "count": tasks.count,
        "sample_seed": tasks.sample_seed,
        "seeds": list(definition.seeds),
        "judge": definition.judge.endpoint if definition.judge else "",
        "collection": definition.collection,
        "baseline": definition.baseline,
        "published": definition.published,
        **definition.limits,
    }
    if definition.tools is not None:
        shown["tools"] = list(definition.tools)
    return shown


def collection_choices(workspace: Workspace) -> list[tuple[str, str]]:
    found = Collection.objects.filter(workspace=workspace).order_by("title")
    return [(one.name, one.title) for one in found]


def endpoint_choices(workspace: Workspace) -> list[tuple[str, str]]:
    found = Endpoint.objects.filter(workspace=workspace, archived_at=None).order_by("name")
    return [(one.name, f"{one.name} ({one.model})") for one in found]


def published_choices() -> Iterable[tuple[str, str]]:
    return [(name, one.title) for name, one in PUBLISHED.items()]


def too_many(arms: int) -> str:
    """Return what is wrong with so many arms; "" = nothing."""
    return (
        f"An experiment holds at most {MAX_ARMS} arms; these are {arms}." if arms > MAX_ARMS else ""
    )


def counts_of(form: ExperimentForm) -> Mapping[str, Any]:
    """Return what the page counts the chosen tasks by."""
    return {"groups": [list(group) for group in form.groups]}
