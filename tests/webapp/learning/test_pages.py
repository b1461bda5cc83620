"""Pages and REST of trainings and weights, as their users meet them; rights are in test_routes."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from collab_core.learned.training import TRAINERS
from tests.webapp.learning.material import make_training, make_weights, plant_runs
from tests.webapp.personas import Room
from tests.webapp.review.material import label_first, make_queue, make_run, make_set
from webapp.learning.models import Training, TrainingStatus, Weights


@pytest.fixture(autouse=True)
def _own_data(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path


def sent(room: Room, **changes: Any) -> dict[str, Any]:
    return {"source": "runs", "ladder": str(room.ladder.uuid), "name": "", "seed": "4"} | changes


@pytest.mark.parametrize("kind", TRAINERS)
def test_every_trainer_has_a_form_made_of_its_options(bob: Client, kind: str) -> None:
    page = bob.get(f"/strategies/train/{kind}/").content.decode()
    for name in TRAINERS[kind].options.model_fields:
        assert f'name="option-{name}"' in page


def test_an_unknown_kind_is_not_found(bob: Client) -> None:
    assert bob.get("/strategies/train/alchemy/").status_code == 404


def test_a_form_with_defaults_starts_a_training_and_opens_it(bob: Client, room: Room) -> None:
    plant_runs(room, 2)
    answer = bob.post("/strategies/train/isotonic/", sent(room, key="k" * 32))
    training = Training.objects.get()
    assert answer.headers["Location"] == f"/strategies/trainings/{training.uuid}/"
    assert (training.name, training.seed, len(training.source["runs"])) == ("isotonic-1", 4, 4)
    assert training.options == TRAINERS["isotonic"].options().model_dump(mode="json")
    bob.post("/strategies/train/isotonic/", sent(room, key="k" * 32))
    assert Training.objects.count() == 1


def test_a_training_on_labels_is_begun_with_a_file(bob: Client, room: Room) -> None:
    plant_runs(room, 2)
    url = "/strategies/train/calibrated-progress/"
    page = bob.get(url).content.decode()
    assert 'name="labels"' in page
    assert 'value="upload"' not in page
    refused = bob.post(url, sent(room))
    assert refused.status_code == 422
    assert "Choose a label set or a label file" in refused.content.decode()
    bob.post(url, sent(room, labels=SimpleUploadedFile("set.csv", b"what it holds")))
    assert Training.objects.get().source["labels"] == "labels.csv"


def test_the_newest_label_set_with_labels_is_offered_first(bob: Client, room: Room) -> None:
    plant_runs(room, 1)
    queue = make_queue(room, make_set(room, name="pilot"), [make_run(room, [1] * 21)])
    make_set(room, name="still empty")
    label_first(queue, room, ["no"] * 10)
    url, chosen = "/strategies/train/calibrated-progress/", str(queue.label_set.uuid)
    page = bob.get(url).content.decode()
    words = "pilot (labels: 0 progress, 10 no progress)"
    assert f'<option value="{chosen}" selected>{words}</option>' in page
    assert "still empty" not in page
    refused = bob.post(url, sent(room, label_set=chosen)).content.decode()
    assert "10 of each are the least" in refused
    assert not Training.objects.exists()
    label_first(queue, room, ["no"] * 10 + ["yes"] * 10)
    bob.post(url, sent(room, label_set=chosen))
    assert Training.objects.get().source["words"].endswith("with the label set pilot")


def test_tables_of_a_report_are_shown_and_their_text_stays_text(bob: Client, room: Room) -> None:
    weights = make_weights(room)
    cells = {"columns": ["what <b>it</b> says", "weight"], "rows": [["<i>a</i>", None]]}
    Weights.objects.filter(pk=weights.pk).update(
        manifest={**weights.manifest, "tables": {"Coefficients": cells}}
    )
    page = bob.get(f"/strategies/weights/{weights.uuid}/").content.decode()
    assert "Coefficients" in page
    assert "&lt;i&gt;a&lt;/i&gt;" in page
    assert '<td class="num">unknown</td>' in page


@pytest.mark.parametrize(
    ("auc", "low", "verdict", "words"),
    [
        (0.469, 0.258, 0.555, "Worse than the agent&#x27;s own verdict on the held-out labels: do not use it. Area under the ROC curve 0.469 against 0.555."),
        (0.5551, 0.4, 0.5549, "No better than the agent&#x27;s own verdict on the held-out labels: do not use it."),
        (0.6, 0.5, 0.555, "but by less than chance may do"),
        (0.9, 0.8, 0.555, "Better than the agent&#x27;s own verdict on the held-out labels. Area"),
        (0.9, 0.8, None, ""),
    ],
)  # fmt: skip
def test_a_report_begins_with_whether_it_beats_the_bare_verdict(
    bob: Client, room: Room, auc: float, low: float, verdict: float | None, words: str
) -> None:
    weights = make_weights(room)
    report = {"auc": {"value": auc, "low": low, "n": 42}, "verdict_auc": {"value": verdict}}
    Weights.objects.filter(pk=weights.pk).update(manifest={**weights.manifest, "report": report})
    page = bob.get(f"/strategies/weights/{weights.uuid}/").content.decode()
    assert words in page[: page.index("Held-out report")]
    assert ("notice-bad" in page) is ("do not use it" in words)
    assert ('role="note"' in page) is bool(words)


@pytest.mark.parametrize(
    ("kind", "title"),
    [("calibrated-progress", "Steps under each threshold"), ("probe", "Large steps by threshold")],
)
def test_the_curve_is_called_what_it_shows(bob: Client, room: Room, kind: str, title: str) -> None:
    weights = make_weights(room, kind=kind)
    page = bob.get(f"/strategies/weights/{weights.uuid}/").content.decode()
    assert f'<h2 id="curve-title">{title}</h2>' in page


def test_counts_in_a_table_of_a_report_are_whole(bob: Client, room: Room) -> None:
    weights = make_weights(room)
    table = {"columns": ["bin", "share", "labels"], "rows": [["a", 1.0, 3.0], ["b", 0.25, 2.0]]}
    Weights.objects.filter(pk=weights.pk).update(
        manifest={**weights.manifest, "tables": {"Reliability": table}}
    )
    page = bob.get(f"/strategies/weights/{weights.uuid}/").content.decode()
    assert '<td class="num">1.000</td><td class="num">3</td>' in page
    assert '<td class="num">0.250</td><td class="num">2</td>' in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ladder": ""}, "Choose a ladder"),
        ({}, "no finished run"),
        ({"source": "upload"}, "Choose a file"),
        ({"seed": "-1"}, "greater than or equal"),
        ({"option-signal": "gut"}, "Select a valid choice"),
        ({"encoder": "/etc/passwd"}, "Select a valid choice"),
    ],
)
def test_a_wrong_entry_is_named_and_the_rest_kept(
    bob: Client, room: Room, changes: dict[str, Any], words: str
) -> None:
    page = bob.post("/strategies/train/isotonic/", sent(room, name="kept", **changes))
    text = page.content.decode()
    assert (page.status_code, words in text, 'value="kept"' in text) == (422, True, True)
    assert not Training.objects.exists()


def test_a_log_is_uploaded(bob: Client, room: Room) -> None:
    file = SimpleUploadedFile("runs.jsonl", b'{"seq": 0}\n')
    answer = bob.post("/strategies/train/isotonic/", sent(room, source="upload", file=file))
    assert answer.status_code == 302
    assert Training.objects.get().source["upload"] is True


def test_progress_is_polled_until_the_end_then_the_page_is_loaded_anew(
    vera: Client, room: Room
) -> None:
    training = make_training(room, status=TrainingStatus.RUNNING, fraction=0.42, message="Fitting")
    url = f"/strategies/trainings/{training.uuid}/"
    for address in (url, f"{url}progress/"):
        text = vera.get(address).content.decode()
        assert 'hx-trigger="every 1s"' in text
        assert 'value="42"' in text
        assert "Stop training" not in text, "a viewer only reads"
    Training.objects.update(
        status=TrainingStatus.FAILED, error={"message": "Too <b>few</b> runs.", "hint": "Run more."}
    )
    part = vera.get(f"{url}progress/")
    assert part.headers["HX-Refresh"] == "true"
    text = vera.get(url).content.decode()
    assert "Too &lt;b&gt;few&lt;/b&gt; runs." in text
    assert "hx-trigger" not in text


def test_weights_show_their_report_provenance_and_warnings(vera: Client, room: Room) -> None:
    row = make_weights(room)
    text = vera.get(f"/strategies/weights/{row.uuid}/").content.decode()
    for words in (
        "0.750",
        "0.600 to 0.900",
        "unknown",
        "Stand-in encoder",
        "Simulated",
        row.reference,
    ):
        assert words in text
    assert "<script>alert(1)" not in text
    assert "Delete" not in text, "a viewer only reads"


def test_the_catalogue_lists_weights_trainings_and_what_can_be_trained(
    bob: Client, room: Room
) -> None:
    row, training = make_weights(room), make_training(room)
    text = bob.get("/strategies/").content.decode()
    assert f"/strategies/weights/{row.uuid}/" in text
    assert f"/strategies/trainings/{training.uuid}/" in text
    for kind in TRAINERS:
        assert f"/strategies/train/{kind}/" in text


def test_the_download_holds_the_two_files(vera: Client, room: Room) -> None:
    row = make_weights(room)
    answer = vera.get(f"/strategies/weights/{row.uuid}/download/")
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert names == [f"{row.reference}/manifest.json", f"{row.reference}/weights.safetensors"]


def test_deleting_says_so_and_goes_back(alice: Client, room: Room) -> None:
    row = make_weights(room)
    answer = alice.post(f"/strategies/weights/{row.uuid}/delete/", follow=True)
    assert "made is deleted." in answer.content.decode()
    assert not Weights.objects.exists()


# --- REST ---------------------------------------------------------------------------------------
def test_rest_trains_follows_and_lists(room: Room) -> None:
    plant_runs(room, 1)
    client, token = Client(), room.bearer("bob")
    body = json.dumps({"kind": "isotonic", "ladder": room.ladder.name, "options": {"method": "percentile"}})  # fmt: skip
    made = [
        client.post(
            "/api/v1/trainings", body, content_type="application/json",
            headers={"Idempotency-Key": "one"}, **token,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [answer.status_code for answer in made] == [201, 200]
    uuid = made[0].json()["uuid"]
    shown = client.get(f"/api/v1/trainings/{uuid}", **token).json()
    assert (shown["status"], shown["options"]["method"]) == ("queued", "percentile")
    assert client.post(f"/api/v1/trainings/{uuid}/cancel", **token).status_code == 202
    assert client.get("/api/v1/trainings", **token).json()[0]["status"] == "cancelled"


def test_rest_refuses_with_the_field(room: Room) -> None:
    client, token = Client(), room.bearer("bob")
    for change, field in (({"kind": "alchemy"}, "kind"), ({"ladder": "none"}, "ladder"), ({"seed": -1}, "seed")):  # fmt: skip
        body = {"kind": "isotonic", "ladder": room.ladder.name} | change
        answer = client.post("/api/v1/trainings", json.dumps(body), content_type="application/json", **token)  # fmt: skip
        assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_rest_lists_weights_of_a_kind_with_their_manifest(room: Room) -> None:
    row = make_weights(room)
    client, token = Client(), room.bearer("vera")
    (shown,) = client.get("/api/v1/weights", {"kind": "isotonic"}, **token).json()
    assert (shown["reference"], shown["stand_in"]) == (row.reference, True)
    assert shown["manifest"]["report"]["auc"]["value"] == 0.75
    assert client.get("/api/v1/weights", {"kind": "probe"}, **token).json() == []
    assert client.get("/api/v1/weights", **room.bearer("charlie")).json() == []


def test_labels_come_over_rest_as_json_lines(room: Room) -> None:
    plant_runs(room, 1)
    client, token = Client(), room.bearer("bob")
    body = {"kind": "calibrated-progress", "ladder": room.ladder.name, "labels": "{}\n"}
    url, kind = "/api/v1/trainings", "application/json"
    assert client.post(url, json.dumps(body), content_type=kind, **token).status_code == 201
    assert Training.objects.get().source["labels"] == "labels.jsonl"
    del body["labels"]
    answer = client.post(url, json.dumps(body), content_type=kind, **token)
    assert (answer.status_code, answer.json()["field"]) == (422, "labels")
