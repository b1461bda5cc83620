"""Runs with verdicts to judge, label sets and queues over them, for the tests of reviews."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.e2e.gardener import _run
from tests.e2e.stories import Story, Turn
from tests.webapp.personas import Room
from webapp.review import labelling, services
from webapp.review.models import Item, LabelSet, Queue
from webapp.runs.models import Run

BLOCK = "<progress><rationale>{}</rationale><indicator>{}</indicator></progress>"


def make_run(room: Room, verdicts: Sequence[int] = (1, 0, 1), **changes: Any) -> Run:
    """Return a finished run with one step a verdict; every third step is on the large tier."""
    turns = [
        Turn(
            tier=int(number % 3 == 2),
            text=f"I look at {number}. " + BLOCK.format(f"reason {number}", verdict),
            rationale=f"reason {number}",
            indicator=verdict,  # type: ignore[arg-type]
        )
        for number, verdict in enumerate(verdicts, start=1)
    ]
    told: dict[str, Any] = {"question": "Who built it?", "end": "finished", "submitted_by": "alice"}
    return Run.objects.get(uuid=_run(room.workspace, Story(turns=turns, **(told | changes))))


def make_set(room: Room, **changes: Any) -> LabelSet:
    fields: dict[str, Any] = {"name": f"set {LabelSet.objects.count() + 1}"} | changes
    return services.create_label_set(room.workspace, room.users["alice"], **fields)


def make_queue(
    room: Room, label_set: LabelSet | None = None, runs: Sequence[Run] = (), **changes: Any
) -> Queue:
    """Return a queue of every step of these runs (of one new run if there are none)."""
    label_set = label_set or make_set(room)
    chosen = list(runs) or [make_run(room)]
    fields: dict[str, Any] = {
        "name": f"queue {Queue.objects.count() + 1}",
        "runs": [run.pk for run in chosen],
        "words": "all runs",
        "method": "all",
    }
    wanted = services.Wanted(**(fields | changes))
    return services.create_queue(label_set, room.users["alice"], wanted)


def item(queue: Queue, position: int = 1) -> Item:
    """Return an item as the views fetch it."""
    items = Item.objects.select_related("queue__label_set__workspace", "run")
    return items.get(queue=queue, position=position)


def given(answer: str = "yes", **changes: Any) -> labelling.Given:
    return labelling.Given(answer=answer, **changes)


def label_first(queue: Queue, room: Room, answers: Sequence[str]) -> None:
    """Let alice label the first steps of a queue."""
    for position, answer in enumerate(answers, start=1):
        labelling.save(item(queue, position), room.users["alice"], given(answer))
