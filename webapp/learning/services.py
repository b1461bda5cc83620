"""The only writers of trainings outside a worker: submit and cancel."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from collab_core.errors import InvalidInput
from collab_core.learned.encoders import HASHED
from collab_core.learned.training import find_trainer, parse_options
from collab_core.review.files import form_of, to_jsonl
from collab_core.review.settle import settle
from webapp.learning.models import Training, TrainingStatus
from webapp.learning.sources import (
    MAX_RUNS,
    MAX_UPLOAD_BYTES,
    UPLOAD,
    finished_runs,
    work_folder,
)
from webapp.learning.tasks import enqueue
from webapp.learning.weights import locate_classifier
from webapp.review.labels import core_labels
from webapp.review.models import LabelSet
from webapp.runs.models import Collection
from webapp.runs.services import MAX_SEED, QuotaReached
from webapp.teams.access import require_may_run, role_in
from webapp.teams.audit import Action, record
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder

logger = logging.getLogger(__name__)
MAX_ALIVE = 10
"""Trainings of one workspace that wait or run: each is minutes of a whole core."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be trained, on what. Give a ladder (runs on it) or an upload."""

    kind: str
    name: str = ""
    """"" = the kind and the next number."""
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    encoder: str = ""
    """"" = the encoder of this installation; "hashed" is always allowed."""
    ladder: Ladder | None = None
    collection: Collection | None = None
    classifier: str = ""
    """Reference of a published classifier, where the trainer needs one."""
    most: int = MAX_RUNS
    """Runs at most, the newest."""
    upload: Iterable[bytes] | None = None
    """The pieces of a JSON-lines log."""
    labels: Iterable[bytes] | None = None
    """The pieces of a label file, where the trainer needs labels."""
    labels_name: str = ""
    """The file's name: its ending tells the form."""
    label_set: LabelSet | None = None
    """Instead of a file: its labels as they are now."""
    idempotency_key: str | None = None


def submit(workspace: Workspace, user: User, order: Order) -> Training:
    """Store a queued training and wake a worker up once it is durable.

    The same ``idempotency_key`` of the same user gives the training of the first submission.

    Raises:
        InvalidInput: with the field at fault; QuotaReached: too many wait.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, workspace.pk))
    if earlier := _earlier(user, order.idempotency_key):
        return earlier
    options = parse_options(order.kind, order.options).model_dump(mode="json")
    source = _source(workspace, order) | _classifier(workspace, order)
    if labels := _labels(workspace, order):
        source |= {"labels": labels.file, "words": f"{source['words']}, with {labels.words}"}
    training = Training(
        workspace=workspace,
        submitted_by=user,
        kind=order.kind,
        name=_checked_name(order.name) or _next_name(workspace, order.kind),
        seed=_checked_seed(order.seed),
        encoder=checked_encoder(order.encoder),
        options=options,
        source=source,
        idempotency_key=order.idempotency_key,
        enqueued_at=timezone.now(),
    )
    _check_quota(workspace)
    if order.upload is not None:
        _keep(work_folder(training), UPLOAD, order.upload)
    if name := training.source.get("labels"):
        _keep(work_folder(training), name, _label_lines(order), field="labels")
    try:
        with transaction.atomic():
            training.save()
            _record(training, user, Action.TRAINING_SUBMITTED)
            transaction.on_commit(partial(enqueue, training.pk))
    except IntegrityError:
        # the same key arrived twice at once; the other one was first
        tidy(training)
        if earlier := _earlier(user, order.idempotency_key):
            return earlier
        raise
    return training


def cancel(training: Training, user: User) -> None:
    """Stop a training: at once if no worker has it, else within seconds. An ended one stays.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, training.workspace_id))
    mine = Training.objects.filter(pk=training.pk)
    with transaction.atomic():
        queued = mine.filter(status=TrainingStatus.QUEUED).update(
            status=TrainingStatus.CANCELLED, finished_at=Now(), cancel_requested_at=Now()
        )
        running = mine.filter(status=TrainingStatus.RUNNING, cancel_requested_at=None).update(
            cancel_requested_at=Now()
        )
        if queued or running:
            _record(training, user, Action.TRAINING_CANCELLED)
    if queued:
        tidy(training)


def _record(training: Training, user: User, action: Action) -> None:
    record(
        training.workspace_id,
        user,
        action,
        target=training.name,
        url=reverse("learning:training", args=[training.uuid]),
        detail={"kind": training.kind},
    )


def tidy(training: Training) -> None:
    """Remove the files of a training that has ended; its weights are elsewhere."""
    shutil.rmtree(work_folder(training), ignore_errors=True)


def encoders() -> list[tuple[str, str]]:
    """Return (value, words) of the encoders that may be chosen: this installation's, and hashed."""
    hashed = (HASHED, "Hashed bag of words (stand-in)")
    mine = settings.ENCODER
    return [hashed] if mine in ("", HASHED) else [(mine, Path(mine).name), hashed]


def encoder_words(value: str) -> str:
    """Return an encoder's name for people: where it lies is the operator's business."""
    return value if value == HASHED else Path(value).name


def checked_encoder(name: str) -> str:
    """Return the encoder to use.

    Raises:
        InvalidInput: it is neither this installation's nor "hashed": paths are the operator's.
    """
    allowed = {value: value for value, _ in encoders()} | {words: v for v, words in encoders()}
    if not name:
        return encoders()[0][0]
    if name not in allowed:
        raise InvalidInput(
            f"There is no encoder {name[:80]!r} here.",
            field="encoder",
            hint="The operator sets one with TANDEM_ENCODER; hashed is always there.",
        )
    return allowed[name]


# --- checks -------------------------------------------------------------------------------------
def _source(workspace: Workspace, order: Order) -> dict[str, Any]:
    if (order.ladder is None) == (order.upload is None):
        raise InvalidInput("Choose runs of a ladder, or upload a log.", field="ladder")
    if order.ladder is None:
        return {"words": "an uploaded log", "upload": True}
    if order.ladder.workspace_id != workspace.pk:
        raise InvalidInput("There is no such ladder in this workspace.", field="ladder")
    if order.collection is not None and order.collection.workspace_id != workspace.pk:
        raise InvalidInput("There is no such collection in this workspace.", field="collection")
    if not 1 <= order.most <= MAX_RUNS:
        raise InvalidInput(f"Between 1 and {MAX_RUNS:,} runs can be used.", field="most")
    found = finished_runs(workspace, order.ladder, collection=order.collection, most=order.most)
    if not found:
        raise InvalidInput(
            f"There is no finished run on ladder {order.ladder.name} with the tiers it has now"
            + (f" over {order.collection.title}." if order.collection else "."),
            field="ladder",
            hint="Run some tasks first, or choose another ladder or collection.",
        )
    over = f" over {order.collection.title}" if order.collection else ""
    words = f"{len(found)} finished runs on {order.ladder.name}{over}"
    return {"words": words, "runs": found, "ladder": order.ladder.name}


def _classifier(workspace: Workspace, order: Order) -> dict[str, str]:
    if not find_trainer(order.kind).needs_classifier:
        return {}
    locate_classifier(workspace, order.classifier)
    return {"classifier": order.classifier}


class _Labels(NamedTuple):
    file: str
    words: str


def _labels(workspace: Workspace, order: Order) -> _Labels | None:
    if not find_trainer(order.kind).needs_labels:
        if order.labels is not None or order.label_set is not None:
            raise InvalidInput("This kind does not learn from labels.", field="labels")
        return None
    chosen = order.label_set
    if (order.labels is None) == (chosen is None):
        raise InvalidInput(
            "This kind learns from labels. Choose a label set or a label file.", field="labels"
        )
    if chosen is not None and chosen.workspace_id != workspace.pk:
        raise InvalidInput("There is no such label set in this workspace.", field="label_set")
    if order.ladder is None:
        raise InvalidInput(
            "Labels name steps of this workspace's runs.",
            field="source",
            hint="Learn from finished runs; an uploaded log does not say which run it is.",
        )
    if chosen is None:
        return _Labels(f"labels.{form_of(order.labels_name)}", "an uploaded label file")
    if not chosen.labels.exclude(answer="").exists():
        raise InvalidInput(f"The label set {chosen.name} has no labels yet.", field="label_set")
    _check_enough(chosen, find_trainer(order.kind).least_of_each)
    return _Labels("labels.jsonl", f"the label set {chosen.name}")


def _check_enough(chosen: LabelSet, least: int) -> None:
    """Refuse what the training would refuse: it can only use some of these steps, never more."""
    answers = Counter(label.made_progress for label in settle(core_labels(chosen)))
    if min(answers[True], answers[False]) < least:
        raise InvalidInput(
            f"The label set {chosen.name} says progress of {answers[True]} and no progress of "
            f"{answers[False]} steps; {least} of each are the least.",
            field="label_set",
            hint="Label more steps; a queue drawn most suspicious first finds the rarer kind sooner.",
        )


def _label_lines(order: Order) -> Iterable[bytes]:
    if order.label_set is not None:
        return to_jsonl(core_labels(order.label_set))
    return order.labels or ()


def _checked_name(name: str) -> str:
    text = " ".join(name.split())
    if len(text) > 60 or not text.isprintable():
        raise InvalidInput("A name has at most 60 printable characters.", field="name")
    return text


def _next_name(workspace: Workspace, kind: str) -> str:
    return f"{kind}-{Training.objects.filter(workspace=workspace, kind=kind).count() + 1}"


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise InvalidInput(f"The seed must be between 0 and {MAX_SEED}.", field="seed")
    return seed


def _check_quota(workspace: Workspace) -> None:
    alive = Training.objects.alive().filter(workspace=workspace).count()
    if alive >= MAX_ALIVE:
        raise QuotaReached(
            f"{alive} trainings of this workspace are waiting or running; at most {MAX_ALIVE} may.",
            hint="Wait for some to end, or stop some.",
        )


def _earlier(user: User, key: str | None) -> Training | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 90 or not key.isprintable():
        raise InvalidInput(
            "An idempotency key has 1 to 90 printable characters.", field="idempotency_key"
        )
    return Training.objects.filter(submitted_by=user, idempotency_key=key).first()


def _keep(folder: Path, name: str, pieces: Iterable[bytes], *, field: str = "file") -> None:
    """Store an upload; the log itself is read by the training, which says what is wrong with it."""
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    with (folder / name).open("wb") as file:
        for piece in pieces:
            size += len(piece)
            if size > MAX_UPLOAD_BYTES:
                break
            file.write(piece)
    if not 0 < size <= MAX_UPLOAD_BYTES:
        shutil.rmtree(folder, ignore_errors=True)
        most = MAX_UPLOAD_BYTES // 1024**2
        what = "empty" if size == 0 else f"larger than {most} MiB"
        raise InvalidInput(f"The file is {what}.", field=field)
