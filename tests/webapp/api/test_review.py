from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.webapp.personas import Room
from tests.webapp.review.material import make_run
from webapp.review.models import StepLabel


@pytest.fixture
def made(room: Room) -> dict[str, Any]:
    """A label set and a queue of two steps, made over REST."""
    run = make_run(room, [1, 0])
    answer = ask(room, "alice", "label-sets", {"name": "Mine", "adjudicator": "rita"})
    assert answer.status_code == 201, answer.content
    queue = ask(
        room,
        "bob",
        f"label-sets/{answer.json()['uuid']}/queues",
        {"name": "First", "runs": [str(run.uuid)], "method": "all"},
    )
    assert queue.status_code == 201, queue.content
    return {"set": answer.json(), "queue": queue.json()}


def ask(room: Room, who: str, path: str, body: Any = None, **headers: str) -> Any:
    client, url, extra = Client(), f"/api/v1/{path}", room.bearer(who) | headers
    if body is None:
        return client.get(url, **extra)  # type: ignore[arg-type]
    return client.post(url, body, content_type="application/json", **extra)  # type: ignore[arg-type]


def test_sets_and_queues_are_listed(room: Room, made: dict[str, Any]) -> None:
    [found] = ask(room, "vera", "label-sets").json()
    assert (found["name"], found["blind"], found["adjudicator"]) == ("Mine", True, "rita")
    [queue] = ask(room, "vera", f"label-sets/{found['uuid']}/queues").json()
    assert (queue["population"], queue["drawn"], queue["done"]) == (2, 2, 0)


def test_items_are_taken_blindly_and_labelled_once(room: Room, made: dict[str, Any]) -> None:
    base = f"queues/{made['queue']['uuid']}"
    answer = ask(room, "rita", f"{base}/next", {})
    [item] = answer.json()["items"]
    assert "reason" not in answer.content.decode()
    assert "seen" not in answer.content.decode()
    path = f"{base}/items/{item['position']}"
    for repeated in (False, True):
        saved = ask(
            room, "rita", f"{path}/label", {"answer": "no"}, HTTP_IDEMPOTENCY_KEY="k"
        ).json()
        assert (saved["repeated"], saved["label"]["answer"]) == (repeated, "no")
    refused = ask(room, "bob", f"{path}/label", {"answer": "yes"})
    assert (refused.status_code, refused.json()["code"]) == (409, "item_taken")
    assert ask(room, "rita", f"{path}/undo", {}).json()["label"]["answer"] == ""
    assert ask(room, "rita", f"{path}/skip", {}).status_code == 204
    assert StepLabel.objects.get().answer == ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "x", "people": ["vera"]}, "people"),
        ({"name": "x", "runs": ["00000000-0000-4000-8000-000000000000"]}, "runs"),
        ({"name": "x", "filters": {"status": "asleep"}}, "runs"),
        ({"name": "x", "method": "stratified"}, "strata"),
    ],
)
def test_a_bad_queue_names_its_field(
    room: Room, made: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    answer = ask(room, "alice", f"label-sets/{made['set']['uuid']}/queues", body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
