"""What the pages show of queues, items and labels; the blind rules are kept by ``blind``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from webapp.review import blind
from webapp.review.labelling import label_of, open_in, open_items
from webapp.review.labels import kind
from webapp.review.models import Item, LabelSet, Queue, Seat, StepLabel
from webapp.teams.models import User

UPCOMING = 8
MOST_OPEN = 1_000
PACE_OF = 30
"""Labels that the pace is the average of, the latest."""
TOGETHER_S = 900.0
"""Who was seen in the queue so recently counts as working along."""


class Progress(NamedTuple):
    """How far a queue is, as the reviewer who asks sees it."""

    total: int
    done: int
    """Items that have all their labels."""
    labels: int
    """Labels of its items; ``total`` times the overlap when all are done."""
    mine: int
    open: int
    """Items that the asker could label now, counted up to ``MOST_OPEN``."""
    left_s: float | None
    """Until nothing is open for the asker at their pace, with those who work along; None = no pace
    yet."""

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


def progress(queue: Queue, user: User) -> Progress:
    """Return how far a queue is; inside an index, for any number of items."""
    total = done = labels = 0
    groups = Item.objects.filter(queue=queue).values("closed", "labels").annotate(n=Count("pk"))
    for group in groups:
        total += group["n"]
        done += group["n"] if group["closed"] else 0
        labels += group["n"] * group["labels"]
    mine = StepLabel.objects.current().filter(item__queue=queue, user=user).count()
    open_now = 0 if queue.closed_at else open_items(queue, user)[:MOST_OPEN].count()
    return Progress(total, done, labels, mine, open_now, _left_s(queue, user, labels, open_now))


def _left_s(queue: Queue, user: User, labels: int, open_now: int) -> float | None:
    recent = (
        StepLabel.objects.current()
        .filter(label_set_id=queue.label_set_id, user=user, seconds__isnull=False)
        .order_by("-saved_at")
        .values_list("seconds", flat=True)[:PACE_OF]
    )
    paces = [float(one) for one in recent if one is not None]
    if not paces:
        return None
    since = timezone.now() - timedelta(seconds=TOGETHER_S)
    together = Seat.objects.filter(queue=queue, seen_at__gte=since).count()
    missing = max(0, queue.drawn * queue.label_set.overlap - labels) / max(1, together)
    left = min(missing, open_now) if open_now < MOST_OPEN else missing
    return left * sum(paces) / len(paces)


def payload(item: Item, user: User) -> dict[str, Any]:
    """Return an item with its trajectory as this reviewer may see it now."""
    label = label_of(item, user)
    given = label is not None and (bool(label.answer) or label.revealed_at is not None)
    hide = item.queue.label_set.blind
    told: dict[str, Any] = {
        "position": item.position,
        "ref": item.run_ref,
        "step": item.step,
        "blind": hide,
        "label": own_label(label) if label is not None else None,
        "may_reveal": given and hide,
    }
    if item.run is None:
        return told | {"gone": True, "question": "", "context": [], "before": 0, "after": 0}
    numbers = blind.finished_steps(item.run)
    first, last = blind.window(numbers, item.step)
    return told | {
        "gone": False,
        "question": item.run.question,
        "context": blind.steps(item.run, numbers[first:last], hide=hide),
        "before": first,
        "after": len(numbers) - last,
    }


def more_steps(item: Item, beyond: int, *, earlier: bool) -> dict[str, Any]:
    """Return further context: the steps before or after ``beyond``, hidden like the rest."""
    if item.run is None:
        return {"context": [], "left": 0}
    numbers = blind.finished_steps(item.run)
    if earlier:
        rest = [number for number in numbers if number < beyond]
        chosen = rest[-blind.MAX_STEPS :]
    else:
        rest = [number for number in numbers if number > beyond]
        chosen = rest[: blind.MAX_STEPS]
    hide = item.queue.label_set.blind
    return {
        "context": blind.steps(item.run, chosen, hide=hide),
        "left": len(rest) - len(chosen),
    }


def revealed(item: Item, user: User) -> dict[str, Any]:
    """Return the judged step in full, and what everybody said of it; only after ``reveal``."""
    label = label_of(item, user)
    shown = blind.steps(item.run, [item.step], hide=False) if item.run is not None else []
    return {
        "position": item.position,
        "step": shown[0] if shown else None,
        "kind": kind(label.answer, item.verdict) if label is not None else "",
        "verdict": item.verdict,
        "labels": [
            {"reviewer": one.reviewer, **own_label(one), "kind": kind(one.answer, item.verdict)}
            for one in _labels(item)
        ],
        "run_url": f"/review/runs/{item.run_uuid}/#step-{item.step}" if item.run else "",
    }


def _labels(item: Item) -> Sequence[StepLabel]:
    return list(
        StepLabel.objects.current()
        .filter(label_set_id=item.queue.label_set_id, run_uuid=item.run_uuid, step=item.step)
        .order_by("saved_at")
    )


def own_label(label: StepLabel) -> dict[str, Any]:
    """Return a label without what is derived from the verdict."""
    return {
        "answer": label.answer,
        "comment": label.comment,
        "first_error": label.first_error,
        "revision": label.revision,
        "blind": label.blind,
    }


def upcoming(queue: Queue, user: User) -> list[dict[str, Any]]:
    """Return the next items in line for this reviewer: which task and step, nothing of the verdict."""
    seat = Seat.objects.filter(queue=queue, user=user).values_list("position", flat=True).first()
    mine = open_items(queue, user)
    items = list(mine.filter(position__gt=seat or 0).order_by("position")[:UPCOMING])
    return [row(item) for item in items]


def row(item: Item) -> dict[str, Any]:
    return {
        "position": item.position,
        "ref": item.run_ref,
        "step": item.step,
        "question": item.run.question[:120] if item.run is not None else "",
    }


class QueueRow(NamedTuple):
    """A queue as the lists show it."""

    queue: Queue
    total: int
    done: int
    labels: int
    mine: bool
    """The user may label in it."""
    given: int = 0
    """Labels of the user's own."""
    left: bool = False
    """Something in it is open for the user now."""

    @property
    def words(self) -> str:
        """Where its runs come from: filters tell strategies, so not while it is labelled blindly."""
        source = self.queue.source
        told = str(source.get("words", ""))
        if self.queue.label_set.blind and self.open:
            return f"{source.get('runs', 0):,} runs"
        return told

    @property
    def open(self) -> bool:
        return self.queue.closed_at is None and self.done < self.total


def queue_rows(label_sets: Sequence[LabelSet], user: User) -> dict[int, list[QueueRow]]:
    """Return the queues of label sets by the set's id, the newest first; five queries."""
    queues = (
        Queue.objects.filter(label_set__in=label_sets)
        .select_related("label_set", "created_by")
        .prefetch_related("people")
        .order_by("-pk")
    )
    counts: dict[int, list[int]] = {}
    grouped = Item.objects.filter(queue__label_set__in=label_sets).values(
        "queue_id", "closed", "labels"
    )
    for one in grouped.annotate(n=Count("pk")):
        sums = counts.setdefault(one["queue_id"], [0, 0, 0])
        sums[0] += one["n"]
        sums[1] += one["n"] if one["closed"] else 0
        sums[2] += one["n"] * one["labels"]
    given, left = _own(label_sets, user)
    rows: dict[int, list[QueueRow]] = {}
    for queue in queues:
        people = list(queue.people.all())
        mine = not people or user in people
        total, done, labels = counts.get(queue.pk, [0, 0, 0])
        row = QueueRow(
            queue=queue,
            total=total,
            done=done,
            labels=labels,
            mine=mine,
            given=given.get(queue.pk, 0),
            left=mine and queue.pk in left,
        )
        rows.setdefault(queue.label_set_id, []).append(row)
    return rows


def _own(label_sets: Sequence[LabelSet], user: User) -> tuple[dict[int, int], set[int]]:
    """How many labels the user gave in each queue, and which queues have something open for them."""
    own = StepLabel.objects.current().filter(label_set__in=label_sets, user=user)
    given = own.order_by().values_list("item__queue").annotate(n=Count("pk"))
    running = Queue.objects.filter(label_set__in=label_sets, closed_at=None)
    waits = Exists(open_in(running, user).filter(queue=OuterRef("pk")))
    return dict(given), set(running.filter(waits).values_list("pk", flat=True))


def waiting_for(user: User, workspace_id: int, most: int) -> int:
    """Return how many items wait for this user, counted up to ``most``: the navigation asks."""
    queues = Queue.objects.filter(label_set__workspace_id=workspace_id, closed_at=None)
    mine = queues.filter(Q(people=user) | Q(people=None)).values("pk")
    return open_in(Queue.objects.filter(pk__in=mine), user)[:most].count()
