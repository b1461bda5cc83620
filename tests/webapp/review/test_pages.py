from __future__ import annotations

import pytest
from django.test import Client

from tests.webapp.experiments.material import make_experiment
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_run, make_set
from webapp.review import labelling
from webapp.review.models import LabelSet, Queue

FORM = {
    "name": "First",
    "set_name": "Mine",
    "overlap": "2",
    "method": "random",
    "size": "2",
    "seed": "1",
}


def test_a_queue_is_made_of_the_runs_that_filters_find(bob: Client, room: Room) -> None:
    make_run(room, [1, 0, 1])
    make_run(room, [1, 0, 1], question="Something else")
    answer = bob.post("/review/queues/new/", FORM | {"q": "Something"}, follow=True)
    assert "2 of 3 steps are in First." in answer.content.decode()
    queue = Queue.objects.get()
    assert (queue.label_set.name, queue.label_set.overlap, queue.population) == ("Mine", 2, 3)


def test_the_filters_of_the_list_are_taken_over(bob: Client, room: Room) -> None:
    form = bob.get("/review/queues/new/?q=lapwing&strategy=agentcollab&who=alice").content.decode()
    assert 'value="lapwing"' in form
    assert '<option value="agentcollab" selected>' in form
    assert 'value="alice"' in form


def test_a_queue_is_made_of_an_experiments_runs(bob: Client, room: Room) -> None:
    experiment = make_experiment(room)
    inside, _ = make_run(room, [1, 0]), make_run(room, [1, 0, 1])
    trial = experiment.trials.order_by("pk")[0]
    trial.run = inside
    trial.save(update_fields=["run"])
    form = bob.get(f"/review/queues/new/?experiment={experiment.ref}").content.decode()
    assert f'value="{experiment.ref}"' in form
    bob.post("/review/queues/new/", FORM | {"experiment": experiment.ref, "method": "all"})
    assert set(Queue.objects.get().items.values_list("run_id", flat=True)) == {inside.pk}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"set_name": ""}, "Name the new label set."),
        ({"size": ""}, "Say how many steps to draw."),
        ({"method": "stratified"}, "Tick what the kinds are made of."),
        ({"size": "0"}, "greater than or equal to 1"),
        ({"q": "nosuchrun"}, "no finished step"),
    ],
)
def test_a_bad_form_is_shown_again(
    bob: Client, room: Room, changes: dict[str, str], words: str
) -> None:
    make_run(room)
    answer = bob.post("/review/queues/new/", FORM | changes)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert Queue.objects.count() == LabelSet.objects.count() == 0


def test_the_numbers_say_what_they_rest_on(vera: Client, room: Room) -> None:
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1, 1, 1, 0])])
    for who in ("alice", "bob"):
        for position in range(1, 5):
            one = item(queue, position)
            answer = "no" if one.step in (1, 4) else "yes"
            labelling.save(one, room.users[who], given(answer))
    page = vera.get(f"/review/sets/{queue.label_set.uuid}/numbers/").content.decode()
    assert "8 labels of 4 steps; 4 steps with a verdict and a clear label count." in page
    assert "33.3 %" in page  # one of three progress verdicts was false
    assert "1 of 3" in page
    assert "alice, bob" in page
    assert "By tier" in page
    assert "Simulated" in page


def test_numbers_without_labels_say_so(vera: Client, room: Room) -> None:
    queue = make_queue(room)
    page = vera.get(f"/review/sets/{queue.label_set.uuid}/numbers/").content.decode()
    assert "No label with a clear answer yet." in page


def test_an_owner_names_who_decides(alice: Client, room: Room) -> None:
    label_set = make_set(room)
    url = f"/review/sets/{label_set.uuid}/"
    assert (
        "rita or an owner"
        in alice.post(f"{url}adjudicator/", {"adjudicator": "rita"}, follow=True).content.decode()
    )
    refused = alice.post(f"{url}adjudicator/", {"adjudicator": "vera"}, follow=True)
    assert "vera may not review" in refused.content.decode()


def test_the_lists_cost_the_same_for_any_number_of_queues(
    alice: Client, room: Room, django_assert_max_num_queries: object
) -> None:
    run = make_run(room)
    for _ in range(6):
        make_queue(room, make_set(room), [run], people=[room.users["rita"]])
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        assert alice.get("/review/").status_code == 200


def test_one_changes_ones_own_label_from_the_runs_page_no_longer_blindly(room: Room) -> None:
    queue = make_queue(room, make_set(room, overlap=2), [make_run(room, [1])])
    for who in ("bob", "rita"):
        labelling.save(item(queue), room.users[who], given("yes"))
    bob, address = room.client("bob"), f"/review/queues/{queue.uuid}/?item=1"
    told = bob.get(f"/review/runs/{item(queue).run_uuid}/labels.json").json()["steps"][0]["labels"]
    assert {one["reviewer"]: one.get("change") for one in told} == {"bob": address, "rita": None}
    assert 'data-again="1"' in bob.get(address).content.decode()
    assert bob.get(f"/review/queues/{queue.uuid}/items/1/").json()["label"]["answer"] == "yes"
    changed = labelling.save(item(queue), room.users["bob"], given("no")).label
    assert (changed.answer, changed.blind, changed.revision) == ("no", False, 2)
