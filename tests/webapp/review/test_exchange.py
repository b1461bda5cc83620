from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import Client

from collab_core.errors import InvalidInput
from collab_core.review.files import check_file, read_label_manifest, read_labels
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_run, make_set
from webapp.review import disputes, exchange, labelling
from webapp.review.labels import core_labels
from webapp.review.models import Decision, LabelRevision, LabelSet, Queue, StepLabel
from webapp.teams.models import AuditEntry


@pytest.fixture
def queue(room: Room) -> Queue:
    """Three steps with labels of two people: one changed, one taken back, one disagreement decided."""
    queue = make_queue(room, make_set(room, name="mine", overlap=2), [make_run(room, [1, 0, 1])])
    alice, bob = room.users["alice"], room.users["bob"]
    labelling.save(item(queue, 1), alice, given("yes"))
    labelling.save(item(queue, 1), alice, given("no", comment="=cmd(), <b>really</b>"))
    labelling.save(item(queue, 1), bob, given("yes", first_error=True))
    labelling.save(item(queue, 2), alice, given("unsure"))
    labelling.save(item(queue, 3), bob, given("no"))
    labelling.undo(item(queue, 3), bob)
    one = item(queue, 1)
    disputes.decide(
        queue.label_set, alice, run_uuid=one.run_uuid, step=one.step, answer="no", reason="Clear."
    )
    return queue


def files(queue: Queue, room: Room, who: str = "vera") -> exchange.Export:
    return exchange.export(queue.label_set, room.users[who])


def load(
    room: Room, blob: bytes, into: str = "copy", who: str = "alice", form: Any = "jsonl"
) -> Any:
    return exchange.import_labels(room.workspace, room.users[who], blob, form=form, into=into)


def test_an_export_holds_every_state_of_every_standing_label(room: Room, queue: Queue) -> None:
    made = files(queue, room)
    labels = read_labels(made.files["labels.jsonl"], form="jsonl").labels
    told = {(one.reviewer, one.revision, one.made_progress, one.adjudicated) for one in labels}
    assert told == {
        ("alice", 1, True, False),
        ("alice", 2, False, False),
        ("bob", 1, True, False),
        ("alice", 1, None, False),
        ("alice (adjudicator)", 1, False, True),
    }
    assert labels == read_labels(made.files["labels.csv"], form="csv").labels


def test_the_manifest_names_exactly_these_files(room: Room, queue: Queue) -> None:
    made = files(queue, room)
    for name, blob in made.files.items():
        check_file(made.manifest, name, blob)
    told = made.manifest
    assert (told.labels, told.decisions, told.revisions, told.reviewers) == (3, 1, 5, 2)
    assert (told.items, told.label_set, told.blind) == (2, "mine", True)
    assert (made.manifest.sampling.method, made.manifest.sampling.population) == ("all", 3)
    assert AuditEntry.objects.filter(action="labels.exported").count() == 1


def test_the_manifest_tells_several_draws_one_by_one(room: Room, queue: Queue) -> None:
    make_queue(room, queue.label_set, method="random", size=2, seed=5, strata=["tier"])
    told = files(queue, room).manifest.sampling
    assert (told.method, told.seed, told.stratified_by) == ("several", None, ())
    assert [(one.method, one.seed, one.drawn) for one in told.draws] == [
        ("all", 0, 3),
        ("random", 5, 2),
    ]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_what_is_exported_is_imported_again(room: Room, queue: Queue, form: str) -> None:
    made = files(queue, room)
    result = load(room, made.files[f"labels.{form}"], form=form)
    assert (result.stored, result.unchanged, result.refused) == (5, 0, 0)
    copy = LabelSet.objects.get(name="copy")

    def plain(label_set: LabelSet) -> list[dict[str, Any]]:
        import msgspec

        rows = [msgspec.to_builtins(one) for one in core_labels(label_set, history=True)]
        return [{**row, "label_set": ""} for row in rows]

    assert plain(copy) == plain(queue.label_set)
    again = load(room, made.files[f"labels.{form}"], form=form)
    assert (again.stored, again.unchanged, again.refused) == (0, 5, 0)
    assert LabelRevision.objects.filter(label__label_set=copy).count() == 4


def test_an_imported_queue_is_closed(room: Room, queue: Queue) -> None:
    load(room, files(queue, room).files["labels.jsonl"])
    imported = Queue.objects.get(label_set__name="copy")
    assert (imported.method, imported.drawn, imported.closed_at is None) == ("imported", 2, False)


def rows(queue: Queue, room: Room) -> list[dict[str, Any]]:
    blob = files(queue, room).files["labels.jsonl"]
    return [json.loads(line) for line in blob.splitlines()]


def lines(*told: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in told)


def test_rows_that_cannot_be_kept_are_refused_one_by_one(room: Room, queue: Queue) -> None:
    good = next(row for row in rows(queue, room) if row["reviewer"] == "bob")
    theirs = make_run(room)
    theirs.workspace = room.other
    theirs.number = 77
    theirs.save()
    other = {"reviewer": "zoe", "verdict": 1 - good["verdict"], "kind": None}
    blob = lines(
        good,
        good | {"run_id": str(uuid.uuid4())},
        good | {"run_id": str(theirs.uuid)},
        good | {"step": 99},
        good | other,
        good | {"reviewer": ""},
    ) + b"\n{not json"  # fmt: skip
    result = load(room, blob)
    assert (result.stored, result.refused) == (1, 6)
    told = " ".join(refusal.message for refusal in result.refusals)
    assert told.count("its run is not in this workspace") == 2
    assert "no finished step 99" in told
    assert "another verdict" in told
    assert {refusal.line for refusal in result.refusals} == {2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize("blob", [b"{not json\n[]", b""])
def test_a_file_of_which_nothing_can_be_kept_makes_no_label_set(
    room: Room, alice: Client, blob: bytes
) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    sent = {"into": "garbage", "file": SimpleUploadedFile("labels.jsonl", blob)}
    page = alice.post("/review/imports/new/", sent, follow=True).content.decode()
    assert "Nothing in this file can be read" in page
    sent["file"] = SimpleUploadedFile("labels.jsonl", blob)
    rest = Client().post("/api/v1/label-sets/import", sent, **room.bearer("alice"))
    assert rest.status_code == 422, rest.content
    assert not LabelSet.objects.filter(name="garbage").exists()
    assert not AuditEntry.objects.filter(action="labels.imported").exists()


def test_an_import_overwrites_nobodys_label(room: Room, queue: Queue) -> None:
    changed = [row | {"comment": "forged"} for row in rows(queue, room) if row["reviewer"] == "bob"]
    before = list(StepLabel.objects.values("reviewer", "answer", "comment"))
    result = load(room, lines(*changed), into="mine")
    assert (result.stored, result.refused) == (0, 1)
    assert list(StepLabel.objects.values("reviewer", "answer", "comment")) == before


def test_a_later_revision_from_a_file_does_not_replace_what_was_labelled_here(
    room: Room, queue: Queue
) -> None:
    later = [row | {"revision": 9} for row in rows(queue, room) if row["reviewer"] == "bob"]
    result = load(room, lines(*later), into="mine")
    assert (result.stored, result.refused) == (0, 1)
    assert StepLabel.objects.get(reviewer="bob", answer="yes").revision == 1
    assert load(room, lines(*later)).stored == 1, "into another set it is fine"


def test_a_forged_decision_is_refused(room: Room, queue: Queue) -> None:
    [row] = [row for row in rows(queue, room) if row["adjudicated"]]
    result = load(room, lines(row | {"comment": "forged"}), into="mine")
    assert (result.refused, Decision.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("who", "error"),
    [("bob", PermissionDenied), ("rita", PermissionDenied), ("charlie", Http404)],
)
def test_only_owners_import(room: Room, queue: Queue, who: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        load(room, files(queue, room).files["labels.jsonl"], who=who)


def test_a_file_withholds_what_its_reader_could_still_label_blindly(
    room: Room, queue: Queue
) -> None:
    """The second step waits for one more label: Rita may give it, and must not read Alice's."""
    made = files(queue, room, "rita")
    assert made.withheld == 1
    assert made.manifest.items == 1
    assert files(queue, room, "vera").withheld == 0


def test_the_page_and_rest_give_the_same_file(room: Room, queue: Queue, alice: Client) -> None:
    page = alice.get(f"/review/sets/{queue.label_set.uuid}/files/labels.csv")
    rest = Client().get(
        f"/api/v1/label-sets/{queue.label_set.uuid}/files/labels.csv", **room.bearer("alice")
    )
    assert page.content == rest.content
    assert page.headers["Content-Disposition"] == 'attachment; filename="labels.csv"'
    manifest = alice.get(f"/review/sets/{queue.label_set.uuid}/files/manifest.json").content
    check_file(read_label_manifest(manifest), "labels.csv", page.content)
    assert alice.get(f"/review/sets/{queue.label_set.uuid}/files/labels.exe").status_code == 404


def test_a_file_is_imported_on_the_page_and_over_rest(
    room: Room, queue: Queue, alice: Client
) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    blob = files(queue, room).files["labels.jsonl"]
    page = alice.post(
        "/review/imports/new/", {"into": "copy", "file": SimpleUploadedFile("labels.jsonl", blob)}
    )
    assert "5 stored, 0 known already, 0 refused" in page.content.decode()
    rest = Client().post(
        "/api/v1/label-sets/import",
        {"into": "copy", "file": SimpleUploadedFile("labels.jsonl", blob)},
        **room.bearer("alice"),
    )
    assert rest.status_code == 200, rest.content
    assert (rest.json()["stored"], rest.json()["unchanged"]) == (0, 5)
    refused = alice.post(
        "/review/imports/new/",
        {"into": "x", "file": SimpleUploadedFile("labels.exe", b"")},
        follow=True,
    )
    assert "is no label file" in refused.content.decode()


def test_an_import_has_a_limit(room: Room, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "MAX_ROWS", 4)
    with pytest.raises(InvalidInput, match="One import takes 4 labels; this file has 5"):
        load(room, files(queue, room).files["labels.jsonl"])
