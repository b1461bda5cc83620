"""The pages of runs, as their users meet them; who may open what is in test_routes."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from collab_core.strategies.registry import STRATEGIES
from tests.fixtures.make_run import HOSTILE
from tests.webapp.personas import Room, make_collection
from webapp.runs.models import Run, SampleTask
from webapp.runs.templatetags.ui import ribbon_paths, seconds, tier_look, usd


def defaults(strategy: str) -> dict[str, str]:
    """What an untouched form sends of a strategy's parameters."""
    values = STRATEGIES[strategy].parameters().model_dump()
    return {f"{strategy}-{name}": str(v) for name, v in values.items() if v is not False}


SMALL, LARGE = defaults("small"), defaults("large")


def form(room: Room, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "question": "Who built the bridge?", "ladder": str(room.ladder.uuid), "strategies": ["small"], "seed": "3",
        "max_steps": "5", "max_tokens": "", "max_cost_usd": "", "max_wall_s": "", "max_output_tokens": "256",
    }  # fmt: skip
    return fields | SMALL | changes


def test_one_strategy_makes_one_run_and_opens_it(bob: Client, room: Room) -> None:
    answer = bob.post("/runs/new/", form(room))
    run = Run.objects.get()
    assert answer.headers["Location"] == f"/runs/{run.uuid}/"
    assert (run.question, run.seed, run.limits["max_steps"]) == ("Who built the bridge?", 3, 5)
    assert run.parameters["temperature"] == 0.6


def test_several_strategies_are_a_race_that_opens_side_by_side(bob: Client, room: Room) -> None:
    answer = bob.post("/runs/new/", form(room, strategies=["small", "large"], **LARGE))
    assert answer.headers["Location"].startswith("/compare/?runs=")
    assert {run.race for run in Run.objects.all()} != {None}
    assert bob.get(answer.headers["Location"]).status_code == 200


def test_sending_the_form_twice_makes_one_run(bob: Client, room: Room) -> None:
    for _ in range(2):
        bob.post("/runs/new/", form(room, key="k" * 32))
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"question": ""}, "The task is empty"),
        ({"question": "x" * 100_001}, "at most 100,000"),
        ({"question": "a\x00b"}, "Null characters"),
        ({"question": "a\x07b"}, "U+0007"),
        ({"strategies": []}, "Choose at least one strategy"),
        ({"strategies": ["nope"]}, "nope is not one of the available choices"),
        ({"small-temperature": "9"}, "less than or equal to 2"),
        ({"max_steps": "0"}, "greater than or equal to 1"),
        ({"max_steps": "many"}, "Enter a whole number"),
        ({"seed": "-1"}, "greater than or equal to 0"),
        ({"ladder": "00000000-0000-0000-0000-000000000000"}, "Select a valid choice"),
    ],
)
def test_a_wrong_entry_is_told_at_its_field_and_the_input_is_kept(
    bob: Client, room: Room, changes: dict[str, Any], words: str
) -> None:
    answer = bob.post("/runs/new/", form(room, **changes))
    text = answer.content.decode()
    assert answer.status_code == 422
    assert words in text
    assert "data-focus-first" in text
    assert 'name="seed" value="' in text or changes.get("seed")
    assert not Run.objects.exists()


def test_a_strategy_ticked_after_a_refusal_still_has_its_defaults(bob: Client, room: Room) -> None:
    page = bob.post("/runs/new/", form(room, question="")).content.decode()
    assert 'name="small-' in page
    assert 'name="agentcollab-' not in page, "loaded when it is ticked"
    part = bob.get("/runs/new/parameters/", {"strategy": "agentcollab-static"})
    static = part.context["parameters"]
    assert (
        static["budget_base"].value() == STRATEGIES["agentcollab-static"].parameters().budget_base
    )
    assert static["early_hand_back"].value() is True
    assert bob.get("/runs/new/parameters/", {"strategy": "none"}).status_code == 404


def test_hostile_text_stays_text(bob: Client, room: Room) -> None:
    run = room.submit(question=HOSTILE)
    for url in (
        "/",
        f"/runs/{run.uuid}/",
        f"/compare/?runs={run.uuid}",
        f"/runs/new/?like={run.uuid}",
    ):
        text = bob.get(url).content.decode()
        assert "<img src=x" not in text, url
        assert "&lt;img src=x" in text, url


def test_a_viewer_sees_a_run_without_the_buttons_that_change_it(vera: Client, room: Room) -> None:
    text = vera.get(f"/runs/{room.submit().uuid}/").content.decode()
    assert "Stop run" not in text
    assert "fork-dialog" not in text
    assert vera.get("/runs/new/").status_code == 403


def test_stopping_a_queued_run_from_its_page(bob: Client, room: Room) -> None:
    run = room.submit()
    bob.post(f"/runs/{run.uuid}/cancel/")
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert "Stopped" in bob.get("/").content.decode()


def test_rerunning_keeps_the_seed(bob: Client, room: Room) -> None:
    first = room.submit(seed=99)
    bob.post(f"/runs/{first.uuid}/rerun/")
    assert Run.objects.exclude(pk=first.pk).get().seed == 99


def test_a_fork_that_cannot_be_says_why(bob: Client, room: Room) -> None:
    run = room.submit()
    data = {"after_step": "3", "strategy": "large", "ladder": str(room.ladder.uuid), **LARGE}
    answer = bob.post(f"/runs/{run.uuid}/fork/", data, follow=True)
    assert "0 finished steps" in answer.content.decode()


def test_the_page_is_marked_where_tiers_are_simulated(bob: Client, room: Room) -> None:
    run = room.submit()
    assert "Simulated" not in bob.get(f"/runs/{run.uuid}/").content.decode()
    Run.objects.update(simulated=True)
    assert "Simulated" in bob.get(f"/runs/{run.uuid}/").content.decode()
    assert ", simulated" in bob.get("/").content.decode()


def test_sample_tasks_are_found_by_words_and_only_in_the_own_room(
    bob: Client, charlie: Client, room: Room
) -> None:
    docs = make_collection(room)
    for n, question in enumerate(("Who built the bridge?", "Who wrote the novel?")):
        SampleTask.objects.create(collection=docs, task_id=f"easy-{n}", question=question, answers=["Ada"], difficulty="easy")  # fmt: skip
    url = f"/runs/tasks/?collection={docs.uuid}&q=NOVEL wrote"
    assert [task["task_id"] for task in bob.get(url).json()["tasks"]] == ["easy-1"]
    assert "Ada" not in bob.get(url).content.decode()
    assert charlie.get(url).json()["tasks"] == []
    assert bob.get("/runs/tasks/?collection=nonsense").json()["tasks"] == []


def test_filters_and_order_stay_in_the_address(bob: Client, room: Room) -> None:
    room.submit(question="Who built the bridge?")
    room.submit(question="Who wrote the novel?")
    text = bob.get("/?q=novel&order=-steps").content.decode()
    assert "novel?" in text
    assert "bridge?" not in text
    assert "/?q=novel&amp;order=steps" in text
    assert 'aria-sort="descending"' in text


def test_unknown_filter_values_are_ignored_with_a_notice(bob: Client, room: Room) -> None:
    room.submit()
    answer = bob.get("/?status=broken&order=colour&cursor=%00&from=yesterday")
    assert answer.status_code == 200
    assert "was ignored" in answer.content.decode()


def test_the_next_page_follows_on(bob: Client, room: Room) -> None:
    for n in range(52):
        room.submit(question=f"Question number {n}.")
    first = bob.get("/").content.decode()
    assert first.count("data-select") == 50
    link = first.split('href="/?cursor=')[1].split('"')[0]
    second = bob.get(f"/?cursor={link}").content.decode()
    assert second.count("data-select") == 2
    assert "Question number 0." in second


def test_htmx_gets_the_rows_only(bob: Client, room: Room) -> None:
    room.submit()
    part = bob.get("/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "data-select" in part
    back = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert "<html" in bob.get("/", headers=back).content.decode()


def test_the_list_asks_the_database_the_same_for_any_number_of_runs(
    bob: Client, room: Room, django_assert_max_num_queries: Any
) -> None:
    for n in range(20):
        room.submit(question=f"Question number {n}.")
    with django_assert_max_num_queries(9):
        bob.get("/")


def test_the_empty_list_says_what_to_do(bob: Client, vera: Client, room: Room) -> None:
    assert "No runs yet" in bob.get("/").content.decode()
    assert "No run matches" in bob.get("/?q=zzz").content.decode()


def test_ribbons_join_neighbouring_steps() -> None:
    paths = ribbon_paths("1100", 2, 4)
    assert {key: path.count("M") for key, path in paths.items()} == {"large": 1, "small": 1}
    assert paths["small"].startswith("M48.00 ")
    assert [tier_look(n, 4) for n in range(4)] == ["small", "mid", "mid-2", "large"]
    assert tier_look(0, 1) == "small"


def test_numbers_read_like_those_of_the_page() -> None:
    assert [seconds(v) for v in (7.2, 93.14, 120, 724, 8000, None)] == [
        "7.20 s", "93.1 s", "120 s", "12 min 4 s", "2 h 13 min", "n/a",
    ]  # fmt: skip
    assert [usd(v) for v in (None, 0, 0.0041, 12.5)] == ["unknown", "$0", "$0.0041", "$12.50"]


def test_the_forks_dialog_asks_for_the_parameters_of_the_chosen_strategy(
    bob: Client, room: Room
) -> None:
    run = room.submit(strategies=[("agentcollab", {"budget_base": 5})])
    own = bob.get(f"/runs/{run.uuid}/").content.decode()
    assert 'name="agentcollab-budget_base" value="5"' in own
    assert 'name="random-' not in own, "only what was asked for is sent"
    url = f"/runs/{run.uuid}/fork/parameters/"
    assert 'name="random-' in bob.get(url, {"strategy": "random"}).content.decode()
    assert bob.get(url, {"strategy": "nothing"}).status_code == 404
