from __future__ import annotations

from collections import Counter

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404

from collab_core.errors import InvalidInput
from tests.webapp.personas import Room
from tests.webapp.review.material import make_queue, make_run, make_set
from webapp.review import services
from webapp.review.models import Assignment, Item, LabelSet
from webapp.teams.models import AuditEntry, Workspace


def test_a_label_set_is_blind_as_its_workspace_is(room: Room) -> None:
    assert make_set(room).blind is True
    Workspace.objects.filter(pk=room.workspace.pk).update(blind_review=False)
    assert make_set(room).blind is False


def test_two_label_sets_have_two_names(room: Room) -> None:
    make_set(room, name="A")
    with pytest.raises(InvalidInput, match="already") as caught:
        make_set(room, name=" A ")
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"overlap": 0}, "overlap"),
        ({"overlap": 11}, "overlap"),
    ],
)
def test_a_bad_label_set_names_its_field(
    room: Room, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_set(room, **changes)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("who", "error"),
    [("rita", PermissionDenied), ("vera", PermissionDenied), ("charlie", Http404)],
)
def test_only_who_runs_makes_sets_and_queues(room: Room, who: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        services.create_label_set(room.workspace, room.users[who], name="x")
    wanted = services.Wanted(name="x", runs=[], words="")
    with pytest.raises(error):
        services.create_queue(make_set(room), room.users[who], wanted)


def test_a_queue_holds_each_judged_step_once(room: Room) -> None:
    runs = [make_run(room, [1, 0, 1]), make_run(room, [0, 0])]
    queue = make_queue(room, runs=runs)
    items = queue.items.order_by("position")
    assert (queue.population, queue.drawn) == (5, 5)
    assert [one.position for one in items] == [1, 2, 3, 4, 5]
    assert {(one.run_id, one.step) for one in items} == {
        *((runs[0].pk, step) for step in (1, 2, 3)),
        *((runs[1].pk, step) for step in (1, 2)),
    }


def test_an_item_keeps_what_the_log_said(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1, 0])])
    first, second = queue.items.order_by("step")
    assert (first.verdict, first.tier, first.tier_name, first.model) == (
        1,
        0,
        "small",
        "model-small",
    )
    assert (second.verdict, second.tier, second.tier_name) == (0, 1, "large")
    assert (first.strategy, first.ladder, first.step_position) == ("agentcollab", "planted", 1)
    assert (first.probability, first.simulated, first.check_status) == (1.0, True, "parsed")


def test_steps_of_a_fork_are_the_parents(room: Room) -> None:
    parent, fork = make_run(room), make_run(room)
    fork.parent, fork.fork_step = parent, 2
    fork.save()
    queue = make_queue(room, runs=[parent, fork])
    steps = set(queue.items.values_list("run_id", "step"))
    assert steps == {*((parent.pk, step) for step in (1, 2, 3)), (fork.pk, 3)}


def test_a_random_draw_gives_every_step_the_same_chance(room: Room) -> None:
    queue = make_queue(room, runs=[make_run(room, [1] * 20)], method="random", size=5, seed=3)
    assert queue.items.count() == 5
    assert set(queue.items.values_list("probability", flat=True)) == {0.25}


def test_the_same_seed_draws_the_same_steps(room: Room) -> None:
    run = make_run(room, [1] * 20)
    label_set = make_set(room)
    drawn = [
        list(
            make_queue(room, label_set, [run], method="random", size=6, seed=seed)
            .items.order_by("position")
            .values_list("step", flat=True)
        )
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_stratified_draw_sees_the_rare_kind(room: Room) -> None:
    run = make_run(room, [1] * 16 + [0] * 4)
    queue = make_queue(room, runs=[run], method="stratified", strata=["verdict"], size=8)
    found = Counter(queue.items.values_list("stratum", "probability"))
    assert found == {("said progress", 0.25): 4, ("said none", 1.0): 4}


def test_a_suspicious_draw_gives_every_step_a_chance(room: Room) -> None:
    # the tool calls repeat from the second step on, which is suspicious where progress was said
    run = make_run(room, [1] * 10 + [0] * 10)
    queue = make_queue(room, runs=[run], method="suspicious", size=10)
    items = list(queue.items.all())
    assert len(items) == 10
    assert all(0 < one.probability <= 1 and one.suspicion is not None for one in items)
    by_score = sorted((one.suspicion or 0.0, one.probability) for one in items)
    assert by_score == sorted(by_score, key=lambda pair: pair[1])
    assert by_score[0][1] < by_score[-1][1]


def test_a_dealt_queue_gives_everybody_as_much(room: Room) -> None:
    people = [room.users[name] for name in ("alice", "bob", "rita")]
    queue = make_queue(
        room,
        make_set(room, overlap=2),
        [make_run(room, [1] * 9)],
        people=people,
        dealt=True,
    )
    dealt = Assignment.objects.filter(item__queue=queue)
    assert Counter(dealt.values_list("user__username", flat=True)) == dict.fromkeys(
        ("alice", "bob", "rita"), 6
    )
    assert set(Counter(dealt.values_list("item", flat=True)).values()) == {2}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"method": "psychic"}, "method"),
        ({"method": "random", "size": 0}, "size"),
        ({"method": "stratified", "strata": ()}, "strata"),
        ({"method": "stratified", "strata": ("mood",)}, "strata"),
        ({"seed": -1}, "seed"),
        ({"name": " "}, "name"),
        ({"dealt": True}, "people"),
    ],
)
def test_a_bad_queue_names_its_field_and_stores_nothing(
    room: Room, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        make_queue(room, **changes)
    assert caught.value.field == field
    assert Item.objects.count() == 0


def test_runs_of_another_workspace_are_refused(room: Room) -> None:
    run = make_run(room)
    label_set = LabelSet.objects.create(workspace=room.other, name="theirs")
    wanted = services.Wanted(name="x", runs=[run.pk], words="", method="all")
    with pytest.raises(InvalidInput, match="not in this workspace"):
        services.create_queue(label_set, room.users["charlie"], wanted)


@pytest.mark.parametrize("who", ["vera", "charlie"])
def test_people_of_a_queue_may_review(room: Room, who: str) -> None:
    with pytest.raises(InvalidInput, match="may not review"):
        make_queue(room, people=[room.users[who]])


def test_runs_without_a_finished_step_are_refused(room: Room) -> None:
    with pytest.raises(InvalidInput, match="no finished step"):
        make_queue(room, runs=[room.submit()])


def test_what_is_made_and_closed_is_in_the_audit_log(room: Room) -> None:
    queue = make_queue(room)
    services.close_queue(queue, room.users["bob"])
    services.close_queue(queue, room.users["bob"])
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["label_set.created", "queue.created", "queue.closed"]
