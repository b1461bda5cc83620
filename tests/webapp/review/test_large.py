"""A queue of 100,000 items, and what the numbers say of verdicts whose truth is known."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tests.webapp.personas import Room
from tests.webapp.review.material import given, make_queue, make_run, make_set
from webapp.review import labelling, numbers, reads
from webapp.review.models import Item, Queue, StepLabel
from webapp.runs.models import Run

ITEMS = 100_000


def test_a_queue_of_100_000_items_is_served_by_the_same_few_queries(
    room: Room, django_assert_max_num_queries: Any
) -> None:
    run = make_run(room, [1])
    queue = make_queue(room, make_set(room, overlap=2), [run])
    _fill(queue)
    Queue.objects.filter(pk=queue.pk).update(drawn=ITEMS)
    bob = room.users["bob"]
    with django_assert_max_num_queries(90):
        for _ in range(2):
            for one in labelling.reserve(queue, bob, want=1):
                labelling.save(one, bob, given())
    with django_assert_max_num_queries(8):
        told = reads.progress(queue, bob)
        assert (told.total, told.done, told.mine) == (ITEMS, 0, 2)
        assert [row["position"] for row in reads.upcoming(queue, bob)][:2] == [3, 4]
        assert reads.waiting_for(bob, room.workspace.pk, 100) == 100


def _fill(queue: Queue) -> None:
    """Copy the queue's one item until there are ``ITEMS``, each another step."""
    names = [field.column for field in Item._meta.concrete_fields if field.column != "id"]
    values = ["n.i" if name in ("position", "step") else f"t.{name}" for name in names]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO review_item ({', '.join(names)}) "
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %s) "
            f"SELECT {', '.join(values)} FROM n, review_item t WHERE t.queue_id = %s",
            [ITEMS, queue.pk],
        )


@pytest.mark.parametrize("method", ["random", "suspicious", "stratified"])
def test_the_interval_covers_a_planted_rate(room: Room, method: str) -> None:
    """7 % of the progress verdicts are false; whoever labels knows which."""
    rng = random.Random(5)
    runs = [make_run(room, [rng.choice((1, 1, 0)) for _ in range(12)]) for _ in range(40)]
    queue = make_queue(
        room, make_set(room), runs, method=method, size=240, seed=2, strata=["verdict", "tier"]
    )
    false = _planted(runs, queue, rng)
    StepLabel.objects.bulk_create(
        StepLabel(
            label_set=queue.label_set, item=one, run_uuid=one.run_uuid, step=one.step,
            reviewer="bob", saved_at=timezone.now(), blind=True, revision=1,
            answer="yes" if one.verdict and (one.run_uuid, one.step) not in false else "no",
        )
        for one in queue.items.all()
    )  # fmt: skip
    rate = numbers.numbers(queue.label_set).rates.false_of_progress
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= 0.07 <= rate.high, rate
    assert rate.high - rate.low < 0.15


def _planted(runs: list[Run], queue: Queue, rng: random.Random) -> set[tuple[uuid.UUID, int]]:
    progress = [
        (run.uuid, step)
        for run in runs
        for step, sign in enumerate(run.stall_path, start=1)
        if sign == "1"
    ]
    return set(rng.sample(progress, round(0.07 * len(progress))))
