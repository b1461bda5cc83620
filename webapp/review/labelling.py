"""A reviewer's work: get an item, save, change, take back, skip, and look at the verdict afterwards.

All rules hold here, whatever the browser thinks: at most ``overlap`` labels an item, who may label
which, one label a reviewer and step, a save that is sent twice is stored once. The items of a step are
locked first, so two people at the same moment come one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.db.models import Count, Exists, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django.utils import timezone

from collab_core.errors import InvalidInput
from collab_core.review.labels import MAX_COMMENT_CHARS
from webapp.experiments import labels as experiment_labels
from webapp.review.models import (
    Answer,
    Assignment,
    Item,
    LabelRevision,
    Opening,
    Queue,
    Reservation,
    Seat,
    Skip,
    StepLabel,
)
from webapp.teams import audit
from webapp.teams.access import require_may_review, role_in
from webapp.teams.models import User

RESERVED_S = 600
"""An item that somebody looks at is theirs for so long; saving later is possible while there is room."""
MOST_HELD = 3
"""The item in view and the next ones, fetched ahead."""
MAX_SECONDS = 3_600.0


class Refused(InvalidInput):
    """The item cannot take this label any more; nothing was stored."""

    code = "item_taken"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a reviewer answered."""

    answer: str
    comment: str = ""
    first_error: bool = False
    key: str | None = None
    """Made once by the browser for each save; sending it again changes nothing."""
    seconds: float | None = None


class Saved(NamedTuple):
    label: StepLabel
    repeated: bool
    """The same save had been stored before."""


_turn = threading.RLock()


@contextmanager
def _in_turn() -> Iterator[None]:
    """A transaction. SQLite lets one writer in at a time and is not fair to those who wait: with many
    reviewers some would wait until they are refused, so the threads of this process queue up first."""
    with _turn if connection.vendor == "sqlite" else nullcontext(), transaction.atomic():
        yield


# --- getting items ------------------------------------------------------------------------------
def reserve(queue: Queue, user: User, *, want: int = 2) -> list[Item]:
    """Return up to ``want`` items to label, the ones already held first; they are held from now on.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer, somebody the queue is not for.
    """
    require_place(queue, user)
    if queue.closed_at is not None:
        return []
    want = max(1, min(want, MOST_HELD))
    with _in_turn():
        seat, _ = Seat.objects.get_or_create(
            queue=queue, user=user, defaults={"seen_at": timezone.now()}
        )
        held = list(_held(queue, user)[:want])
        found = list(held)
        for beyond in (Q(position__gt=seat.position), Q(position__lte=seat.position)):
            if len(found) < want:
                known = {item.pk for item in found}
                found += _take(
                    open_items(queue, user).filter(beyond), user, want - len(found), known
                )
        _hold(held, user)
        last = max((item.position for item in found), default=seat.position)
        Seat.objects.filter(pk=seat.pk).update(
            position=max(last, seat.position), seen_at=timezone.now()
        )
    return found


def _held(queue: Queue, user: User) -> QuerySet[Item]:
    """What the reviewer got earlier and has not dealt with."""
    mine = Reservation.objects.live().filter(user=user, item__queue=queue)
    return open_items(queue, user).filter(pk__in=mine.values("item")).order_by("position")


def open_items(queue: Queue, user: User) -> QuerySet[Item]:
    """Items that this reviewer could label now."""
    found = open_in(Queue.objects.filter(pk=queue.pk), user)
    return found.select_related("run", "queue__label_set__workspace")


def open_in(queues: QuerySet[Queue], user: User) -> QuerySet[Item]:
    """Items of several queues that this reviewer could label now; the queues are open and for them."""
    own = StepLabel.objects.current().filter(
        label_set_id=OuterRef("queue__label_set_id"),
        run_uuid=OuterRef("run_uuid"),
        step=OuterRef("step"),
        reviewer=user.username,
    )
    others = (
        Reservation.objects.live()
        .filter(item=OuterRef("pk"))
        .exclude(user=user)
        .order_by()
        .values("item")
        .annotate(n=Count("pk"))
        .values("n")
    )
    dealt = Assignment.objects.filter(item=OuterRef("pk"), user=user)
    found = Item.objects.filter(
        ~Exists(own),
        ~Exists(Skip.objects.filter(item=OuterRef("pk"), user=user)),
        Q(queue__dealt=False) | Exists(dealt),
        queue__in=queues.values("pk"),
        closed=False,
        run__isnull=False,
    )
    held = Coalesce(Subquery(others, output_field=IntegerField()), 0)
    return found.annotate(held=held).filter(labels__lt=F("queue__label_set__overlap") - F("held"))


def _take(items: QuerySet[Item], user: User, want: int, known: set[int]) -> list[Item]:
    """Lock the next items one by one; who holds the lock counts what others have reserved."""
    taken: list[Item] = []
    candidates = items.exclude(pk__in=known).order_by("position").values_list("pk", flat=True)
    for pk in list(candidates[: want + MOST_HELD]):
        item = (
            Item.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("queue__label_set", "run")
            .filter(pk=pk)
            .first()
        )
        if item is not None and _has_room([item], user):
            _hold([item], user)
            taken.append(item)
        if len(taken) == want:
            break
    return taken


def _hold(items: Iterable[Item], user: User) -> None:
    until = Now() + timedelta(seconds=RESERVED_S)
    Reservation.objects.bulk_create(
        [Reservation(item=item, user=user, until=until) for item in items],
        update_conflicts=True,
        unique_fields=["item", "user"],
        update_fields=["until"],
    )


def _has_room(items: list[Item], user: User) -> bool:
    """Whether one more label fits, with what others hold; the items are locked."""
    first = items[0]
    label_set = first.queue.label_set
    labels = StepLabel.objects.current().filter(
        label_set=label_set, run_uuid=first.run_uuid, step=first.step
    )
    done = set(labels.exclude(reviewer=user.username).values_list("reviewer", flat=True))
    held = Reservation.objects.live().filter(item__in=items).exclude(user=user)
    holding = set(held.exclude(user__username__in=done).values_list("user_id", flat=True))
    return len(done) + len(holding) < label_set.overlap


# --- saving -------------------------------------------------------------------------------------
def save(item: Item, user: User, given: Given) -> Saved:
    """Store the reviewer's label of an item's step, or change it; the earlier state is kept.

    The same ``key`` again gives what the first one stored. Somebody whose reservation has expired
    may still save while there is room.

    Raises:
        Refused: others have labelled it as often as it takes, or its queue is closed.
        InvalidInput: the answer is none. Http404, PermissionDenied: who may not label it.
    """
    queue = item.queue
    require_place(queue, user)
    given = _checked(given)
    with _in_turn():
        items = _locked(item)
        if earlier := _stored(user, given.key):
            return Saved(earlier, repeated=True)
        label = label_of(item, user)
        if label is None or not label.answer:
            _require_open(items, item, user)
        changed = label is not None and bool(label.answer)
        label = _write(label or _new_label(item, user), user, given)
        _count(items)
        Reservation.objects.filter(item__in=items, user=user).delete()
        Skip.objects.filter(item__in=items, user=user).delete()
        experiment_labels.changed(item.run_uuid)
        action = audit.Action.LABEL_CHANGED if changed else audit.Action.LABEL_SAVED
        _record(item, user, action, revision=label.revision, blind=label.blind)
    return Saved(label, repeated=False)


def undo(item: Item, user: User, *, key: str | None = None) -> Saved:
    """Take the reviewer's own label or skip of an item back; the item is theirs again.

    Raises:
        InvalidInput: there is none. Http404, PermissionDenied: who may not label it.
    """
    require_place(item.queue, user)
    with _in_turn():
        items = _locked(item)
        if earlier := _stored(user, key):
            return Saved(earlier, repeated=True)
        label = label_of(item, user)
        skipped = Skip.objects.filter(item=item, user=user).delete()[0]
        if label is None or not label.answer:
            if not skipped:
                raise InvalidInput("There is no label of yours here to take back.", field="item")
            label = label or _new_label(item, user)
        else:
            taken_back = Given(answer="", comment=label.comment, key=key)
            label = _write(label, user, taken_back)
            _count(items)
            experiment_labels.changed(item.run_uuid)
        if _has_room(items, user):
            _hold([item], user)
        _record(item, user, audit.Action.LABEL_UNDONE, skip=bool(skipped))
    return Saved(label, repeated=False)


def skip(item: Item, user: User) -> None:
    """Pass an item over: it is not served to this reviewer again, and free for others.

    Raises:
        InvalidInput: it is labelled already. Http404, PermissionDenied: who may not label it.
    """
    require_place(item.queue, user)
    with _in_turn():
        _locked(item)
        label = label_of(item, user)
        if label is not None and label.answer:
            raise InvalidInput("You have labelled this item; undo the label first.", field="item")
        made = Skip.objects.get_or_create(item=item, user=user)[1]
        Reservation.objects.filter(item=item, user=user).delete()
        if made:
            _record(item, user, audit.Action.LABEL_SKIPPED)


def reveal(item: Item, user: User) -> bool:
    """Let the reviewer see what was hidden, if they may now; the first time is kept.

    From then on a change of the label is no longer blind.
    """
    label = label_of(item, user)
    if not item.queue.label_set.blind:
        return True
    if label is None or (not label.answer and label.revealed_at is None):
        return False
    StepLabel.objects.filter(pk=label.pk, revealed_at=None).update(revealed_at=timezone.now())
    return True


# --- inside a save ------------------------------------------------------------------------------
def require_place(queue: Queue, user: User) -> None:
    """Raises: Http404, PermissionDenied: a stranger, a viewer, somebody the queue is not for."""
    require_may_review(role_in(user, queue.label_set.workspace_id))
    people = set(queue.people.values_list("pk", flat=True))
    if people and user.pk not in people:
        raise PermissionDenied("This queue is for other people; ask who made it to add you.")


def _locked(item: Item) -> list[Item]:
    """Lock the step's items in all queues of the label set, in one order."""
    same = Item.objects.of_step(item.queue.label_set_id, item.run_uuid, item.step)
    locked = same.select_for_update(of=("self",)).select_related("queue__label_set")
    return list(locked.order_by("pk"))


def _stored(user: User, key: str | None) -> StepLabel | None:
    if key is None:
        return None
    found = LabelRevision.objects.filter(user_id=user.pk, key=key).select_related("label").first()
    return found.label if found else None


def label_of(item: Item, user: User) -> StepLabel | None:
    return StepLabel.objects.filter(
        label_set_id=item.queue.label_set_id,
        run_uuid=item.run_uuid,
        step=item.step,
        reviewer=user.username,
    ).first()


def _require_open(items: list[Item], item: Item, user: User) -> None:
    if item.queue.closed_at is not None:
        raise Refused("This queue was closed meanwhile.", hint="The label was not stored.")
    if item.queue.dealt and not item.assignments.filter(user=user).exists():
        raise PermissionDenied("This item is for somebody else.")
    if not _has_room(items, user):
        raise Refused(
            "Others have taken this item meanwhile; it needs no more labels.",
            hint="The label was not stored. Go on with the next item.",
        )


def _new_label(item: Item, user: User) -> StepLabel:
    return StepLabel(
        label_set_id=item.queue.label_set_id,
        item=item,
        run_uuid=item.run_uuid,
        step=item.step,
        reviewer=user.username,
        user=user,
        blind=item.queue.label_set.blind,
        saved_at=timezone.now(),
    )


def _write(label: StepLabel, user: User, given: Given) -> StepLabel:
    """Put an answer into the label and append the revision that says so."""
    label.answer, label.comment = given.answer, given.comment
    label.blind = label.item.queue.label_set.blind and label.revealed_at is None
    label.opened = Opening.objects.filter(run_uuid=label.run_uuid, user=user).exists()
    label.revision += 1
    label.saved_at = timezone.now()
    label.first_error = given.first_error and given.answer == Answer.NO
    if label.revision == 1:
        label.seconds = given.seconds
    if label.first_error:
        _move_first_error(label)
    label.save()
    _append(label, user, given.key)
    return label


def _move_first_error(label: StepLabel) -> None:
    """A run has one first wrong step a reviewer: marking another one takes the mark from the old."""
    marked = StepLabel.objects.filter(
        label_set_id=label.label_set_id,
        run_uuid=label.run_uuid,
        reviewer=label.reviewer,
        first_error=True,
    ).exclude(pk=label.pk)
    for other in marked.select_for_update():
        other.first_error = False
        other.revision += 1
        other.save(update_fields=["first_error", "revision"])
        _append(other, label.user, None)


def _append(label: StepLabel, user: User | None, key: str | None) -> None:
    LabelRevision.objects.create(
        label=label,
        number=label.revision,
        at=label.saved_at,
        user_id=user.pk if user else None,
        key=key,
        answer=label.answer,
        comment=label.comment,
        first_error=label.first_error,
        blind=label.blind and not label.opened,
    )


def _count(items: list[Item]) -> None:
    first = items[0]
    label_set = first.queue.label_set
    labels = StepLabel.objects.current().filter(
        label_set=label_set, run_uuid=first.run_uuid, step=first.step
    )
    count = labels.count()
    Item.objects.filter(pk__in=[item.pk for item in items]).update(
        labels=count, closed=count >= label_set.overlap
    )


def _checked(given: Given) -> Given:
    if given.answer not in Answer.values:
        raise InvalidInput(f"Answer with one of {', '.join(Answer.values)}.", field="answer")
    comment = given.comment.replace("\x00", "\ufffd").strip()
    if len(comment) > MAX_COMMENT_CHARS:
        raise InvalidInput(
            f"A comment has at most {MAX_COMMENT_CHARS:,} characters; this one has {len(comment):,}.",
            field="comment",
        )
    if given.key is not None and not (1 <= len(given.key) <= 100 and given.key.isprintable()):
        raise InvalidInput("A key has 1 to 100 printable characters.", field="key")
    seconds = given.seconds
    if seconds is not None and not 0 <= seconds <= MAX_SECONDS:
        seconds = None  # left open over lunch: no measure of the work
    return Given(
        answer=given.answer,
        comment=comment,
        first_error=given.first_error,
        key=given.key,
        seconds=seconds,
    )


def _record(item: Item, user: User, action: audit.Action, **detail: object) -> None:
    """The answer itself is not told: the log is open to people who have not labelled the step yet."""
    audit.record(
        item.queue.label_set.workspace_id,
        user,
        action,
        target=str(item),
        url=f"{reverse('review:run', args=[item.run_uuid])}#step-{item.step}",
        detail={"label_set": item.queue.label_set.name, "queue": item.queue.name, **detail},
    )
