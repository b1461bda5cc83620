"""Reviewers at the same moment: real transactions, real threads."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from collab_core.errors import InvalidInput
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_run, make_set
from webapp.review import labelling
from webapp.review.models import Item, LabelRevision, Queue, Reservation, StepLabel
from webapp.teams.models import AuditEntry, Membership, Role, User

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do all of it at the same moment; a refusal is a result."""
    gate = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        try:
            gate.wait(20)
            return act()
        except InvalidInput as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def people(room: Room, number: int) -> list[User]:
    made = [User.objects.create_user(f"reviewer-{index}") for index in range(number)]
    for user in made:
        Membership.objects.create(workspace=room.workspace, user=user, role=Role.REVIEWER)
    return made


def test_of_two_reviewers_on_the_last_place_one_is_refused(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1])])
    found = at_once(
        [
            lambda: labelling.save(item(queue), room.users["bob"], given("yes")),
            lambda: labelling.save(item(queue), room.users["rita"], given("no")),
        ]
    )
    assert sorted(isinstance(one, labelling.Refused) for one in found) == [False, True]
    assert (StepLabel.objects.count(), item(queue).labels) == (1, 1)


def test_a_double_click_is_stored_once(room: Room) -> None:
    queue, bob = make_queue(room), room.users["bob"]
    found = at_once([lambda: labelling.save(item(queue), bob, given(key="k"))] * 4)
    assert sorted(one.repeated for one in found) == [False, True, True, True]
    assert LabelRevision.objects.count() == 1


def test_nobody_is_served_an_item_that_is_taken(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1] * 12)])
    users = people(room, 6)
    served = at_once([lambda user=user: labelling.reserve(queue, user, want=2) for user in users])  # type: ignore[misc]
    positions = [one.position for items in served for one in items]
    assert len(positions) == len(set(positions))
    # who found their candidates locked by others asks again
    for user in users:
        labelling.reserve(queue, user, want=2)
    assert Counter(Reservation.objects.values_list("item", flat=True)) == dict.fromkeys(
        Item.objects.values_list("pk", flat=True), 1
    )


def work(queue: Queue, user: User, seed: int) -> list[tuple[int, str]]:
    """Label until nothing is served; return what was acknowledged, in order."""
    rng, log = random.Random(seed), []
    idle = 0
    while idle < 3:
        items = labelling.reserve(queue, user, want=rng.choice((1, 2, 3)))
        idle = 0 if items else idle + 1
        for one in items:
            answer = rng.choice(("yes", "no", "unsure"))
            key = f"{user.username}-{one.position}"
            labelling.save(one, user, given(answer, key=key))
            if rng.random() < 0.2:
                labelling.save(one, user, given("no", key=key))  # sent again: nothing happens
            log.append((one.position, answer))
    return log


def test_what_is_acknowledged_is_in_the_database(room: Room) -> None:
    """Six reviewers empty a queue of two labels an item; the log of each is what is stored."""
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1] * 25)])
    users = people(room, 6)
    logs = at_once(
        [lambda user=user, seed=seed: work(queue, user, seed) for seed, user in enumerate(users)]  # type: ignore[misc]
    )
    stored = set(StepLabel.objects.values_list("reviewer", "item__position", "answer"))
    told = {
        (user.username, position, answer)
        for user, log in zip(users, logs, strict=True)
        for position, answer in log
    }
    assert stored == told
    assert sum(len(log) for log in logs) == len(told) == 50
    assert set(Item.objects.values_list("labels", "closed")) == {(2, True)}
    assert LabelRevision.objects.count() == 50
    assert AuditEntry.objects.filter(action="label.saved").count() == 50
