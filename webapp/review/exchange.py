"""Label sets as files: the format is the core's, ``collab_core/review/files.py``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

import collab_core
from collab_core.errors import InvalidInput
from collab_core.review.files import (
    Draw,
    Form,
    LabelManifest,
    Reading,
    Sampling,
    manifest_of,
    read_labels,
    to_csv,
    to_jsonl,
)
from collab_core.review.labels import Label
from webapp.experiments import labels as experiment_labels
from webapp.review import frame, services
from webapp.review.labels import ADJUDICATOR, ANSWERS, Place, blind_items, core_labels
from webapp.review.models import (
    MAX_REVIEWER_CHARS,
    Decision,
    Item,
    LabelRevision,
    LabelSet,
    Method,
    Queue,
    StepLabel,
)
from webapp.runs.models import Run
from webapp.teams import audit
from webapp.teams.access import require_owner, role_in
from webapp.teams.models import User, Workspace

MAX_ROWS = 20_000
"""Labels of one import: each is looked up and written by itself, in one transaction."""
MAX_REFUSED = 200
"""Refused rows that are told one by one; the rest is counted."""


class Export(NamedTuple):
    """The files of a label set, all from one reading."""

    files: dict[str, bytes]
    manifest: LabelManifest
    withheld: int
    """Steps left out because the asker could still label them blindly."""


class Refusal(NamedTuple):
    line: int
    message: str


class _Unkept(Exception):
    """No row of the file can be kept: what was made for it is taken back."""


@dataclass
class Imported:
    """What became of a file's rows."""

    label_set: LabelSet | None = None
    stored: int = 0
    unchanged: int = 0
    """Known already, word for word."""
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, line: int, message: str) -> None:
        self.refused += 1
        if len(self.refusals) < MAX_REFUSED:
            self.refusals.append(Refusal(line, message))


# --- out ----------------------------------------------------------------------------------------
def export(label_set: LabelSet, user: User, *, history: bool = True) -> Export:
    """Return the set as JSON lines and CSV with their manifest, as far as ``user`` may see it."""
    hidden = hidden_places(label_set, user)
    labels = core_labels(label_set, history=history, without=hidden)
    files = {
        "labels.jsonl": b"".join(to_jsonl(labels)),
        "labels.csv": b"".join(to_csv(labels)),
    }
    manifest = manifest_of(
        labels,
        files,
        workspace=label_set.workspace.name,
        label_set=label_set.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=collab_core.__version__,
        sampling=_sampling(label_set),
    )
    record_export(label_set, user, len(labels), len(hidden))
    return Export(files, manifest, len(hidden))


def hidden_places(label_set: LabelSet, user: User) -> set[Place]:
    """Return the labelled steps of the set that are blind for this person."""
    labelled = StepLabel.objects.filter(label_set=label_set).current()
    given = set(labelled.values_list("run_uuid", "step"))
    blind = blind_items(user, queue__label_set__workspace=label_set.workspace_id)
    runs = {run for run, _ in given}
    return given & set(blind.filter(run_uuid__in=runs).values_list("run_uuid", "step"))


def record_export(label_set: LabelSet, user: User, labels: int, withheld: int) -> None:
    audit.record(
        label_set.workspace_id,
        user,
        audit.Action.LABELS_EXPORTED,
        target=label_set.name,
        url=reverse("review:set", args=[label_set.uuid]),
        detail={"labels": labels, "withheld": withheld},
    )


def _sampling(label_set: LabelSet) -> Sampling:
    """Describe the draw; several queues are told by their sums, and one by one."""
    queues = list(label_set.queues.exclude(method=Method.IMPORTED).order_by("pk"))
    if not queues:
        return Sampling(reviewers_per_item=label_set.overlap)
    draws = tuple(_draw(queue) for queue in queues)
    methods = {draw.method for draw in draws}
    return Sampling(
        method=methods.pop() if len(methods) == 1 else "several",
        seed=draws[0].seed if len(draws) == 1 else None,
        population=sum(queue.population for queue in queues),
        drawn=sum(queue.drawn for queue in queues),
        stratified_by=tuple(sorted({name for draw in draws for name in draw.stratified_by})),
        reviewers_per_item=label_set.overlap,
        draws=draws if len(draws) > 1 else (),
    )


def _draw(queue: Queue) -> Draw:
    stratified = queue.method == Method.STRATIFIED
    return Draw(
        queue=queue.name,
        method=queue.method,  # type: ignore[arg-type]
        seed=queue.seed,
        population=queue.population,
        drawn=queue.drawn,
        stratified_by=tuple(queue.strata) if stratified else (),
    )


# --- in -----------------------------------------------------------------------------------------
def import_labels(
    workspace: Workspace, user: User, blob: bytes, *, form: Form, into: str
) -> Imported:
    """Store a file's labels in the label set named ``into``, made if there is none.

    Rows that cannot be kept are refused one by one with a reason: no label, a run that is not in this
    workspace, a step that it does not have, a verdict that is not the log's, a label that differs from
    one that is here. The same file again changes nothing. Where no row can be kept, no label set is
    made: ``label_set`` is the one that was there, or None.

    Raises:
        InvalidInput: the file is none of this format, or holds nothing. Http404, PermissionDenied: not
            an owner.
    """
    require_owner(role_in(user, workspace.pk))
    reading = read_labels(blob, form=form)
    if len(reading.labels) > MAX_ROWS:
        raise InvalidInput(
            f"One import takes {MAX_ROWS:,} labels; this file has {len(reading.labels):,}.",
            field="file",
            hint="Split it; the parts can go into the same label set.",
        )
    result = Imported()
    for error in reading.errors:
        result.refuse(error.line, error.message)
    result.refused += reading.bad_lines - len(reading.errors)
    if not reading.labels and not reading.bad_lines:
        raise InvalidInput(
            "Nothing in this file can be read: it is empty.",
            field="file",
            hint="Export a label set to see what a label file looks like.",
        )
    try:
        with transaction.atomic():
            _store(workspace, user, reading, into, result)
    except _Unkept:
        result.label_set = None
    return result


def _store(workspace: Workspace, user: User, reading: Reading, into: str, result: Imported) -> None:
    label_set = LabelSet.objects.filter(workspace=workspace, name=into.strip()).first()
    new = label_set is None
    if label_set is None:
        label_set = services.create_label_set(workspace, user, name=into)
    result.label_set = label_set
    taken = _Import(label_set, user, result)
    taken.take(reading.labels, reading.lines)
    if new and not result.stored:
        raise _Unkept
    # at the very end: these rows are locked until it is over, and experiments go on beside it
    for run_uuid in sorted(taken.changed):
        experiment_labels.changed(run_uuid)
    audit.record(
        workspace,
        user,
        audit.Action.LABELS_IMPORTED,
        target=label_set.name,
        url=reverse("review:set", args=[label_set.uuid]),
        detail={"stored": result.stored, "refused": result.refused},
    )


class _Import:
    """One import into one label set."""

    def __init__(self, label_set: LabelSet, user: User, result: Imported) -> None:
        self.label_set, self.user, self.result = label_set, user, result
        self.queue: Queue | None = None
        self.items: dict[Place, Item] = {}
        self.lines: dict[int, int] = {}
        """The line of each label, by its ``id``: two lines may say the same of one step."""
        self.changed: set[UUID] = set()
        """Runs with other labels or decisions than before."""

    def take(self, labels: Sequence[Label], lines: Sequence[int]) -> None:
        """Take the labels, each with the line of the file where it stands."""
        self.lines = {id(label): line for label, line in zip(labels, lines, strict=True)}
        by_run: dict[UUID, list[Label]] = defaultdict(list)
        for label in labels:
            by_run[label.run_id].append(label)
        runs = Run.objects.filter(workspace_id=self.label_set.workspace_id, uuid__in=list(by_run))
        known = {run.uuid: run for run in runs.select_related("collection")}
        for uuid, rows in by_run.items():
            if uuid in known:
                self._take_run(known[uuid], rows)
            else:
                for row in rows:
                    self._refuse(row, "its run is not in this workspace")

    def _refuse(self, label: Label, why: str) -> None:
        where = f"run {label.run_id}, step {label.step}, {label.reviewer[:60]}"
        self.result.refuse(self.lines[id(label)], f"{where}: {why}")

    def _take_run(self, run: Run, rows: list[Label]) -> None:
        facts = frame.facts(run, {row.step for row in rows})
        rows.sort(key=lambda row: (row.step, row.reviewer, row.revision))
        for row in rows:
            step = facts.get(row.step)
            if step is None:
                self._refuse(row, f"{run.ref} has no finished step {row.step}")
            elif (step.verdict, step.scope) != (row.verdict, row.scope):
                self._refuse(row, f"the log of {run.ref} says another verdict of this step")
            elif row.adjudicated:
                self._decision(row)
            else:
                self._label(row, step)

    def _label(self, row: Label, step: frame.Candidate) -> None:
        answer = ANSWERS[row.made_progress].value
        label = StepLabel.objects.filter(
            label_set=self.label_set, run_uuid=row.run_id, step=row.step, reviewer=row.reviewer
        ).first()
        if label is not None:
            known = label.revisions.filter(number=row.revision).first()
            if known is not None:
                same = (known.answer, known.comment) == (answer, row.comment)
                if same:
                    self.result.unchanged += 1
                else:
                    self._refuse(row, "another label of this reviewer is here already")
                return
            if row.revision < label.revision:
                self._refuse(row, "a later label of this reviewer is here already")
                return
            if label.user_id is not None:
                self._refuse(
                    row, "its reviewer has labelled the step here; a file does not change that"
                )
                return
        if len(row.reviewer) > MAX_REVIEWER_CHARS:
            self._refuse(row, "the reviewer's name is too long")
            return
        label = label or StepLabel(
            label_set=self.label_set,
            item=self._item(row, step),
            run_uuid=row.run_id,
            step=row.step,
            reviewer=row.reviewer,
            blind=row.blind,
        )
        self._write(label, row, answer)

    def _write(self, label: StepLabel, row: Label, answer: str) -> None:
        label.answer, label.comment, label.blind = answer, row.comment, row.blind
        label.saved_at = datetime.fromtimestamp(row.at, tz=UTC)
        label.revision = row.revision
        label.first_error = row.first_error and not self._marked(label)
        label.save()
        LabelRevision.objects.create(
            label=label,
            number=row.revision,
            at=label.saved_at,
            answer=answer,
            comment=row.comment,
            first_error=label.first_error,
            blind=row.blind,
        )
        self._count(label)
        self.changed.add(label.run_uuid)
        self.result.stored += 1

    def _marked(self, label: StepLabel) -> bool:
        """Whether the reviewer's first wrong step of the run is another one here."""
        marks = StepLabel.objects.filter(
            label_set=self.label_set,
            run_uuid=label.run_uuid,
            reviewer=label.reviewer,
            first_error=True,
        )
        return marks.exclude(pk=label.pk).exists()

    def _count(self, label: StepLabel) -> None:
        labels = StepLabel.objects.filter(
            label_set=self.label_set, run_uuid=label.run_uuid, step=label.step
        )
        count = labels.current().count()
        same = Item.objects.of_step(self.label_set.pk, label.run_uuid, label.step)
        same.update(labels=count, closed=count >= self.label_set.overlap)

    def _decision(self, row: Label) -> None:
        by = row.reviewer.removesuffix(ADJUDICATOR)[:150]
        answer = ANSWERS[row.made_progress].value
        known = Decision.objects.filter(
            label_set=self.label_set, run_uuid=row.run_id, step=row.step, number=row.revision
        ).first()
        if known is not None:
            if (known.answer, known.reason) == (answer, row.comment):
                self.result.unchanged += 1
            else:
                self._refuse(row, "another decision on this step is here already")
            return
        Decision.objects.create(
            label_set=self.label_set,
            run_uuid=row.run_id,
            step=row.step,
            number=row.revision,
            answer=answer,
            reason=row.comment,
            by=by,
            at=datetime.fromtimestamp(row.at, tz=UTC),
        )
        self.changed.add(row.run_id)
        self.result.stored += 1

    def _item(self, row: Label, step: frame.Candidate) -> Item:
        """Return an item of the set for this step: one that is there, or one of the import's queue."""
        place = (row.run_id, row.step)
        if place not in self.items:
            there = Item.objects.of_step(self.label_set.pk, *place).order_by("pk").first()
            self.items[place] = there or self._new_item(row, step)
        return self.items[place]

    def _new_item(self, row: Label, step: frame.Candidate) -> Item:
        if self.queue is None:
            now = timezone.now()
            self.queue = Queue.objects.create(
                label_set=self.label_set,
                name=f"Imported {now:%Y-%m-%d %H:%M}",
                source={"words": "an imported file", "runs": 0},
                method=Method.IMPORTED,
                created_by=self.user,
                closed_at=now,
            )
        self.queue.drawn += 1
        item = services.item_of(
            self.queue,
            self.queue.drawn,
            step,
            probability=row.probability,
            stratum=row.stratum,
        )
        item.save()
        Queue.objects.filter(pk=self.queue.pk).update(drawn=self.queue.drawn)
        return item
