from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from tests.webapp.api.test_runs import Api
from tests.webapp.experiments.material import definition, make_experiment, make_task_set
from tests.webapp.personas import Room
from webapp.experiments import feeding
from webapp.experiments.models import Experiment
from webapp.teams.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(room: Room) -> Api:
    return Api(room, "bob")


def body(room: Room, **changes: Any) -> dict[str, Any]:
    return {"definition": definition(room, **changes).model_dump(mode="json")}


def test_an_experiment_is_created_and_followed(room: Room, api: Api) -> None:
    make_task_set(room)
    created = api.post("/experiments", body(room) | {"max_parallel": 2})
    assert created.status_code == 201
    feeding.feed()
    found = api.get(f"/experiments/{created.json()['uuid']}").json()
    assert (found["name"], found["created_by"], found["task_set"]) == ("Sums by two", "bob", "sums")
    assert (found["progress"]["total"], found["progress"]["running"]) == (6, 2)


def test_the_same_idempotency_key_is_the_same_experiment(room: Room, api: Api) -> None:
    make_task_set(room)
    answers = [
        api.post("/experiments", body(room), HTTP_IDEMPOTENCY_KEY="k").json() for _ in range(2)
    ]
    assert answers[0]["uuid"] == answers[1]["uuid"]
    assert Experiment.objects.count() == 1


def test_a_wrong_definition_names_its_field(room: Room, api: Api) -> None:
    make_task_set(room)
    wrong = body(room)
    wrong["definition"]["arms"][1]["label"] = wrong["definition"]["arms"][0]["label"]
    answer = api.post("/experiments", wrong)
    assert answer.status_code == 422
    assert "two arms are called" in answer.json()["message"]
    lost = api.post("/experiments", body(room, tasks={"name": "nothing"}))
    assert (lost.status_code, lost.json()["field"]) == (422, "tasks.name")


def test_what_is_exported_can_be_imported(room: Room, api: Api) -> None:
    made = make_experiment(room)
    exported = api.get(f"/experiments/{made.uuid}").json()["definition"]
    again = api.post("/experiments", {"definition": exported})
    assert (again.status_code, again.json()["digest"]) == (201, made.digest)


def test_it_is_paused_resumed_stopped_and_retried(room: Room, api: Api) -> None:
    made = make_experiment(room)
    for action, status in (
        ("pause", "paused"),
        ("resume", "running"),
        ("cancel", "cancelled"),
        ("retry", "running"),
    ):
        answer = api.post(f"/experiments/{made.uuid}/{action}")
        assert (answer.status_code, answer.json()["status"]) == (202, status)
    actions = AuditEntry.objects.filter(action__startswith="experiment.").order_by("id")
    assert [one.action.partition(".")[2] for one in actions] == [
        "submitted",
        "paused",
        "resumed",
        "cancelled",
        "retried",
    ]


def test_the_figures_are_there_from_the_beginning(room: Room, api: Api) -> None:
    made = make_experiment(room)
    found = api.get(f"/experiments/{made.uuid}/results").json()
    assert [row["arm"] for row in found["table"]["rows"]] == ["agentcollab", "large"]
    assert found["table"]["baseline"] == "large"
    assert api.get(f"/experiments/{made.uuid}/results", baseline="nobody").status_code == 422


def test_the_archive_holds_definition_trials_and_logs(room: Room, api: Api) -> None:
    made = make_experiment(room, tasks=2, max_parallel=3)
    feeding.feed()
    content = b"".join(api.get(f"/experiments/{made.uuid}/archive").streaming_content)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        names = tar.getnames()
        trials = [json.loads(line) for line in read(tar, "trials.jsonl").splitlines()]
        first = json.loads(read(tar, trials[0]["log"]).splitlines()[0])
    assert len(names) == 2 + 3
    assert [bool(trial["log"]) for trial in trials] == [True, True, True, False]
    assert first["type"] == "run.queued"


def read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None
    return member.read()


def test_somebody_elses_experiment_is_not_there(room: Room) -> None:
    made = make_experiment(room)
    stranger = Api(room, "charlie")
    assert stranger.get(f"/experiments/{made.uuid}").status_code == 404
    assert stranger.post(f"/experiments/{made.uuid}/cancel").status_code == 404
    assert stranger.get("/experiments").json() == []


def test_a_viewer_reads_and_does_not_steer(room: Room) -> None:
    made = make_experiment(room)
    viewer = Api(room, "vera")
    assert viewer.get(f"/experiments/{made.uuid}").status_code == 200
    assert viewer.post(f"/experiments/{made.uuid}/pause").status_code == 403
    assert viewer.post("/experiments", body(room)).status_code == 403
