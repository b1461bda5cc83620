from __future__ import annotations

import pytest

from tests.collab_core.test_prefill import STORY
from tests.webapp.personas import Room
from webapp.runs.models import Run, Status
from webapp.runs.services import _insert
from webapp.runs.warm import warm_account


def story(room: Room, warm: str) -> Run:
    run = room.submit(strategies=[("agentcollab", {"warm_prefill": warm})])
    _insert(run.pk, 1, 1.0, STORY)
    return run


def test_a_run_that_warms_has_its_account(room: Room) -> None:
    account = warm_account(story(room, "always"))
    assert account is not None
    assert (account.calls, account.saved_tokens) == (1, 590)


def test_rest_shows_the_account_with_the_prices_of_the_run(room: Room) -> None:
    run = story(room, "always")
    client = room.client("bob")
    body = client.get(f"/api/v1/runs/{run.uuid}", **room.bearer("bob")).json()
    assert body["warm_prefill"]["take_overs"] == 1
    # cached tokens have no price of their own here, so they save no money
    assert body["warm_prefill"]["saved_usd"] == pytest.approx(0.0)


def test_the_page_of_an_ended_run_tells_the_account(room: Room) -> None:
    run = story(room, "signs")
    Run.objects.filter(pk=run.pk).update(status=Status.FINISHED)
    page = room.client("bob").get(f"/runs/{run.uuid}/").content.decode()
    assert "1 take-over found 590 more tokens cached" in page


def test_a_run_that_warms_nothing_reads_nothing(
    room: Room, django_assert_num_queries: object
) -> None:
    run = story(room, "off")
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert warm_account(run) is None
