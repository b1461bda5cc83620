"""Label sets and queues: made, dealt out, closed. Labels themselves are saved by ``labelling``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from collab_core.errors import InvalidInput
from webapp.review import frame, sampling
from webapp.review.models import (
    QUESTION,
    Assignment,
    Item,
    LabelSet,
    Method,
    Queue,
    StepLabel,
)
from webapp.teams import audit
from webapp.teams.access import require_may_run, require_owner, role_in
from webapp.teams.models import Membership, Role, User, Workspace

MAX_OVERLAP = 10
MAX_NAME, MAX_QUESTION = 80, 300
MAX_SEED = 2**53 - 1
BATCH = 1_000
REVIEWERS = (Role.OWNER, Role.MEMBER, Role.REVIEWER)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A queue to be made."""

    name: str
    runs: Sequence[int]
    """Ids of the runs whose steps are drawn from; they must be the workspace's."""
    words: str
    """Where the runs come from, for people: "runs of strategy agentcollab"."""
    method: str = Method.RANDOM
    size: int = 100
    strata: Sequence[str] = ()
    seed: int = 0
    people: Sequence[User] = ()
    """Nobody = everybody who may review."""
    dealt: bool = False
    source: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be kept of where the runs come from, as plain JSON values."""


def create_label_set(
    workspace: Workspace,
    user: User,
    *,
    name: str,
    question: str = QUESTION,
    overlap: int = 1,
    adjudicator: User | None = None,
) -> LabelSet:
    """Store a label set; it is blind if the workspace's reviews are.

    Raises:
        InvalidInput: with the field at fault. Http404, PermissionDenied: who may not run.
    """
    require_may_run(role_in(user, workspace.pk))
    workspace.refresh_from_db()
    made = LabelSet(
        workspace=workspace,
        name=_line(name, MAX_NAME, "name"),
        question=_line(question or QUESTION, MAX_QUESTION, "question"),
        overlap=_between(overlap, 1, MAX_OVERLAP, "overlap"),
        blind=workspace.blind_review,
        adjudicator=_reviewer(workspace, adjudicator, "adjudicator") if adjudicator else None,
        created_by=user,
    )
    try:
        with transaction.atomic():
            made.save()
            detail = {"blind": made.blind, "overlap": made.overlap, "question": made.question}
            _record(made, user, audit.Action.LABEL_SET_CREATED, detail)
    except IntegrityError as error:
        raise InvalidInput(
            f"There is a label set named {made.name} already.", field="name"
        ) from error
    return made


def set_adjudicator(label_set: LabelSet, user: User, adjudicator: User | None) -> None:
    """Name who decides disagreements besides the owners.

    Raises:
        InvalidInput: they may not review. Http404, PermissionDenied: not an owner.
    """
    require_owner(role_in(user, label_set.workspace_id))
    if adjudicator is not None:
        _reviewer(label_set.workspace, adjudicator, "adjudicator")
    with transaction.atomic():
        LabelSet.objects.filter(pk=label_set.pk).update(adjudicator=adjudicator)
        detail = {"adjudicator": adjudicator.username if adjudicator else "nobody"}
        _record(label_set, user, audit.Action.LABEL_SET_CHANGED, detail)


def create_queue(label_set: LabelSet, user: User, wanted: Wanted) -> Queue:
    """Draw the steps and store them as a queue, all or nothing.

    Raises:
        InvalidInput: with the field at fault, or there is no step to label.
        Http404, PermissionDenied: who may not run.
    """
    require_may_run(role_in(user, label_set.workspace_id))
    _check(label_set, wanted)
    population = list(frame.candidates(_own_runs(label_set.workspace, wanted.runs)))
    if not population:
        raise InvalidInput(
            "These runs have no finished step with a verdict to label.",
            field="runs",
            hint="Choose other runs, or wait until some of their steps are finished.",
        )
    drawn = sampling.draw(
        population,
        method=wanted.method,
        size=wanted.size,
        strata=wanted.strata,
        seed=wanted.seed,
    )
    queue = Queue(
        label_set=label_set,
        name=_line(wanted.name, 120, "name"),
        source={**wanted.source, "words": wanted.words[:500], "runs": len(set(wanted.runs))},
        method=wanted.method,
        strata=list(wanted.strata),
        seed=wanted.seed,
        population=len(population),
        drawn=len(drawn),
        dealt=wanted.dealt,
        created_by=user,
    )
    with transaction.atomic():
        queue.save()
        queue.people.set(wanted.people)
        _store(queue, drawn)
        if wanted.dealt:
            _deal(queue, wanted.people)
        audit.record(
            label_set.workspace_id,
            user,
            audit.Action.QUEUE_CREATED,
            target=queue.name,
            url=reverse("review:set", args=[label_set.uuid]),
            detail={
                "label_set": label_set.name,
                "method": queue.method,
                "population": queue.population,
                "drawn": queue.drawn,
                "people": [person.username for person in wanted.people],
            },
        )
    return queue


def close_queue(queue: Queue, user: User) -> None:
    """Take no more labels in this queue; what is labelled stays.

    Raises:
        Http404, PermissionDenied: who may not run.
    """
    require_may_run(role_in(user, queue.label_set.workspace_id))
    with transaction.atomic():
        closed = Queue.objects.filter(pk=queue.pk, closed_at=None).update(closed_at=timezone.now())
        if closed:
            audit.record(
                queue.label_set.workspace_id,
                user,
                audit.Action.QUEUE_CLOSED,
                target=queue.name,
                url=reverse("review:set", args=[queue.label_set.uuid]),
                detail={"label_set": queue.label_set.name},
            )


def reviewers(workspace: Workspace) -> QuerySet[User]:
    """Return everybody who may label in a workspace, by name."""
    found = User.objects.filter(
        is_active=True, memberships__workspace=workspace, memberships__role__in=REVIEWERS
    )
    return found.order_by("username")


# --- checks -------------------------------------------------------------------------------------
def _check(label_set: LabelSet, wanted: Wanted) -> None:
    if wanted.method != Method.ALL:
        _between(wanted.size, 1, sampling.MAX_ITEMS, "size")
    _between(wanted.seed, 0, MAX_SEED, "seed")
    for person in wanted.people:
        _reviewer(label_set.workspace, person, "people")
    if wanted.dealt and len(wanted.people) < label_set.overlap:
        raise InvalidInput(
            f"Each item is for {label_set.overlap} different people; {len(wanted.people)} are named.",
            field="people",
            hint="Name more people, or let whoever comes first take an item.",
        )


def _own_runs(workspace: Workspace, run_ids: Sequence[int]) -> list[int]:
    wanted = sorted(set(run_ids))
    if len(wanted) > frame.MAX_RUNS:
        raise InvalidInput(
            f"At most {frame.MAX_RUNS:,} runs can be drawn from at once; these are {len(wanted):,}.",
            field="runs",
            hint="Narrow the filters.",
        )
    own = set(workspace.runs.order_by("pk").values_list("pk", flat=True))
    if not own.issuperset(wanted):
        raise InvalidInput("Some of these runs are not in this workspace.", field="runs")
    return wanted


def _reviewer(workspace: Workspace, person: User, name: str) -> User:
    role = Membership.objects.filter(workspace=workspace, user=person, role__in=REVIEWERS)
    if not role.exists():
        raise InvalidInput(f"{person.username} may not review in this workspace.", field=name)
    return person


def _line(text: str, most: int, name: str) -> str:
    line = " ".join(text.split())
    if not 1 <= len(line) <= most or not line.isprintable():
        raise InvalidInput(f"The {name} has 1 to {most} printable characters.", field=name)
    return line


def _between(number: int, low: int, high: int, name: str) -> int:
    if isinstance(number, bool) or not low <= number <= high:
        raise InvalidInput(f"The {name} is a number from {low} to {high:,}.", field=name)
    return number


# --- storing ------------------------------------------------------------------------------------
def _store(queue: Queue, drawn: Sequence[sampling.Drawn]) -> None:
    known = _labels_by_step(queue.label_set)
    items = (
        item_of(
            queue,
            position,
            one.step,
            probability=one.probability,
            stratum=one.stratum,
            suspicion=one.suspicion,
            labels=known.get((one.step.run_uuid, one.step.step), 0),
        )
        for position, one in enumerate(drawn, start=1)
    )
    while chunk := list(islice(items, BATCH)):
        Item.objects.bulk_create(chunk)


def item_of(
    queue: Queue,
    position: int,
    step: frame.Candidate,
    *,
    probability: float,
    stratum: str = "",
    suspicion: float | None = None,
    labels: int = 0,
) -> Item:
    """Return an item that keeps the facts of a step; not yet stored."""
    return Item(
        queue=queue,
        position=position,
        run_id=step.run_id,
        run_uuid=step.run_uuid,
        run_ref=step.run_ref,
        step=step.step,
        probability=probability,
        stratum=stratum[:300],
        suspicion=suspicion,
        scope=step.scope,
        verdict=step.verdict,
        check_status=step.check_status,
        tier=step.tier,
        tier_name=step.tier_name,
        model=step.model,
        strategy=step.strategy,
        ladder=step.ladder,
        task_id=step.task_id,
        collection=step.collection,
        step_position=step.step_position,
        prompt_version=step.prompt_version,
        simulated=step.simulated,
        labels=labels,
        closed=labels >= queue.label_set.overlap,
    )


def _labels_by_step(label_set: LabelSet) -> dict[tuple[Any, int], int]:
    """Steps that another queue of the set has labelled already need fewer here."""
    counts: dict[tuple[Any, int], int] = {}
    labelled = StepLabel.objects.filter(label_set=label_set).current()
    for place in labelled.values_list("run_uuid", "step").iterator(chunk_size=5_000):
        counts[place] = counts.get(place, 0) + 1
    return counts


def _deal(queue: Queue, people: Sequence[User]) -> None:
    """Give every item to ``overlap`` people in turn, so that all have about the same number."""
    ids = queue.items.order_by("position").values_list("pk", flat=True)
    overlap = queue.label_set.overlap
    rows = _dealt(ids.iterator(chunk_size=5_000), [person.pk for person in people], overlap)
    while chunk := list(islice(rows, BATCH)):
        Assignment.objects.bulk_create(chunk)


def _dealt(items: Iterable[int], people: Sequence[int], overlap: int) -> Iterator[Assignment]:
    turn = cycle(people)
    for item in items:
        for person in islice(turn, overlap):
            yield Assignment(item_id=item, user_id=person)


def _record(
    label_set: LabelSet, user: User, action: audit.Action, detail: Mapping[str, Any]
) -> None:
    audit.record(
        label_set.workspace_id,
        user,
        action,
        target=label_set.name,
        url=reverse("review:set", args=[label_set.uuid]),
        detail=detail,
    )
