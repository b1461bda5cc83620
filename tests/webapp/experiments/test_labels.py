"""What people labelled reaches the table of an experiment."""

from __future__ import annotations

import pytest

from tests.webapp.experiments.material import make_experiment
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_run, make_set
from webapp.experiments import labels, reads, results
from webapp.experiments.models import Experiment, Trial
from webapp.review import disputes, labelling
from webapp.review.models import Item, Queue
from webapp.runs.models import Run

Place = tuple[Experiment, Run, Queue]


@pytest.fixture
def place(room: Room) -> Place:
    """A trial whose run says progress, none, progress; two people label each step."""
    experiment = make_experiment(room, tasks=1, strategies=("agentcollab",))
    run = make_run(room, (1, 0, 1))
    Trial.objects.filter(experiment=experiment).update(run=run, state="done", outcome="correct")
    return experiment, run, make_queue(room, make_set(room, overlap=2), [run])


def of_step(queue: Queue, step: int) -> Item:
    """Return the item of a step: queues are shuffled."""
    return item(queue, queue.items.get(step=step).position)


def say(room: Room, queue: Queue, step: int, who: str, answer: str) -> None:
    labelling.save(of_step(queue, step), room.users[who], given(answer))


def test_a_false_progress_is_a_labelled_step_that_said_progress(room: Room, place: Place) -> None:
    experiment, run, queue = place
    say(room, queue, 1, "bob", "no")
    say(room, queue, 2, "bob", "no")
    say(room, queue, 3, "bob", "yes")
    assert labels.labelled(experiment) == {run.uuid: labels.Labelled(3, 1)}
    (trial,) = reads.trials(experiment)
    assert (trial.labels, trial.false_progress) == (3, 1)


def test_a_step_on_which_people_are_divided_waits_for_a_decision(room: Room, place: Place) -> None:
    experiment, run, queue = place
    say(room, queue, 1, "bob", "no")
    say(room, queue, 1, "rita", "yes")
    say(room, queue, 2, "bob", "unsure")
    assert labels.labelled(experiment) == {}
    disputes.decide(
        queue.label_set, room.users["alice"], run_uuid=run.uuid, step=1, answer="no", reason="Seen."
    )
    assert labels.labelled(experiment) == {run.uuid: labels.Labelled(1, 1)}


def test_each_label_has_the_figures_computed_anew(room: Room, place: Place) -> None:
    experiment, _, queue = place
    before = results.body(experiment)
    say(room, queue, 1, "bob", "no")
    revision = experiment.revision
    experiment.refresh_from_db()
    assert experiment.revision == revision + 1
    Experiment.objects.filter(pk=experiment.pk).update(status="finished")
    experiment.refresh_from_db()
    assert results.body(experiment) != before
    labelling.undo(of_step(queue, 1), room.users["bob"])
    assert labels.labelled(experiment) == {}


def test_a_queue_can_be_drawn_from_an_experiment(room: Room, place: Place) -> None:
    experiment, _, _ = place
    make_run(room)
    bob = room.client("bob")
    assert (
        'value="experiment-1"'
        in bob.get(f"/review/queues/new/?experiment={experiment.ref}").content.decode()
    )
    sent = {
        "name": "Q",
        "set_name": "S",
        "overlap": "1",
        "method": "all",
        "experiment": experiment.ref,
    }
    bob.post("/review/queues/new/", sent)
    assert Queue.objects.get(name="Q").population == 3
    assert bob.get(f"/?experiment={experiment.ref}").content.decode().count("data-select") == 1
    assert "was ignored" in bob.get("/?experiment=nonsense").content.decode()


def test_a_decision_that_nobody_can_tell_stands(room: Room, place: Place) -> None:
    experiment, run, queue = place
    say(room, queue, 1, "bob", "no")
    say(room, queue, 1, "rita", "yes")
    disputes.decide(
        queue.label_set, room.users["alice"], run_uuid=run.uuid, step=1, answer="unsure", reason="?"
    )
    say(room, queue, 1, "rita", "no")
    assert labels.labelled(experiment) == {}


def test_a_step_without_a_usable_verdict_is_in_no_rate(room: Room, place: Place) -> None:
    experiment, _, queue = place
    say(room, queue, 1, "bob", "no")
    Item.objects.filter(queue=queue, step=1).update(verdict=None)
    assert labels.labelled(experiment) == {}


def test_the_table_says_that_labelled_steps_were_not_drawn_alike(room: Room, place: Place) -> None:
    experiment, _, queue = place
    say(room, queue, 1, "bob", "no")
    say(room, queue, 2, "bob", "no")
    assert not any("likelier" in note for note in results.own_table(experiment).notes)
    Item.objects.filter(queue=queue, step=1).update(probability=0.25)
    assert any("likelier" in note for note in results.own_table(experiment).notes)


def test_the_table_says_that_runs_were_tried_again(room: Room, place: Place) -> None:
    experiment, run, _ = place
    Trial.objects.filter(experiment=experiment).update(earlier_runs=[str(run.uuid)])
    [note] = [n for n in results.own_table(experiment).notes if "tried again" in n]
    assert note.startswith("agentcollab: 1 failed")
