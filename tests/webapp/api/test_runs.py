from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from tests.webapp.personas import Room, make_collection
from tests.webapp.runs.test_fold import finished
from webapp.runs.models import Run, SampleTask
from webapp.runs.services import _insert
from webapp.teams.models import Membership, Role, Token


class Api:
    """One person's REST client."""

    def __init__(self, room: Room, name: str) -> None:
        self._client, self._headers = Client(), room.bearer(name)

    def get(self, path: str, **query: Any) -> Any:
        return self._client.get(f"/api/v1{path}", query, **self._headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._client.post(
            f"/api/v1{path}",
            body if isinstance(body, str) else json.dumps(body),
            content_type="application/json",
            **self._headers,
            **headers,
        )


@pytest.fixture
def api(room: Room) -> Api:
    return Api(room, "bob")


def body(room: Room, **changes: Any) -> dict[str, Any]:
    return {"question": "What is six times seven?", "ladder": room.ladder.name} | changes


def with_steps(run: Run, steps: int) -> None:
    _insert(run.pk, 1, 1.0, [finished(number, tier=1) for number in range(1, steps + 1)])
    Run.objects.filter(pk=run.pk).update(next_seq=steps + 1)


def test_a_run_is_created_and_read_again(room: Room, api: Api) -> None:
    created = api.post("/runs", body(room, seed=5, strategy="small", limits={"max_steps": 3}))
    assert created.status_code == 201
    run = api.get(f"/runs/{created.json()['uuid']}").json()
    assert (run["seed"], run["strategy"], run["limits"]["max_steps"]) == (5, "small", 3)
    assert (run["status"], run["queue_position"], run["submitted_by"]) == ("queued", 1, "bob")


def test_the_same_idempotency_key_is_the_same_run(room: Room, api: Api) -> None:
    first = api.post("/runs", body(room), HTTP_IDEMPOTENCY_KEY="k1")
    again = api.post("/runs", body(room), HTTP_IDEMPOTENCY_KEY="k1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["uuid"] == again.json()["uuid"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": ""}, "question"),
        ({"question": "x" * 100_001}, "question"),
        ({"question": None}, "question"),
        ({"strategy": "nope"}, "strategy"),
        ({"parameters": {"growth": -3}, "strategy": "agentcollab"}, "growth"),
        ({"ladder": "nope"}, "ladder"),
        ({"collection": "nope"}, "collection"),
        ({"seed": -1}, "seed"),
        ({"limits": {"max_steps": 10**9}}, "limits.max_steps"),
        ({"workspace": "00000000-0000-0000-0000-000000000000"}, None),
        ({"gold": ["42"]}, "gold"),
        ({"status": "finished"}, "status"),
    ],
)
def test_bad_input_is_said_with_its_field(
    room: Room, api: Api, change: dict[str, Any], field: str | None
) -> None:
    answer = api.post("/runs", body(room, **change))
    assert answer.status_code == (404 if field is None else 422)
    assert set(answer.json()) == {"code", "message", "field", "hint"}
    assert field is None or answer.json()["field"] == field
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "raw", ["", "{", "[]", "null", '"x"', "\x00", '{"question": "' + "[" * 9_000]
)
def test_a_body_that_is_no_object_is_refused(api: Api, raw: str) -> None:
    answer = api.post("/runs", raw)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("bad_request", "invalid_input")


def test_a_huge_body_is_refused(room: Room, api: Api) -> None:
    answer = api.post("/runs", body(room, question="x" * 2_000_000))
    assert answer.status_code in (400, 413)


def test_the_quota_answers_429(room: Room, api: Api, settings: Any) -> None:
    settings.TANDEM = settings.TANDEM | {"max_active_runs": 1}
    api.post("/runs", body(room))
    refused = api.post("/runs", body(room))
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_reached")
    assert refused.headers["Retry-After"] == "30"


def test_events_come_in_pages_as_they_are_stored(room: Room, api: Api) -> None:
    run = room.submit()
    with_steps(run, 5)
    first = api.get(f"/runs/{run.uuid}/events", limit=3).json()
    rest = api.get(f"/runs/{run.uuid}/events", since=2).json()
    assert ([e["seq"] for e in first["events"]], first["more"]) == ([0, 1, 2], True)
    assert ([e["seq"] for e in rest["events"]], rest["more"]) == ([3, 4, 5], False)
    assert rest["events"][0]["type"] == "step.finished"


@pytest.mark.parametrize(
    "query", [{"since": "-2"}, {"since": "x"}, {"limit": "0"}, {"limit": "9999"}]
)
def test_a_page_out_of_range_is_refused(room: Room, api: Api, query: dict[str, str]) -> None:
    assert api.get(f"/runs/{room.submit().uuid}/events", **query).status_code == 422


def test_a_queued_run_is_cancelled(room: Room, api: Api) -> None:
    run = room.submit()
    answer = api.post(f"/runs/{run.uuid}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    assert api.post(f"/runs/{run.uuid}/cancel").status_code == 202


def test_a_run_is_forked(room: Room, api: Api) -> None:
    run = room.submit()
    with_steps(run, 3)
    answer = api.post(f"/runs/{run.uuid}/fork", {"after_step": 2, "strategy": "large"})
    assert answer.status_code == 201
    fork = answer.json()
    assert (fork["steps"], fork["forked_from"]["after_step"], fork["tier_path"]) == (2, 2, "11")


def test_a_fork_after_a_step_that_is_not_there_is_refused(room: Room, api: Api) -> None:
    answer = api.post(f"/runs/{room.submit().uuid}/fork", {"after_step": 9, "strategy": "large"})
    assert (answer.status_code, answer.json()["field"]) == (422, "after_step")


def test_the_list_takes_the_filters_of_the_page(room: Room, api: Api) -> None:
    run = room.submit(question="About bridges")
    room.submit(question="About ships")
    assert [r["uuid"] for r in api.get("/runs", q="bridges").json()["runs"]] == [str(run.uuid)]
    assert api.get("/runs", status="failed").json()["runs"] == []
    assert len(api.get("/runs", order="steps").json()["runs"]) == 2


def test_the_catalogue_can_be_read(room: Room, api: Api) -> None:
    docs = make_collection(room)
    SampleTask.objects.create(collection=docs, task_id="t", question="?", answers=["secret"])
    assert {s["name"] for s in api.get("/strategies").json()} >= {"agentcollab", "small", "large"}
    assert api.get("/ladders").json()[0]["tiers"][0] == {"name": "tier0", "model": "model-0"}
    assert api.get("/collections").json()[0]["name"] == "docs"
    tasks = api.get("/tasks", collection="docs")
    assert tasks.json()[0]["task_id"] == "t"
    assert b"secret" not in tasks.content


def test_members_of_several_workspaces_must_say_which(room: Room, api: Api) -> None:
    Membership.objects.create(workspace=room.other, user=room.users["bob"], role=Role.VIEWER)
    assert api.post("/runs", body(room)).json()["field"] == "workspace"
    assert api.post("/runs", body(room, workspace=str(room.workspace.uuid))).status_code == 201
    answer = api.post("/runs", body(room, workspace=str(room.other.uuid)))
    assert answer.status_code in (403, 422)


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer tandem_" + "a" * 43]
)
def test_without_a_valid_token_nothing_is_told(room: Room, header: str) -> None:
    answer = Client().get("/api/v1/runs", **({"HTTP_AUTHORIZATION": header} if header else {}))
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorised")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_session_cookie_is_not_enough(alice: Client) -> None:
    assert alice.get("/api/v1/runs").status_code == 401


def test_a_revoked_token_is_dead(room: Room, api: Api) -> None:
    Token.objects.update(revoked_at="2026-01-01T00:00:00Z")
    assert api.get("/runs").status_code == 401


def test_a_token_is_stored_hashed(room: Room) -> None:
    token, secret = Token.objects.issue(room.users["bob"], "laptop")
    assert secret not in json.dumps(list(Token.objects.values()), default=str)
    assert Token.objects.find(secret) == token


def test_the_schema_is_public_and_names_every_path(client: Client, db: None) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    assert "/api/v1/runs/{uuid}/fork" in schema["paths"]


@pytest.mark.parametrize(
    "query",
    [{"cursor": "zzz"}, {"order": "foo"}, {"status": "zz"}, {"from": "xx"}],
)
def test_a_filter_that_cannot_be_used_is_refused(api: Api, query: dict[str, str]) -> None:
    answer = api.get("/runs", **query)
    assert answer.status_code == 422
    assert "cannot be used" in answer.json()["message"]
