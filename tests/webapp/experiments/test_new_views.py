"""An experiment is put together on its page; whatever is wrong with it, nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.webapp.experiments.material import definition, make_experiment, make_task_set
from tests.webapp.personas import Room, make_collection, make_ladder
from webapp.experiments.models import Experiment


def arm(room: Room, index: int, strategy: str, **changes: str) -> dict[str, str]:
    sent = {"label": f"arm {index}", "strategy": strategy, "ladder": room.ladder.name}
    return {f"arms-{index}-{key}": value for key, value in (sent | changes).items()}


def form(room: Room, **changes: Any) -> dict[str, Any]:
    sent: dict[str, Any] = {
        "name": "Two by two", "task_set": "sums", "seeds": "0-1", "arm": ["4", "2"],
        "max_steps": "5", "max_output_tokens": "256", "baseline": "arm 2", "tools_shown": "True",
        **arm(room, 4, "agentcollab", **{"p-growth": "2"}), **arm(room, 2, "large"),
    }  # fmt: skip
    return sent | changes


def test_what_the_form_says_is_what_is_done(bob: Client, room: Room) -> None:
    make_task_set(room)
    answer = bob.post("/experiments/new/", form(room, count="2", max_parallel="3"))
    made = Experiment.objects.get()
    assert answer.headers["Location"] == f"/experiments/{made.uuid}/"
    assert [one.label for one in made.defined.arms] == ["arm 4", "arm 2"]
    assert made.defined.arms[0].parameters["growth"] == 2
    assert (made.trials_total, made.defined.seeds, made.max_parallel) == (2 * 2 * 2, (0, 1), 3)
    assert (made.defined.limits["max_steps"], made.defined.tools) == (5, ())


def test_without_a_collection_its_tools_are_left_out(bob: Client, room: Room) -> None:
    make_task_set(room)
    bob.post("/experiments/new/", form(room, tools=["calculator", "search", "read"]))
    assert Experiment.objects.get().defined.tools == ("calculator",)


def test_with_the_collection_of_the_task_set_its_tools_stay(bob: Client, room: Room) -> None:
    task_set = make_task_set(room)
    task_set.collection = make_collection(room)
    task_set.save()
    bob.post("/experiments/new/", form(room, tools=["search", "read"]))
    assert Experiment.objects.get().defined.tools == ("search", "read")


def test_sending_the_form_twice_makes_one_experiment(bob: Client, room: Room) -> None:
    make_task_set(room)
    for _ in range(2):
        bob.post("/experiments/new/", form(room, key="k" * 32))
    assert Experiment.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "words", "where"),
    [
        ({"name": ""}, "This field is required", "id_name"),
        ({"task_set": "none"}, "none is not one of the available choices", "id_task_set"),
        ({"count": "9"}, "3 tasks", "id_count"),
        ({"ids": "t0\nt0"}, "named twice", "id_ids"),
        ({"ids": "t77"}, "t77", "id_ids"),
        ({"seeds": "0-x"}, "0-x is no seed", "id_seeds"),
        ({"seeds": "0-500"}, "0-500 is no seed", "id_seeds"),
        ({"seeds": ""}, "at least one seed", "id_seeds"),
        ({"max_steps": "0"}, "greater than or equal to 1", "id_max_steps"),
        ({"baseline": "nobody"}, "Choose one of the arms", "id_baseline"),
        ({"arms-2-label": "arm 4", "baseline": ""}, "There is an arm arm 4 already", "id_arms-2-label"),
        ({"arms-4-ladder": "gone"}, "gone is not one of the available", "id_arms-4-ladder"),
        ({"arms-4-p-growth": "x"}, "Enter a number", "id_arms-4-p-growth"),
        ({"arms-4-p-budget_base": "9", "arms-4-p-budget_max": "2"}, "budget", ""),
        ({"arm": []}, "Add at least one arm", ""),
        ({"published": "made-up"}, "made-up is not one of", "id_published"),
    ],
)  # fmt: skip
def test_an_error_stands_at_its_field_and_nothing_is_lost(
    bob: Client, room: Room, changes: dict[str, Any], words: str, where: str
) -> None:
    make_task_set(room)
    answer = bob.post("/experiments/new/", form(room, description="kept words", **changes))
    text = answer.content.decode()
    assert answer.status_code == 422
    assert words in text
    assert "data-focus-first" in text
    assert "kept words" in text
    if where:
        assert f'href="#{where}"' in text
    if changes.get("arm") != []:
        assert text.index('value="4"') < text.index('name="arms-2-label"')
    assert not Experiment.objects.exists()


def test_an_arm_comes_with_its_strategys_fields_on_the_last_ladder(bob: Client, room: Room) -> None:
    other = make_ladder(room.workspace)
    sent = form(room, **{"arms-2-ladder": other.name})
    text = bob.post("/experiments/new/arms/?do=add&strategy=random", sent).content.decode()
    assert 'name="arms-5-p-probability"' in text or 'name="arms-5-p-' in text
    assert f'<option value="{other.name}" selected>' in text
    assert 'name="arm" value="5"' in text


def test_a_copy_has_the_entries_and_a_name_of_its_own(bob: Client, room: Room) -> None:
    sent = form(room, **{"arms-4-p-early_hand_back": ["false", "true"]})
    text = bob.post("/experiments/new/arms/?do=copy&arm=4", sent).content.decode()
    assert 'value="arm 4 2"' in text
    assert 'name="arms-5-p-growth" value="2"' in text
    assert text.count("data-arm ") + text.count("data-arm>") == 1
    box = text[text.index('type="checkbox" name="arms-5-p-early_hand_back"') :]
    assert "checked" in box[: box.index(">")]


def test_a_sweep_makes_an_arm_a_value(bob: Client, room: Room) -> None:
    sent = form(room, **{"sweep-4-field": "growth", "sweep-4-values": "0, 1,2"})
    text = bob.post("/experiments/new/arms/?do=sweep&arm=4", sent).content.decode()
    for index, value in ((5, "0"), (6, "1"), (7, "2")):
        assert f'name="arms-{index}-p-growth" value="{value}"' in text
        assert f'value="arm 4, growth {value}"' in text
    assert 'name="arm" value="4"' not in text


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("growth", "", "Give 1 to 20 values"),
        ("growth", "1,1", "stands there twice"),
        ("growth", "1,many", "many: Enter a number"),
        ("growth", ",".join(map(str, range(21))), "Give 1 to 20 values"),
        ("colour", "1", "Choose a parameter"),
    ],
)
def test_a_sweep_that_makes_no_sense_says_so_and_keeps_the_arm(
    bob: Client, room: Room, field: str, values: str, words: str
) -> None:
    sent = form(room, **{"sweep-4-field": field, "sweep-4-values": values})
    text = bob.post("/experiments/new/arms/?do=sweep&arm=4", sent).content.decode()
    assert words in text
    assert 'name="arm" value="4"' in text


def test_an_experiment_is_edited_as_a_new_one(bob: Client, room: Room) -> None:
    first = make_experiment(room, seeds=[3, 5])
    text = bob.get(f"/experiments/new/?from={first.uuid}").content.decode()
    assert 'value="3, 5"' in text
    assert "This workspace has not" not in text
    assert 'name="parent" value="' + str(first.uuid) in text
    assert text.count("data-arm ") + text.count("data-arm>") == 2


def test_a_strangers_experiment_is_no_beginning(charlie: Client, room: Room) -> None:
    first = make_experiment(room)
    assert charlie.get(f"/experiments/new/?from={first.uuid}").status_code == 404


def test_a_definition_from_a_file_fills_the_form(bob: Client, room: Room) -> None:
    values = json.loads(definition(room).model_dump_json())
    values["arms"][0]["ladder"] = "elsewhere"
    values["tasks"]["name"] = "unknown set"
    file = SimpleUploadedFile("d.json", json.dumps(values).encode())
    text = bob.post("/experiments/new/file/", {"file": file}).content.decode()
    assert "elsewhere (not in this workspace)" in text
    assert "unknown set (not in this workspace)" in text
    assert "This workspace has not: task set unknown set; ladder elsewhere." in text
    assert not Experiment.objects.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "The file is empty"), (b"{", "Invalid JSON"), (b'{"name": "x"}', "tasks")],
)
def test_a_file_that_is_no_definition_says_where(
    bob: Client, room: Room, content: bytes, words: str
) -> None:
    answer = bob.post("/experiments/new/file/", {"file": SimpleUploadedFile("d.json", content)})
    assert answer.status_code == 422
    assert words in answer.content.decode()


@pytest.mark.parametrize("name", ["paper-table-1", "growth-sweep"])
def test_a_shipped_definition_is_a_beginning(bob: Client, room: Room, name: str) -> None:
    text = bob.get(f"/experiments/new/?definition={name}").content.decode()
    assert "(not in this workspace)" in text
    assert "data-arm" in text


def test_the_selection_follows_the_task_set(bob: Client, room: Room) -> None:
    make_task_set(room)
    text = bob.get("/experiments/new/selection/?task_set=sums").content.decode()
    assert "&quot;easy&quot;, &quot;&quot;, 1" in text
    assert 'name="difficulties" value="hard"' in text


def test_a_judged_set_asks_for_a_judge(bob: Client, room: Room) -> None:
    make_task_set(room, name="judged", scorer="judge", needs="judge")
    text = bob.get("/experiments/new/selection/?task_set=judged").content.decode()
    assert 'name="judge"' in text
    answer = bob.post("/experiments/new/", form(room, task_set="judged"))
    assert answer.status_code == 422
    assert 'href="#id_judge"' in answer.content.decode()
