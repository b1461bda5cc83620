from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from collab_core import events as ev
from collab_core.domain import Totals
from collab_core.experiments.records import Facts, Trace
from tests.webapp.experiments.material import make_experiment, running, states, work_off
from tests.webapp.personas import Room, Script, answer_reply, make_room, step_reply
from webapp.experiments import control, feeding, harvest
from webapp.experiments.models import Experiment, ExperimentStatus, Trial, TrialState
from webapp.experiments.tasks import tick
from webapp.runs import services
from webapp.runs.models import Run
from webapp.runs.worker import Worker

pytestmark = pytest.mark.django_db(transaction=True)
THREE_STEPS = [step_reply(), step_reply(0), answer_reply()]


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start workers on a scripted backend; all are stopped at the end."""
    started: list[Worker] = []

    def make(replies: Sequence[Any] = THREE_STEPS) -> Worker:
        one = Worker(backend=lambda: Script(replies))
        one.start()
        started.append(one)
        return one

    yield make
    for one in started:
        one.stop()


def test_an_experiment_comes_to_its_end(room: Room, start: Callable[..., Worker]) -> None:
    made = make_experiment(room, tasks=3)
    assert work_off(start()) == 6
    made.refresh_from_db()
    assert (made.status, made.trials_done, made.trials_failed) == (ExperimentStatus.FINISHED, 6, 0)
    assert made.finished_at is not None
    trials = Trial.objects.filter(experiment=made)
    assert set(trials.values_list("state", "outcome", "score")) == {("done", "correct", None)}


def test_a_trial_keeps_what_its_log_adds_up_to(room: Room, start: Callable[..., Worker]) -> None:
    make_experiment(room, tasks=1, strategies=("agentcollab",))
    work_off(start())
    trial = Trial.objects.select_related("run").get()
    facts = msgspec.json.decode(trial.facts, type=Facts)
    trace = msgspec.json.decode(trial.trace, type=Trace)
    assert trial.run is not None
    assert (facts.steps, facts.output_tokens) == (trial.run.steps, trial.run.output_tokens)
    assert facts.latency_s == pytest.approx(trial.run.latency_s)
    assert len(trace.tiers) == facts.steps == 3


def test_taking_in_twice_counts_once(room: Room, start: Callable[..., Worker]) -> None:
    made = make_experiment(room, tasks=1)
    feeding.feed()
    worker = start()
    for trial in running():
        assert trial.run_id is not None
        worker.run(trial.run_id)
        assert harvest.harvest(trial.run_id) is not None
        assert harvest.harvest(trial.run_id) is None
    made.refresh_from_db()
    assert made.trials_done == 2


def test_the_tick_finds_the_ends_that_nobody_told(room: Room, start: Callable[..., Worker]) -> None:
    made = make_experiment(room, tasks=1)
    feeding.feed()
    worker = start()
    for trial in running():
        assert trial.run_id is not None
        worker.run(trial.run_id)
    tick()
    assert states(made) == ["done", "done"]


def test_a_run_of_nobody_is_left_alone(room: Room) -> None:
    assert harvest.harvest(room.submit().pk) is None


def test_a_deleted_run_fails_its_trial_with_words(room: Room) -> None:
    made = make_experiment(room, tasks=1, strategies=("large",))
    feeding.feed()
    Run.objects.all().delete()
    assert harvest.orphans() == 1
    trial = Trial.objects.get(experiment=made)
    assert (trial.state, trial.error_code) == (TrialState.FAILED, "run_deleted")


def test_a_failed_run_is_retried_and_nothing_else_is(
    room: Room, start: Callable[..., Worker]
) -> None:
    made = make_experiment(room, tasks=2, strategies=("large",))
    work_off(start())
    first = Trial.objects.get(experiment=made, position=0)
    broken = first.run
    Run.objects.filter(pk=first.run_id).update(
        status="failed", error_code="backend_unreachable", error_message="Nobody answers."
    )
    Trial.objects.filter(pk=first.pk).update(state=TrialState.RUNNING)
    Experiment.objects.filter(pk=made.pk).update(trials_done=1, status="running")
    harvest.harvest(first.run_id or 0)
    first.refresh_from_db()
    assert (first.state, first.error_message) == (TrialState.FAILED, "Nobody answers.")

    assert control.retry(made, room.users["bob"]) == 1
    work_off(start())
    first.refresh_from_db()
    made.refresh_from_db()
    assert first.state == TrialState.DONE
    assert first.run != broken
    assert broken is not None
    assert first.earlier_runs == [str(broken.uuid)]
    assert (made.trials_done, made.trials_failed, made.status) == (2, 0, "finished")


def test_a_run_that_somebody_stops_is_a_failed_trial(room: Room) -> None:
    made = make_experiment(room, tasks=1, strategies=("large",))
    feeding.feed()
    run = Run.objects.get()
    services.cancel(run, room.users["bob"])
    harvest.harvest(run.pk)
    trial = Trial.objects.get(experiment=made)
    assert (trial.state, trial.error_code) == (TrialState.FAILED, "stopped")


def test_stopping_gives_up_what_waits_and_stops_what_runs(room: Room) -> None:
    made = make_experiment(room, tasks=3, strategies=("large",), max_parallel=1)
    feeding.feed()
    control.cancel(made, room.users["bob"])
    tick()
    made.refresh_from_db()
    assert states(made) == ["cancelled"] * 3
    assert (made.status, made.trials_done, made.trials_failed) == ("cancelled", 3, 3)
    assert Run.objects.get().status == "cancelled"


def test_a_stopped_experiment_can_be_taken_up_again(
    room: Room, start: Callable[..., Worker]
) -> None:
    made = make_experiment(room, tasks=2, strategies=("large",))
    control.cancel(made, room.users["bob"])
    assert control.retry(made, room.users["bob"]) == 2
    work_off(start())
    made.refresh_from_db()
    assert (made.status, made.trials_done, made.trials_failed) == ("finished", 2, 0)


def test_an_arm_whose_runs_all_fail_is_held_and_the_others_go_on(
    room: Room, start: Callable[..., Worker]
) -> None:
    made = make_experiment(room, tasks=harvest.HOPELESS + 3, max_parallel=2)
    worker = start()
    while feeding.feed() or running():
        for trial in running():
            assert trial.run_id is not None
            if trial.arm.label == "large":
                break_run(trial.run_id)
            else:
                worker.run(trial.run_id)
            harvest.harvest(trial.run_id)
    made.refresh_from_db()
    done = Trial.objects.filter(experiment=made, state=TrialState.DONE)
    assert set(done.values_list("arm__label", flat=True)) == {"agentcollab"}
    assert done.count() == harvest.HOPELESS + 3
    left = Trial.objects.filter(experiment=made, state=TrialState.PENDING)
    assert 1 <= left.count() <= 3
    assert made.status == ExperimentStatus.PAUSED
    assert "Arm large is held" in made.notice
    assert "Nobody answers." in made.notice

    control.resume(made, room.users["bob"])
    control.retry(made, room.users["bob"])
    work_off(worker)
    made.refresh_from_db()
    assert (made.status, made.trials_failed, made.notice) == ("finished", 0, "")


def break_run(run_id: int) -> None:
    """Let a run end as a dead tier lets it end."""
    run = Run.objects.get(pk=run_id)
    end = ev.RunFailed(
        code="endpoint_unreachable", message="Nobody answers.", totals=Totals(steps_by_tier=(0, 0))
    )
    services._insert(run_id, run.next_seq, 1.0, [end])
    Run.objects.filter(pk=run_id).update(
        status="failed",
        error_code=end.code,
        error_message=end.message,
        next_seq=run.next_seq + 1,
    )
