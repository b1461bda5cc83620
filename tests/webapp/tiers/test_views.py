"""Endpoints and ladders: who edits, what is refused, where a key may go."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.webapp.personas import Room
from webapp.tiers.models import Endpoint, Ladder


def entry(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "gpu", "base_url": "http://gpu1:8000/v1", "model": "m", "api_key_env": "GPU_API_KEY",
        "context_tokens": "4096", "max_concurrency": "8", "connect_timeout_s": "5", "first_byte_timeout_s": "60",
        "between_chunks_timeout_s": "30", "total_timeout_s": "300", "price_input_usd": "0.1",
    }  # fmt: skip
    return fields | changes


def test_an_owner_adds_an_endpoint_whose_key_is_bound_to_its_address(
    alice: Client, room: Room
) -> None:
    alice.post("/tiers/endpoints/new/", entry())
    endpoint = Endpoint.objects.get(name="gpu")
    assert endpoint.workspace == room.workspace
    assert (endpoint.usable_key_env, endpoint.key_origin) == ("GPU_API_KEY", "http://gpu1:8000")
    assert endpoint.price_output_usd is None


@pytest.mark.parametrize(
    "url", ["http://gpu2:8000/v1", "https://gpu1:8000/v1", "http://gpu1:8001/v1"]
)
def test_a_changed_host_scheme_or_port_loses_the_key(alice: Client, room: Room, url: str) -> None:
    alice.post("/tiers/endpoints/new/", entry())
    endpoint = Endpoint.objects.get(name="gpu")
    answer = alice.post(f"/tiers/endpoints/{endpoint.uuid}/", entry(base_url=url), follow=True)
    endpoint.refresh_from_db()
    assert (endpoint.api_key_env, endpoint.usable_key_env) == ("", "")
    assert "variable was removed" in answer.content.decode()


def test_a_changed_path_keeps_the_key(alice: Client, room: Room) -> None:
    alice.post("/tiers/endpoints/new/", entry())
    endpoint = Endpoint.objects.get(name="gpu")
    alice.post(f"/tiers/endpoints/{endpoint.uuid}/", entry(base_url="http://GPU1:8000/v2/"))
    endpoint.refresh_from_db()
    assert endpoint.usable_key_env == "GPU_API_KEY"


@pytest.mark.parametrize(
    "changes",
    [
        {"base_url": "ftp://gpu1/v1"},
        {"base_url": "http://user:pw@gpu1/v1"},
        {"base_url": "http://gpu1/v1?key=1"},
        {"base_url": "http://gpu1:99999/v1"},
        {"base_url": "http://gpu1\\@evil/v1"},
        {"base_url": "gpu1"},
        {"api_key_env": "SECRET_KEY"},
        {"api_key_env": "DATABASE_URL"},
        {"api_key_env": "sk-abcdef"},
        {"price_input_usd": "-1"},
        {"price_input_usd": "nan"},
        {"total_timeout_s": "0"},
        {"name": ""},
    ],
)
def test_what_cannot_be_is_refused(alice: Client, room: Room, changes: dict[str, Any]) -> None:
    answer = alice.post("/tiers/endpoints/new/", entry(**changes))
    assert answer.status_code == 422
    assert not Endpoint.objects.filter(workspace=room.workspace, model="m").exists()


def test_only_the_forms_own_fields_can_be_set(alice: Client, room: Room) -> None:
    alice.post("/tiers/endpoints/new/", entry(workspace=room.other.pk, simulated="on", key_origin="http://evil:80"))  # fmt: skip
    endpoint = Endpoint.objects.get(name="gpu")
    assert (endpoint.workspace, endpoint.simulated) == (room.workspace, False)
    assert endpoint.key_origin == "http://gpu1:8000"


def test_checking_a_dead_endpoint_says_what_to_do(alice: Client, room: Room) -> None:
    endpoint = room.ladder.ordered_rungs()[0].endpoint
    answer = alice.post(f"/tiers/endpoints/{endpoint.uuid}/check/", follow=True)
    endpoint.refresh_from_db()
    assert endpoint.last_check["works"] is False
    assert "Does not work" in answer.content.decode()


def test_members_read_but_see_no_controls_nor_key_names(
    alice: Client, bob: Client, room: Room
) -> None:
    alice.post("/tiers/endpoints/new/", entry())
    text = bob.get("/tiers/").content.decode()
    assert "gpu1:8000" in text
    assert "GPU_API_KEY" not in text
    assert "/check/" not in text


def test_a_ladder_is_built_ordered_and_shortened(alice: Client, room: Room) -> None:
    alice.post("/tiers/ladders/new/", {"name": "three"})
    ladder = Ladder.objects.get(name="three")
    endpoint = room.ladder.ordered_rungs()[0].endpoint
    base = f"/tiers/ladders/{ladder.uuid}/rungs"
    for name in ("a", "b", "c"):
        alice.post(f"{base}/add/", {"tier_name": name, "endpoint": str(endpoint.uuid)})
    alice.post(f"{base}/0/move/", {"to": "up"})
    assert [rung.tier_name for rung in ladder.ordered_rungs()] == ["b", "a", "c"]
    alice.post(f"{base}/2/move/", {"to": "up"})
    alice.post(f"{base}/0/remove/")
    assert [(r.position, r.tier_name) for r in ladder.ordered_rungs()] == [(0, "a"), (1, "c")]
    double = alice.post(f"{base}/add/", {"tier_name": "a", "endpoint": str(endpoint.uuid)})
    assert "already" in double.content.decode()


def test_another_rooms_endpoint_cannot_join_a_ladder(room: Room) -> None:
    charlie = room.client("charlie")
    charlie.post("/tiers/ladders/new/", {"name": "mine"})
    foreign = room.ladder.ordered_rungs()[0].endpoint
    url = f"/tiers/ladders/{Ladder.objects.get(name='mine').uuid}/rungs/add/"
    answer = charlie.post(url, {"tier_name": "a", "endpoint": str(foreign.uuid)})
    assert answer.status_code == 422


def test_an_endpoint_in_use_cannot_be_archived_until_its_ladder_is(
    alice: Client, room: Room
) -> None:
    endpoint = room.ladder.ordered_rungs()[0].endpoint
    refused = alice.post(f"/tiers/endpoints/{endpoint.uuid}/archive/", follow=True)
    assert "remove it there first" in refused.content.decode()
    alice.post(f"/tiers/ladders/{room.ladder.uuid}/archive/")
    alice.post(f"/tiers/endpoints/{endpoint.uuid}/archive/")
    endpoint.refresh_from_db()
    assert endpoint.archived_at is not None
    assert alice.get(f"/tiers/endpoints/{endpoint.uuid}/").status_code == 404
