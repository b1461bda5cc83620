"""The form of a new queue: which runs, which of their steps, for whom."""

from __future__ import annotations

import random
from typing import Any

from django import forms

from collab_core.strategies.registry import STRATEGIES
from webapp.review import sampling, services
from webapp.review.models import QUESTION, LabelSet, Method
from webapp.runs.models import Status
from webapp.runs.queries import OUTCOMES, RunFilters
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder

METHODS = [
    (Method.RANDOM, "At random: every step alike"),
    (Method.STRATIFIED, "Stratified: the same number of each kind"),
    (Method.SUSPICIOUS, "Suspicious verdicts more often"),
    (Method.ALL, "Every step"),
]
STRATA = [
    ("verdict", "What the agent said"),
    ("tier", "Tier"),
    ("position", "Step position"),
    ("strategy", "Strategy"),
]
ENDED = [("", "Any"), *((one.value, one.label) for one in Status)]


class QueueForm(forms.Form):
    """Fields named like those of a run list are its filters."""

    name = forms.CharField(max_length=120, label="Name of the queue")
    label_set = forms.ModelChoiceField(
        queryset=LabelSet.objects.none(),
        required=False,
        empty_label="A new label set",
        label="Label set",
        help_text="Labels of one set are compared with each other and exported together.",
    )
    set_name = forms.CharField(max_length=services.MAX_NAME, required=False, label="Its name")
    question = forms.CharField(
        max_length=services.MAX_QUESTION, required=False, label="Question", initial=QUESTION
    )
    overlap = forms.IntegerField(
        min_value=1,
        max_value=services.MAX_OVERLAP,
        required=False,
        initial=1,
        label="Reviewers an item",
        help_text="Two or more are needed to measure agreement.",
    )
    adjudicator = forms.ModelChoiceField(
        queryset=User.objects.none(),
        required=False,
        empty_label="Owners only",
        label="Who decides disagreements",
    )

    q = forms.CharField(max_length=200, required=False, label="Words of the task, or run-12")
    status = forms.ChoiceField(choices=ENDED, required=False, label="Status")
    outcome = forms.ChoiceField(
        choices=[("", "Any"), *((one, one.capitalize()) for one in OUTCOMES)],
        required=False,
        label="Outcome",
    )
    strategy = forms.ChoiceField(choices=(), required=False, label="Strategy")
    ladder = forms.ChoiceField(choices=(), required=False, label="Ladder")
    collection = forms.CharField(max_length=80, required=False, label="Collection")
    experiment = forms.CharField(max_length=40, required=False, label="Experiment, as experiment-3")
    who = forms.CharField(max_length=150, required=False, label="Submitted by")
    from_ = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    to = forms.DateField(required=False, label="To", widget=forms.DateInput({"type": "date"}))

    method = forms.ChoiceField(choices=METHODS, label="Draw", initial=Method.RANDOM)
    size = forms.IntegerField(
        min_value=1, max_value=sampling.MAX_ITEMS, required=False, initial=60, label="Steps"
    )
    strata = forms.MultipleChoiceField(
        choices=STRATA,
        required=False,
        initial=["verdict"],
        widget=forms.CheckboxSelectMultiple,
        label="Kinds by",
    )
    seed = forms.IntegerField(
        min_value=0, max_value=services.MAX_SEED, required=False, label="Seed of the draw"
    )
    people = forms.ModelMultipleChoiceField(
        queryset=User.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Reviewers",
        help_text="Nobody ticked: everybody who may review.",
    )
    dealt = forms.BooleanField(
        required=False, label="Deal the items out to them, instead of first come, first served"
    )

    def __init__(self, *args: Any, workspace: Workspace, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.workspace = workspace
        people = services.reviewers(workspace)
        sets = LabelSet.objects.filter(workspace=workspace).order_by("-pk")
        self._field("label_set").queryset = sets
        self._field("adjudicator").queryset = people
        self._field("people").queryset = people
        strategies = [(name, strategy.title) for name, strategy in STRATEGIES.items()]
        self._field("strategy").choices = [("", "Any"), *strategies]
        names = Ladder.objects.filter(workspace=workspace).values_list("name", flat=True)
        self._field("ladder").choices = [("", "Any"), *((one, one) for one in sorted(set(names)))]
        if not self.is_bound and "seed" not in self.initial:
            self.initial["seed"] = random.randrange(1_000_000)
        for name in self.fields:
            if self[name].help_text:
                self.fields[name].widget.attrs["aria-describedby"] = f"id_{name}_helptext"

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not data.get("label_set") and not data.get("set_name"):
            self.add_error("set_name", "Name the new label set.")
        if data.get("method") != Method.ALL and data.get("size") is None and "size" in data:
            self.add_error("size", "Say how many steps to draw.")
        if data.get("method") == Method.STRATIFIED and not data.get("strata"):
            self.add_error("strata", "Tick what the kinds are made of.")
        return data

    def filters(self) -> RunFilters:
        """Return the runs that were asked for, as the list of runs would filter them."""
        data = self.cleaned_data
        days = {name: str(data[key] or "") for name, key in (("from", "from_"), ("to", "to"))}
        keys = ("q", "status", "outcome", "strategy", "ladder", "collection", "experiment", "who")
        return RunFilters.from_query({key: data[key] for key in keys} | days)

    @property
    def filter_fields(self) -> list[forms.BoundField]:
        names = (
            *("q", "strategy", "ladder", "outcome", "status", "collection", "experiment", "who"),
            *("from_", "to"),
        )
        return [self[name] for name in names]
