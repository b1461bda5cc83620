"""The form of a training: from what, with which encoder and seed; the options are the trainer's."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, Q, QuerySet

from collab_core.learned.scorers import PUBLISHED
from collab_core.learned.trainer import Trainer
from webapp.learning.services import encoders
from webapp.learning.sources import MAX_RUNS, MAX_UPLOAD_BYTES, finished_runs
from webapp.learning.weights import offers
from webapp.review.models import Answer, LabelSet
from webapp.runs.forms import usable_ladders
from webapp.runs.models import Collection
from webapp.runs.services import MAX_SEED
from webapp.schema_fields import SchemaForm, schema_form
from webapp.teams.models import Workspace
from webapp.tiers.models import Ladder

if TYPE_CHECKING:  # generic for the type checker only
    _LadderChoice = forms.ModelChoiceField[Ladder]
    _LabelSetChoice = forms.ModelChoiceField[LabelSet]
else:
    _LadderChoice = _LabelSetChoice = forms.ModelChoiceField


class LadderWithRuns(_LadderChoice):
    """A ladder and how many finished runs there are to learn from."""

    def label_from_instance(self, obj: Any) -> str:
        assert isinstance(obj, Ladder)
        found = len(finished_runs(obj.workspace, obj))
        return f"{obj.name} ({found} finished {'run' if found == 1 else 'runs'})"


class LabelSetWithAnswers(_LabelSetChoice):
    """A label set and how many labels of each answer it has; see :func:`_labelled`."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} (labels: {obj.progress} progress, {obj.no_progress} no progress)"


class TrainingForm(forms.Form):
    """Where the training's material comes from, and what the result is called."""

    use_required_attribute = False

    name = forms.CharField(
        label="Name", required=False, max_length=60, help_text="Empty: the kind and a number."
    )
    source = forms.ChoiceField(
        label="Learn from",
        choices=[("runs", "Finished runs of this workspace"), ("upload", "An uploaded log")],
        initial="runs",
    )
    ladder = LadderWithRuns(
        label="Ladder", queryset=Ladder.objects.none(), required=False, to_field_name="uuid", empty_label=None,
        help_text="The weights are for its tiers, and for no others.",
    )  # fmt: skip
    collection = forms.ModelChoiceField(
        label="Collection", queryset=Collection.objects.none(), required=False, to_field_name="uuid",
        empty_label="All", help_text="Only runs over these documents.",
    )  # fmt: skip
    most = forms.IntegerField(
        label="Runs at most", min_value=1, max_value=MAX_RUNS, initial=1_000, required=False, help_text="The newest are taken.",
    )  # fmt: skip
    file = forms.FileField(
        label="Log",
        required=False,
        help_text="JSON lines: an exported run, or several one after the other. "
        f"At most {MAX_UPLOAD_BYTES // 1024**2} MiB.",
    )
    label_set = LabelSetWithAnswers(
        label="Label set", queryset=LabelSet.objects.none(), required=False, to_field_name="uuid",
        empty_label="None: a label file", help_text="Its labels as they are now. Sets without any are not listed.",
    )  # fmt: skip
    labels = forms.FileField(
        label="Label file",
        required=False,
        help_text="Instead of a label set: an exported one (.jsonl or .csv) about runs of this "
        "workspace.",
    )
    encoder = forms.ChoiceField(label="Encoder", choices=encoders, required=False)
    classifier = forms.ChoiceField(
        label="Published classifier", required=False, help_text="The operator adds some with manage.py add_weights.",
    )  # fmt: skip
    seed = forms.IntegerField(
        label="Seed", min_value=0, max_value=MAX_SEED, initial=0, required=False, help_text="The same runs, options and seed give the same weights.",
    )  # fmt: skip
    key = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, workspace: Workspace, trainer: Trainer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trainer = trainer
        if trainer.needs_labels:
            sets = _labelled(workspace)
            self.fields["label_set"].queryset = sets  # type: ignore[attr-defined]
            self.fields["label_set"].initial = (newest := sets.first()) and newest.uuid
            # an uploaded log does not say which run it is, and labels name runs
            source = self.fields["source"]
            source.choices = source.choices[:1]  # type: ignore[attr-defined]
        ladders = usable_ladders(workspace).select_related("workspace")
        self.fields["ladder"].queryset = ladders  # type: ignore[attr-defined]
        collections = Collection.objects.filter(workspace=workspace).order_by("title")
        self.fields["collection"].queryset = collections  # type: ignore[attr-defined]
        published = offers(workspace).get(PUBLISHED, [])
        nothing = [] if published else [("", "None in this workspace")]
        self.fields["classifier"].choices = [*nothing, *published]  # type: ignore[attr-defined]
        self.fields["key"].initial = uuid.uuid4().hex

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        uploads = data.get("source") == "upload"
        if uploads and not data.get("file"):
            self.add_error("file", "Choose a file.")
        if not uploads and not data.get("ladder") and "ladder" not in self.errors:
            self.add_error("ladder", "Choose a ladder. Owners make one under Tiers.")
        given = [data.get("label_set"), data.get("labels")]
        if self._trainer.needs_labels and not any(given) and "labels" not in self.errors:
            self.add_error("labels", "Choose a label set or a label file.")
        return data

    def clean_labels(self) -> UploadedFile[bytes] | None:
        return self._small_enough(self.cleaned_data["labels"])

    def clean_file(self) -> UploadedFile[bytes] | None:
        return self._small_enough(self.cleaned_data["file"])

    @staticmethod
    def _small_enough(file: UploadedFile[bytes] | None) -> UploadedFile[bytes] | None:
        if file is not None and (file.size or 0) > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(f"At most {MAX_UPLOAD_BYTES // 1024**2} MiB are allowed.")
        return file


def options_form(trainer: Trainer, data: Any = None) -> SchemaForm:
    """Return the form of a trainer's own options."""
    return schema_form(trainer.options)(data, prefix="option", auto_id="id_%s")


def _labelled(workspace: Workspace) -> QuerySet[LabelSet]:
    """Return the label sets that say something, the newest first, with the number of each answer."""
    counted = LabelSet.objects.filter(workspace=workspace).annotate(
        progress=Count("labels", filter=Q(labels__answer=Answer.YES)),
        no_progress=Count("labels", filter=Q(labels__answer=Answer.NO)),
    )
    return counted.filter(Q(progress__gt=0) | Q(no_progress__gt=0)).order_by("-id")
