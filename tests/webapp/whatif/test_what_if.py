"""What another strategy would have done: asked on a page, answered beside the runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.webapp.experiments.material import make_experiment, work_off
from tests.webapp.personas import Room, Script, answer_reply, make_room, step_reply
from tests.webapp.review.material import given, item, make_queue, make_run
from webapp.experiments.models import Experiment
from webapp.review import labelling
from webapp.runs.models import Run
from webapp.runs.worker import Worker
from webapp.whatif import services
from webapp.whatif.models import State, WhatIf

pytestmark = pytest.mark.django_db(transaction=True)
STUCK = [step_reply(0), step_reply(0), step_reply(0), answer_reply()]


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


@pytest.fixture
def experiment(room: Room) -> Iterator[Experiment]:
    """Three tasks under AgentCollab, of steps that get nowhere."""
    worker = Worker(backend=lambda: Script(STUCK))
    worker.start()
    made = make_experiment(room, strategies=("agentcollab",))
    work_off(worker)
    yield made
    worker.stop()


def asked(client: Client, experiment: Experiment, **changes: str) -> Any:
    sent = {"arm": "agentcollab", "strategy": "small"} | changes
    return client.post(f"/what-if/new/?experiment={experiment.uuid}", sent)


def test_a_question_is_answered_and_its_page_shows_both_rows(
    room: Room, experiment: Experiment
) -> None:
    bob = room.client("bob")
    where = asked(bob, experiment).headers["Location"]
    question = WhatIf.objects.get()
    assert "It waits for a worker" in bob.get(where).content.decode()
    assert services.answer(question.pk)
    question.refresh_from_db()
    assert question.state == State.DONE, question.error
    assert question.result is not None
    assert (question.result["runs"], question.result["exact_runs"]) == (3, 0)
    text = bob.get(where).content.decode()
    assert "are decided exactly" in text
    assert f"/runs/{question.runs[0]}/#step-" in text
    assert bob.get(where, headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"


def test_the_same_strategy_would_have_made_the_same_runs(
    room: Room, experiment: Experiment
) -> None:
    asked(room.client("bob"), experiment, strategy="agentcollab")
    question = WhatIf.objects.get()
    services.answer(question.pk)
    question.refresh_from_db()
    assert question.result is not None, question.error
    assert question.result["exact_runs"] == 3
    text = room.client("vera").get(f"/what-if/{question.uuid}/").content.decode()
    assert "Every run would have been the same" in text
    assert "<dt>Early hand-back</dt><dd>yes</dd>" in text
    assert "Large steps (number)" in text


def test_a_question_is_answered_once(room: Room, experiment: Experiment) -> None:
    asked(room.client("bob"), experiment)
    question = WhatIf.objects.get()
    WhatIf.objects.update(state=State.RUNNING, claimed_until=timezone.now() + timedelta(hours=1))
    assert not services.answer(question.pk)
    assert services.left_behind() == []
    WhatIf.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert services.left_behind() == [question.pk]


def test_logs_that_cannot_answer_fail_with_words(room: Room, experiment: Experiment) -> None:
    asked(room.client("bob"), experiment)
    Run.objects.all().delete()
    question = WhatIf.objects.get()
    services.answer(question.pk)
    question.refresh_from_db()
    assert (question.state, bool(question.error)) == (State.FAILED, True)
    page = room.client("bob").get(f"/what-if/{question.uuid}/").content.decode()
    assert "notice-bad" in page


def test_runs_can_be_chosen_one_by_one(room: Room, experiment: Experiment) -> None:
    uuids = ",".join(str(run.uuid) for run in Run.objects.all()[:2])
    answer = room.client("bob").post(f"/what-if/new/?runs={uuids}", {"strategy": "large"})
    assert answer.status_code == 302
    question = WhatIf.objects.get()
    assert len(question.runs) == 2
    services.answer(question.pk)
    question.refresh_from_db()
    assert question.result is not None, question.error
    assert question.result["runs"] == 2


def test_an_answerer_that_breaks_is_not_asked_for_ever(
    room: Room, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(room.client("bob"), experiment)
    monkeypatch.setattr(services, "LIMIT_S", "soon")  # no number: the child never starts
    question = WhatIf.objects.get()
    services.answer(question.pk)
    question.refresh_from_db()
    assert question.state == State.FAILED
    assert services.left_behind() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": "cope"}, "cope is not one of the available choices"),
        ({"arm": "nobody"}, "nobody is not one of the available choices"),
        ({"strategy": "agentcollab", "agentcollab-growth": "x"}, "Enter a number"),
    ],
)
def test_a_wrong_question_is_told_at_its_field(
    room: Room, changes: dict[str, str], words: str
) -> None:
    answer = asked(
        room.client("bob"), make_experiment(room, strategies=("agentcollab",)), **changes
    )
    assert (answer.status_code, words in answer.content.decode()) == (422, True)


def test_an_arm_without_a_finished_run_is_refused(room: Room) -> None:
    answer = asked(room.client("bob"), make_experiment(room, strategies=("agentcollab",)))
    assert "No run of this arm has finished yet" in answer.content.decode()


@pytest.mark.parametrize("address", ["", "?runs=x", "?runs=00000000-0000-0000-0000-000000000000"])
def test_an_address_without_a_subject_is_404(room: Room, address: str) -> None:
    assert room.client("bob").get(f"/what-if/new/{address}").status_code == 404


def test_a_stranger_sees_neither_question_nor_experiment(
    room: Room, experiment: Experiment
) -> None:
    asked(room.client("bob"), experiment)
    charlie = room.client("charlie")
    assert charlie.get(f"/what-if/{WhatIf.objects.get().uuid}/").status_code == 404
    assert charlie.get(f"/what-if/new/?experiment={experiment.uuid}").status_code == 404


def test_it_says_what_labelled_false_progress_would_have_been_caught(
    room: Room, experiment: Experiment
) -> None:
    run = Run.objects.filter(trial__experiment=experiment).order_by("pk").first()
    assert run is not None
    foreign = make_queue(room, runs=[make_run(room)])
    labelling.save(item(foreign), room.users["bob"], given("no"))
    queue = make_queue(room, runs=[run])
    for one in queue.items.all():
        labelling.save(item(queue, one.position), room.users["bob"], given("no"))
    asked(room.client("bob"), experiment)
    question = WhatIf.objects.get()
    services.answer(question.pk)
    question.refresh_from_db()
    assert question.result is not None, question.error
    caught = question.result["caught"]
    assert 0 < caught["labelled"] <= queue.drawn, "the labels of these runs, and no others"
    text = room.client("vera").get(f"/what-if/{question.uuid}/").content.decode()
    assert f"Of {caught['labelled']} labelled steps" in text
