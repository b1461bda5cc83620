"""The pages of experiments and task sets, as their users meet them; who may is in test_routes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests.webapp.experiments.material import make_experiment, make_task_set
from tests.webapp.personas import Room
from tests.webapp.review.material import make_queue, make_run
from webapp.experiments import grid, overview, reads
from webapp.experiments.models import Experiment, TaskSet, Trial, TrialState
from webapp.experiments.progress import trials_changed
from webapp.review.models import Opening


def settle(experiment: Experiment, **outcomes: str) -> None:
    """Let the trials of these arms have ended with this outcome."""
    for label, outcome in outcomes.items():
        failed = outcome == "failed"
        ended = Trial.objects.filter(experiment=experiment, arm__label=label).update(
            state=TrialState.FAILED if failed else TrialState.DONE,
            outcome="" if failed else outcome,
            error_message="<b>no</b>" if failed else "",
        )
        trials_changed(experiment.pk, done=ended, failed=ended if failed else 0)


# --- the list -----------------------------------------------------------------------------------
def test_the_list_says_how_large_and_who_is_ahead(vera: Client, room: Room) -> None:
    settle(make_experiment(room, seeds=[0, 1]), agentcollab="correct", large="incorrect")
    text = vera.get("/experiments/").content.decode()
    assert "3 tasks × 2 arms × 2 seeds" in text
    assert "agentcollab, 100.0 % of 6" in text
    assert "New experiment" not in text


def test_a_score_leads_where_nothing_is_right_or_wrong(room: Room) -> None:
    experiment = make_experiment(room)
    Trial.objects.filter(experiment=experiment).update(state=TrialState.DONE, outcome="unscored")
    Trial.objects.filter(arm__label="large").update(score=7.5)
    assert overview.leaders([experiment]) == {experiment.pk: "large, score 7.50"}


def test_the_list_is_read_in_pages_at_a_fixed_cost(
    room: Room, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "PAGE_SIZE", 2)
    for _ in range(3):
        make_experiment(room)
    Experiment.objects.update(status="finished")
    Trial.objects.update(state=TrialState.DONE)
    with django_assert_num_queries(4):
        page = overview.listed(room.workspace)
    assert [row.experiment.number for row in page.rows] == [3, 2]
    rest = overview.listed(room.workspace, before=page.following)
    assert ([row.experiment.number for row in rest.rows], rest.following) == ([1], None)


def test_an_empty_list_says_what_to_do_first(alice: Client, room: Room) -> None:
    assert "Add a task set" in alice.get("/experiments/").content.decode()
    make_task_set(room)
    assert "No experiments yet" in alice.get("/experiments/").content.decode()


# --- the result page ----------------------------------------------------------------------------
def test_the_page_is_as_small_for_many_trials(
    vera: Client, room: Room, django_assert_max_num_queries: Any
) -> None:
    experiment = make_experiment(room, tasks=40, seeds=list(range(5)))
    with django_assert_max_num_queries(20):
        text = vera.get(f"/experiments/{experiment.uuid}/").content.decode()
    assert "0 of 400 runs done" in text
    assert len(text) < 60_000


def test_a_viewer_may_look_and_take_out_but_not_steer(vera: Client, room: Room) -> None:
    text = vera.get(f"/experiments/{make_experiment(room).uuid}/").content.decode()
    assert "/export/definition/" in text
    assert "/pause/" not in text


def test_the_baseline_can_be_another_arm(vera: Client, room: Room) -> None:
    url = f"/experiments/{make_experiment(room).uuid}/results.json"
    assert vera.get(url).json()["table"]["baseline"] == "large"
    assert vera.get(f"{url}?baseline=agentcollab").json()["table"]["baseline"] == "agentcollab"
    answer = vera.get(f"{url}?baseline=nobody")
    assert (answer.status_code, "nobody" in answer.json()["message"]) == (422, True)


def test_the_grid_shows_a_page_of_tasks_by_all_arms(
    room: Room, django_assert_num_queries: DjangoAssertNumQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid, "TASKS_A_PAGE", 2)
    experiment = make_experiment(room, seeds=[0, 1])
    settle(experiment, agentcollab="correct", large="failed")
    with django_assert_num_queries(5):
        page = grid.tasks(experiment, number=2)
    assert (page.number, page.pages, page.total) == (2, 2, 3)
    row = page.rows[0]
    assert isinstance(row, grid.GridRow)
    assert row.task.task_id == "t2"
    assert [[cell.look.words for cell in cells] for cells in row.cells] == [
        ["Correct", "Correct"],
        ["Failed", "Failed"],
    ]


def test_the_grid_finds_where_arms_differ(vera: Client, room: Room) -> None:
    experiment = make_experiment(room)
    settle(experiment, agentcollab="correct", large="correct")
    one = Trial.objects.filter(experiment=experiment, arm__label="large", task__task_id="t1")
    one.update(outcome="incorrect")
    url = f"/experiments/{experiment.uuid}/trials/"
    found = re.findall(r"\bt\d\b", vera.get(f"{url}?show=different").content.decode())
    assert found == ["t1"]
    assert "No trial has failed" in vera.get(f"{url}?show=failed").content.decode()


def test_failures_are_told_with_their_reasons(vera: Client, room: Room) -> None:
    experiment = make_experiment(room)
    settle(experiment, large="failed")
    text = vera.get(f"/experiments/{experiment.uuid}/failures/").content.decode()
    assert text.count("&lt;b&gt;no&lt;/b&gt;") == 3
    assert len(grid.failures(experiment).rows) == 3


@pytest.mark.parametrize("page", ["0", "99", "-1", "x", "1" * 40])
def test_a_page_that_is_not_there_is_the_nearest_one(vera: Client, room: Room, page: str) -> None:
    url = f"/experiments/{make_experiment(room).uuid}/trials/?page={page}"
    assert vera.get(url).status_code == 200


# --- steering -----------------------------------------------------------------------------------
def test_it_pauses_goes_on_and_stops(bob: Client, room: Room) -> None:
    experiment = make_experiment(room)
    for step, status in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        answer = bob.post(f"/experiments/{experiment.uuid}/{step}/")
        experiment.refresh_from_db()
        assert (answer.status_code, experiment.status) == (302, status)


def test_what_failed_begins_again_and_the_page_says_how_many(bob: Client, room: Room) -> None:
    experiment = make_experiment(room)
    settle(experiment, large="failed")
    answer = bob.post(f"/experiments/{experiment.uuid}/retry/", follow=True)
    assert "3 begin again." in answer.content.decode()


def test_stopped_runs_are_neither_done_nor_failed(bob: Client, room: Room) -> None:
    experiment = make_experiment(room)
    settle(experiment, large="correct")
    bob.post(f"/experiments/{experiment.uuid}/cancel/")
    state = reads.progress([experiment.pk])[experiment.pk]
    assert (state.total, state.done, state.failed, state.stopped) == (6, 3, 0, 3)
    text = bob.get(f"/experiments/{experiment.uuid}/").content.decode()
    assert "3 of 6 runs done" in text
    assert "Begin 3 stopped again" in text
    assert "3 of 6, 3 stopped<" in bob.get("/experiments/").content.decode()


def test_the_same_again_is_another_experiment(bob: Client, room: Room) -> None:
    first = make_experiment(room, max_parallel=2)
    bob.post(f"/experiments/{first.uuid}/rerun/")
    again = Experiment.objects.order_by("-id")[0]
    assert (again.digest, again.parent, again.max_parallel) == (first.digest, first, 2)


def test_a_double_click_makes_it_again_once(bob: Client, room: Room) -> None:
    url = f"/experiments/{make_experiment(room).uuid}/"
    for _ in range(2):
        page = bob.get(url).content.decode()
        [key] = re.findall(r'name="key" value="(\w+)"', page)
        made = {bob.post(f"{url}rerun/", {"key": key}).headers["Location"] for _ in range(2)}
        assert len(made) == 1
    assert Experiment.objects.count() == 3


def test_the_same_again_without_its_tasks_is_refused_in_words(bob: Client, room: Room) -> None:
    first = make_experiment(room)
    bob.post(f"/experiments/task-sets/{first.task_set.uuid}/archive/")
    answer = bob.post(f"/experiments/{first.uuid}/rerun/", follow=True)
    assert "There is no task set" in answer.content.decode()
    assert Experiment.objects.count() == 1


# --- exports ------------------------------------------------------------------------------------
def test_the_definition_comes_out_as_it_went_in(vera: Client, room: Room) -> None:
    experiment = make_experiment(room)
    answer = vera.get(f"/experiments/{experiment.uuid}/export/definition/")
    assert json.loads(answer.content) == experiment.definition
    assert "experiment-1-definition.json" in answer.headers["Content-Disposition"]


def test_the_trials_are_a_line_each(vera: Client, room: Room) -> None:
    experiment = make_experiment(room, seeds=[0, 1])
    text = vera.get(f"/experiments/{experiment.uuid}/export/trials/").content.decode()
    assert len([json.loads(line) for line in text.splitlines()]) == 12


def test_an_export_of_runs_is_an_opening_of_their_blind_steps(rita: Client, room: Room) -> None:
    experiment, run = make_experiment(room, tasks=1), make_run(room)
    Trial.objects.filter(experiment=experiment, position=0).update(run=run)
    make_queue(room, runs=[run])
    for what, kept in (("table-csv", 0), ("trials", 1), ("archive", 1)):
        rita.get(f"/experiments/{experiment.uuid}/export/{what}/")
        assert Opening.objects.filter(user=room.users["rita"], run_uuid=run.uuid).count() == kept


def test_a_table_is_named_after_what_it_is(vera: Client, room: Room) -> None:
    url = f"/experiments/{make_experiment(room).uuid}/export/table-csv/"
    assert '"experiment-1-table.csv"' in vera.get(url).headers["Content-Disposition"]


def test_an_export_that_does_not_exist_is_404(vera: Client, room: Room) -> None:
    assert vera.get(f"/experiments/{make_experiment(room).uuid}/export/gold/").status_code == 404


# --- task sets ----------------------------------------------------------------------------------
def upload(client: Client, content: bytes, name: str = "mine.jsonl", **fields: str) -> Any:
    file = SimpleUploadedFile(name, content)
    return client.post("/experiments/task-sets/upload/", {"file": file, **fields}, follow=True)


def test_questions_of_ones_own_become_a_set(bob: Client, room: Room) -> None:
    text = upload(bob, b'{"question": "1+1?", "answer": "2"}\n', name="sums.jsonl").content.decode()
    assert "is there as sums, with 1 tasks." in text
    made = TaskSet.objects.get()
    assert "1+1?" in bob.get(f"/experiments/task-sets/{made.uuid}/").content.decode()


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b'{"question": "1+1?", "answer": "2"}\nnonsense\n', "a.jsonl", "Row 2"),
        (b"question,answer\n,2\n", "a.csv", "Row 2"),
        (b"", "a.jsonl", "The file is empty"),
        (b"x", "a.exe", "must end in .jsonl or .csv"),
        (b'{"id": "%s", "question": "1+1?", "answer": "2"}' % (b"i" * 81), "a.jsonl", "in id"),
        (b"level,question,answer\n%s,1+1?,2\n" % (b"l" * 41), "a.csv", "in difficulty"),
        (b'{"question": "%s", "answer": "2"}' % (b"q" * 100_001), "a.jsonl", "100,001 bytes"),
    ],
)
def test_a_wrong_file_is_refused_by_its_line(
    bob: Client, room: Room, content: bytes, name: str, words: str
) -> None:
    answer = upload(bob, content, name)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not TaskSet.objects.exists()


def test_a_folder_that_is_not_there_is_refused(bob: Client, room: Room) -> None:
    answer = bob.post("/experiments/task-sets/add/", {"folder": "../../etc"}, follow=True)
    assert "There is no benchmark folder" in answer.content.decode()


def test_an_archived_set_is_gone_from_the_list_but_can_be_read(bob: Client, room: Room) -> None:
    made = make_task_set(room)
    bob.post(f"/experiments/task-sets/{made.uuid}/archive/")
    assert "No task sets yet" in bob.get("/experiments/task-sets/").content.decode()
    assert bob.get(f"/experiments/task-sets/{made.uuid}/").status_code == 200


def test_a_run_says_which_experiment_it_belongs_to(vera: Client, room: Room) -> None:
    experiment, run = make_experiment(room), room.submit()
    page = f"/runs/{run.uuid}/"
    assert "Experiment</dt>" not in vera.get(page).content.decode()
    Trial.objects.filter(experiment=experiment, position=0).update(run=run)
    text = vera.get(page).content.decode()
    assert f'<a href="/experiments/{experiment.uuid}/">experiment-1</a>, agentcollab' in text
