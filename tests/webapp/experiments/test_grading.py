from __future__ import annotations

from typing import Any

import pytest

from collab_core.backends.base import Backend, ModelReply, ModelRequest
from collab_core.errors import EndpointUnreachable
from tests.webapp.experiments.material import make_experiment, make_task_set
from tests.webapp.personas import Room, make_room
from webapp.experiments import control, grading
from webapp.experiments.models import Experiment, Trial, TrialState, Verdict
from webapp.runs.models import Run
from webapp.tiers.models import Endpoint

pytestmark = pytest.mark.django_db(transaction=True)
YES = "extracted_answer: 42\nreasoning: They say the same.\ncorrect: yes\nconfidence: 90"


class Judge:
    """Says one thing, or nothing at all; counts how often it was asked."""

    def __init__(self, text: str = YES, *, down: bool = False) -> None:
        self.text, self.down, self.asked = text, down, 0

    async def complete(self, request: ModelRequest, on_delta: Any = None) -> ModelReply:
        self.asked += 1
        if self.down:
            raise EndpointUnreachable("Nobody answers at the judge's address.")
        return ModelReply(text=self.text)

    async def aclose(self) -> None:
        return

    def __call__(self) -> Backend:
        return self


@pytest.fixture
def room(transactional_db: None) -> Room:
    return make_room()


def answered(room: Room, *answers: str) -> Experiment:
    """Return an experiment whose runs have given these answers, all waiting for the judge."""
    judge = Endpoint.objects.filter(workspace=room.workspace).first()
    assert judge is not None
    make_task_set(room, len(answers), scorer="judge", needs="judge")
    made = make_experiment(room, strategies=("large",), judge={"endpoint": judge.name})
    for trial, answer in zip(made.trials.order_by("position"), answers, strict=True):
        run = room.submit()
        Run.objects.filter(pk=run.pk).update(answer=answer, status="finished")
        Trial.objects.filter(pk=trial.pk).update(state=TrialState.GRADING, run=run)
    return made


def test_a_verdict_is_stored_and_ends_the_trial(room: Room) -> None:
    made = answered(room, "it is 42")
    assert grading.grade_batch(Judge()) == 1
    trial = Trial.objects.select_related("verdict").get()
    assert (trial.state, trial.outcome, trial.score) == (TrialState.DONE, "correct", None)
    assert trial.verdict is not None
    assert trial.verdict.grade["extracted"] == "42"
    made.refresh_from_db()
    assert (made.status, made.trials_done) == ("finished", 1)


def test_the_same_question_is_not_asked_twice(room: Room) -> None:
    answered(room, "42")
    judge = Judge()
    grading.grade_batch(judge)
    Trial.objects.update(state=TrialState.GRADING, outcome="", grade_until=None)
    grading.grade_batch(judge)
    assert judge.asked == 1
    assert Trial.objects.get().outcome == "correct"


def test_judging_again_asks_anew_and_keeps_the_old_verdict(room: Room) -> None:
    made = answered(room, "42")
    grading.grade_batch(Judge())
    assert control.judge_again(made, room.users["bob"]) == 1
    grading.grade_batch(Judge(YES.replace("yes", "no")))
    assert Trial.objects.get().outcome == "incorrect"
    assert list(Verdict.objects.order_by("id").values_list("outcome", flat=True)) == [
        "correct",
        "incorrect",
    ]
    made.refresh_from_db()
    assert (made.status, made.trials_done) == ("finished", 1)


def test_nonsense_is_counted_and_never_guessed(room: Room) -> None:
    answered(room, "42")
    grading.grade_batch(Judge("Well, that depends."))
    trial = Trial.objects.select_related("verdict").get()
    assert trial.verdict is not None
    assert (trial.state, trial.outcome, trial.score) == (TrialState.DONE, "unscored", None)
    assert trial.verdict.parsed is False


def test_a_judge_that_is_down_is_asked_again_and_the_trial_waits(room: Room) -> None:
    made = answered(room, "42")
    grading.grade_batch(Judge(down=True))
    trial = Trial.objects.get()
    assert trial.state == TrialState.GRADING
    assert "Nobody answers" in trial.error_message
    made.refresh_from_db()
    assert "tried again" in made.notice
    assert grading.grade_batch(Judge()) == 0, "not before its time"


def test_in_the_end_the_trial_fails_and_a_retry_only_grades_it(room: Room) -> None:
    made = answered(room, "42")
    for _ in range(grading.TRIES):
        Trial.objects.update(grade_until=None)
        grading.grade_batch(Judge(down=True))
    trial = Trial.objects.get()
    assert (trial.state, trial.error_code) == (TrialState.FAILED, "grader_unreachable")
    assert control.retry(made, room.users["bob"]) == 1
    grading.grade_batch(Judge())
    after = Trial.objects.get()
    assert (after.state, after.run_id) == (TrialState.DONE, trial.run_id)
    made.refresh_from_db()
    assert (made.trials_done, made.trials_failed, made.status) == (1, 0, "finished")


def test_one_answer_is_graded_by_one_grader_at_a_time(room: Room) -> None:
    answered(room, "42")
    assert len(grading._take()) == 1
    assert grading._take() == []


def test_an_archived_judge_is_not_asked_and_a_new_one_of_its_name_is(room: Room) -> None:
    made = answered(room, "42")
    old, judge = made.judge, Judge()
    assert old is not None
    Endpoint.objects.filter(pk=old.pk).update(archived_at="2026-01-01T00:00:00Z")
    grading.grade_batch(judge)
    trial = Trial.objects.get()
    assert (trial.state, trial.error_code, judge.asked) == ("failed", "judge_gone", 0)
    assert f"named {old.name} with the model {old.model}" in trial.error_message

    Endpoint.objects.create(
        workspace=room.workspace, name=old.name, model=old.model, base_url=old.base_url
    )
    assert control.retry(made, room.users["bob"]) == 1
    grading.grade_batch(judge)
    assert (Trial.objects.get().state, judge.asked) == ("done", 1)


def test_an_answer_that_brings_graders_down_fails_in_the_end(room: Room) -> None:
    made, judge = answered(room, "42"), Judge()
    for _ in range(grading.TRIES):
        Trial.objects.update(grade_until=None)
        assert len(grading._take()) == 1, "a grader that dies leaves nothing but its hold"
    Trial.objects.update(grade_until=None)
    grading.grade_batch(judge)
    trial = Trial.objects.get()
    assert (trial.state, trial.error_code, judge.asked) == ("failed", "grader_lost", 0)
    made.refresh_from_db()
    assert (made.status, made.trials_failed) == ("finished", 1)


def test_the_answer_of_a_deleted_run_is_not_taken_for_a_wrong_one(room: Room) -> None:
    made, judge = answered(room, "42", "42"), Judge()
    grading.grade_batch(judge)
    first, second = Trial.objects.order_by("position")
    assert first.run is not None
    first.run.delete()
    assert control.judge_again(made, room.users["bob"]) == 1, "the other keeps its verdict"
    assert second.run is not None
    second.run.delete()
    grading.grade_batch(judge)
    states = Trial.objects.order_by("position").values_list("state", "outcome", "error_code")
    assert list(states) == [("done", "correct", ""), ("failed", "correct", "run_deleted")]

    Trial.objects.update(grade_tries=grading.TRIES)
    assert control.retry(made, room.users["bob"]) == 1
    again = Trial.objects.get(position=1)
    assert (again.state, again.outcome, again.verdict, again.grade_tries) == (
        "pending",
        "",
        None,
        0,
    )


def test_the_notice_of_a_silent_judge_goes_when_it_answers(room: Room) -> None:
    made, judge = answered(room, "42", "43"), Judge(down=True)
    grading.grade_batch(judge)
    Trial.objects.filter(position=0).update(grade_until=None)
    made.refresh_from_db()
    assert made.notice.startswith(grading.TRIED_AGAIN)
    grading.grade_batch(Judge())
    made.refresh_from_db()
    assert (made.status, made.notice) == ("running", "")
