from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.webapp.experiments.material import make_experiment, running, states
from tests.webapp.personas import Room
from webapp.experiments import control, feeding
from webapp.experiments.models import Experiment, ExperimentStatus, Trial, TrialState
from webapp.runs.models import Run
from webapp.tiers.models import Endpoint, Rung

pytestmark = pytest.mark.django_db


@pytest.fixture
def places(settings: Any) -> None:
    settings.TANDEM = settings.TANDEM | {"experiment_concurrency": 6}


def test_a_trial_gets_its_run_with_all_that_decides_it(room: Room) -> None:
    made = make_experiment(room, tasks=1, strategies=("agentcollab", "large"), seeds=[3])
    assert feeding.feed() == 2
    first, second = running()
    assert first.run is not None
    assert second.run is not None
    assert (first.run.strategy, first.run.gold, first.run.task_id) == ("agentcollab", ["42"], "t0")
    assert first.run.seed == second.run.seed, "arms are compared on the same chance"
    assert first.run.submitted_by == made.created_by


def test_feeding_twice_begins_nothing_twice(room: Room) -> None:
    make_experiment(room, tasks=2)
    assert (feeding.feed(), feeding.feed()) == (4, 0)
    assert Run.objects.count() == 4


def test_no_more_run_than_may(room: Room, places: None) -> None:
    make_experiment(room, tasks=9)
    feeding.feed()
    assert len(running()) == 6
    Trial.objects.filter(pk=running()[0].pk).update(state=TrialState.DONE)
    assert feeding.feed() == 1


def test_an_experiment_keeps_its_own_limit(room: Room) -> None:
    make_experiment(room, tasks=9, max_parallel=2)
    feeding.feed()
    assert len(running()) == 2


def test_places_are_shared_between_people_not_experiments(room: Room, places: None) -> None:
    for _ in range(3):
        make_experiment(room, tasks=9, user="alice")
    make_experiment(room, user="bob")
    feeding.feed()
    people = Counter(trial.experiment.created_by_id for trial in running())
    assert people == {room.users["alice"].pk: 3, room.users["bob"].pk: 3}


def test_what_one_cannot_use_another_gets(room: Room, places: None) -> None:
    make_experiment(room, tasks=9, user="alice")
    make_experiment(room, user="bob", tasks=1, max_parallel=1)
    feeding.feed()
    people = Counter(trial.experiment.created_by_id for trial in running())
    assert people == {room.users["alice"].pk: 5, room.users["bob"].pk: 1}


def test_a_tier_serves_no_more_runs_than_it_may(room: Room) -> None:
    top = Rung.objects.get(ladder=room.ladder, position=1).endpoint
    Endpoint.objects.filter(pk=top.pk).update(max_concurrency=2)
    make_experiment(room, tasks=5, strategies=("small", "large", "agentcollab"))
    feeding.feed()
    arms = Counter(trial.arm.label for trial in running())
    assert arms == {"small": 5, "large": 1, "agentcollab": 1}


def test_a_paused_experiment_begins_nothing(room: Room) -> None:
    made = make_experiment(room, tasks=2)
    control.pause(made, room.users["bob"])
    assert feeding.feed() == 0
    control.resume(made, room.users["bob"])
    assert feeding.feed() == 4


def test_a_changed_ladder_fails_its_arm_and_the_rest_goes_on(room: Room) -> None:
    from tests.webapp.personas import make_ladder

    other = make_ladder(room.workspace)
    arms = [
        {"label": "kept", "strategy": "large", "ladder": room.ladder.name},
        {"label": "changed", "strategy": "large", "ladder": other.name},
    ]
    made = make_experiment(room, tasks=2, arms=arms, baseline="")
    Rung.objects.filter(ladder=other, position=0).update(tier_name="another")
    feeding.feed()
    assert states(made) == ["running", "failed", "running", "failed"]
    failed = Trial.objects.filter(state=TrialState.FAILED).first()
    assert failed is not None
    assert "has other tiers than when" in failed.error_message
    made.refresh_from_db()
    assert (made.trials_done, made.trials_failed) == (2, 2)


def test_when_all_arms_are_broken_the_experiment_ends(room: Room) -> None:
    made = make_experiment(room, tasks=2)
    Endpoint.objects.filter(workspace=room.workspace).update(archived_at="2026-01-01T00:00:00Z")
    feeding.feed()
    made.refresh_from_db()
    assert made.status == ExperimentStatus.FINISHED
    assert made.trials_failed == 4
    assert Experiment.objects.filter(finished_at=None).count() == 0


def test_a_trial_in_the_place_of_another_is_no_audit_entry(room: Room) -> None:
    from webapp.teams.models import AuditEntry

    make_experiment(room, tasks=2)
    feeding.feed()
    assert not AuditEntry.objects.filter(action="run.submitted").exists()


def test_an_experiment_whose_tools_are_gone_fails_and_the_others_go_on(room: Room) -> None:
    broken = make_experiment(room, tasks=2, strategies=("large",))
    Experiment.objects.filter(pk=broken.pk).update(
        definition={**broken.definition, "tools": ["search"]}
    )
    sound = make_experiment(room, strategies=("large",))
    feeding.feed()
    assert states(sound) == ["running", "running"]
    assert states(broken) == ["failed", "failed"]
    trial = Trial.objects.filter(experiment=broken).first()
    assert trial is not None
    assert (trial.error_code, "collection" in trial.error_message) == ("cannot_begin", True)
    broken.refresh_from_db()
    assert (broken.status, broken.trials_failed) == (ExperimentStatus.FINISHED, 2)


def test_an_experiment_that_cannot_be_read_is_paused_and_the_others_go_on(room: Room) -> None:
    broken = make_experiment(room, tasks=1, strategies=("large",))
    Experiment.objects.filter(pk=broken.pk).update(definition={"format": "tandem.experiment/0"})
    sound = make_experiment(room, strategies=("large",))
    assert feeding.feed() == 1
    assert (states(broken), states(sound)) == (["pending"], ["running"])
    broken.refresh_from_db()
    assert broken.status == ExperimentStatus.PAUSED
    assert "cannot begin" in broken.notice
