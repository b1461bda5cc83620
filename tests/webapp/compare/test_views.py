"""The comparison's address and what it opens."""

from __future__ import annotations

from django.test import Client

from tests.webapp.personas import Room


def test_two_runs_of_one_task_get_letters_in_the_order_of_the_address(
    bob: Client, room: Room
) -> None:
    one, two = room.submit(), room.submit()
    answer = bob.get(f"/compare/?runs={two.uuid},{one.uuid}&baseline={one.uuid}")
    payload = answer.context["payload"]
    assert [run["ref"] for run in payload["runs"]] == [str(two), str(one)]
    assert payload["baseline"] == 1


def test_the_baseline_is_the_large_only_run_unless_another_is_chosen(
    bob: Client, room: Room
) -> None:
    small, large = (room.submit(strategies=[(name, {})]) for name in ("small", "large"))
    address = f"/compare/?runs={small.uuid},{large.uuid}"
    assert bob.get(address).context["payload"]["baseline"] == 1
    chosen = bob.get(f"{address}&baseline={small.uuid}")
    assert chosen.context["payload"]["baseline"] == 0


def test_fewer_than_two_runs_ask_for_more(bob: Client, room: Room) -> None:
    text = bob.get("/compare/").content.decode()
    assert "Pick 2 to 6 runs" in text
    run = room.submit()
    assert f"/compare/?runs={run.uuid}" in bob.get("/compare/").content.decode()


def test_removing_and_adding_are_links(bob: Client, room: Room) -> None:
    one, two, three = room.submit(), room.submit(), room.submit()
    text = bob.get(f"/compare/?runs={one.uuid},{two.uuid}").content.decode()
    assert f'href="/compare/?runs={two.uuid}"' in text
    assert f"/compare/?runs={one.uuid},{two.uuid},{three.uuid}" in text


def test_at_most_six_and_each_once(bob: Client, room: Room) -> None:
    runs = [str(room.submit(question=f"Question {n}?").uuid) for n in range(8)]
    answer = bob.get(f"/compare/?runs={','.join([runs[0], *runs])}")
    assert len(answer.context["runs"]) == 6
    assert "2 more were left out" in answer.content.decode()
    assert "different tasks" in answer.content.decode()


def test_a_strangers_run_and_nonsense_are_not_found(
    bob: Client, charlie: Client, room: Room
) -> None:
    one, two = room.submit(), room.submit()
    assert charlie.get(f"/compare/?runs={one.uuid},{two.uuid}").status_code == 404
    assert bob.get("/compare/?runs=nonsense").status_code == 404
    assert bob.get(f"/compare/?runs={one.uuid},{room.workspace.uuid}").status_code == 404
