from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404

from collab_core.errors import InvalidInput
from tests.webapp.experiments.material import definition, make_experiment, make_task_set
from tests.webapp.personas import Room
from webapp.experiments import creation
from webapp.experiments.models import Experiment, Trial
from webapp.teams.models import AuditEntry

pytestmark = pytest.mark.django_db


def test_every_arm_does_every_task_under_every_seed(room: Room) -> None:
    made = make_experiment(room, tasks=3, seeds=[4, 5])
    cells = Trial.objects.filter(experiment=made).values_list("arm__label", "task__task_id", "seed")
    assert len(set(cells)) == made.trials_total == 2 * 3 * 2


def test_the_arms_of_a_task_begin_side_by_side(room: Room) -> None:
    made = make_experiment(room, tasks=3)
    order = Trial.objects.filter(experiment=made).order_by("position")
    assert [trial.task.task_id for trial in order] == ["t0", "t0", "t1", "t1", "t2", "t2"]


def test_parameters_are_kept_complete(room: Room) -> None:
    made = make_experiment(room)
    arm = made.arms.get(label="agentcollab")
    assert arm.parameters["growth"] == 2
    assert arm.tiers[0]["name"] == "tier0"


def test_a_fixed_arm_calls_only_its_own_tier(room: Room) -> None:
    made = make_experiment(room, strategies=("small", "large", "agentcollab"))
    uses = {arm.label: arm.uses for arm in made.arms.all()}
    both = [tier["endpoint"] for tier in made.arms.get(label="small").tiers]
    assert uses == {"small": both[:1], "large": both[1:], "agentcollab": both}


def test_the_exported_definition_names_the_digest_of_its_tasks(room: Room) -> None:
    made = make_experiment(room)
    assert made.defined.tasks.digest == made.task_set.digest
    again = creation.create(room.workspace, room.users["bob"], made.defined)
    assert (again.number, again.digest) == (made.number + 1, made.digest)


def test_another_task_set_of_the_same_name_is_refused(room: Room) -> None:
    make_task_set(room)
    wanted = definition(room, tasks={"name": "sums", "digest": "0" * 64})
    with pytest.raises(InvalidInput, match="other tasks") as caught:
        creation.create(room.workspace, room.users["alice"], wanted)
    assert caught.value.field == "tasks.digest"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"tasks": {"name": "nothing"}}, "tasks.name", "no task set"),
        ({"tasks": {"name": "sums", "ids": ["t9"]}}, "tasks.ids", "t9"),
        ({"collection": "nothing"}, "collection", "no collection"),
        ({"limits": {"max_steps": 0}}, "max_steps", "greater than"),
        ({"tools": ["search"]}, "tools", "collection"),
    ],
)
def test_what_is_wrong_is_named(
    room: Room, changes: dict[str, object], field: str, words: str
) -> None:
    make_task_set(room)
    with pytest.raises(InvalidInput, match=words) as caught:
        creation.create(room.workspace, room.users["alice"], definition(room, **changes))
    assert caught.value.field == field


def test_a_wrong_arm_is_named_with_its_place(room: Room) -> None:
    make_task_set(room)
    arms = [
        {"label": "good", "strategy": "large", "ladder": room.ladder.name},
        {"label": "bad", "strategy": "large", "ladder": "nowhere"},
    ]
    with pytest.raises(InvalidInput, match="Arm bad: there is no ladder") as caught:
        creation.create(
            room.workspace, room.users["alice"], definition(room, arms=arms, baseline="")
        )
    assert caught.value.field == "arms.1.ladder"
    assert not Experiment.objects.exists()


def test_tasks_that_need_a_judge_need_one_in_the_definition(room: Room) -> None:
    make_task_set(room, scorer="judge", needs="judge")
    with pytest.raises(InvalidInput, match="graded by a model") as caught:
        creation.create(room.workspace, room.users["alice"], definition(room))
    assert caught.value.field == "judge.endpoint"


def test_too_many_trials_are_refused_before_anything_is_stored(room: Room) -> None:
    make_task_set(room, 1_100)
    with pytest.raises(InvalidInput, match="110,000 runs"):
        creation.create(
            room.workspace,
            room.users["alice"],
            definition(room, seeds=list(range(100)), strategies=("large",)),
        )
    assert not Trial.objects.exists()


def test_the_same_key_is_the_same_experiment(room: Room) -> None:
    make_task_set(room)
    made = [
        creation.create(
            room.workspace, room.users["alice"], definition(room), idempotency_key="once"
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert Experiment.objects.count() == 1


def test_viewers_and_strangers_create_nothing(room: Room) -> None:
    make_task_set(room)
    with pytest.raises(PermissionDenied):
        creation.create(room.workspace, room.users["vera"], definition(room))
    with pytest.raises(Http404):
        creation.create(room.workspace, room.users["charlie"], definition(room))


def test_it_is_written_into_the_audit_log(room: Room) -> None:
    make_experiment(room)
    actions = AuditEntry.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == ["task_set.added", "experiment.submitted"]


def test_a_key_of_another_experiment_is_refused(room: Room) -> None:
    make_task_set(room)
    alice = room.users["alice"]
    creation.create(room.workspace, alice, definition(room), idempotency_key="once")
    with pytest.raises(InvalidInput, match="used for another experiment"):
        creation.create(room.workspace, alice, definition(room, seeds=[1]), idempotency_key="once")
    assert Experiment.objects.count() == 1
