"""Trainings: submitted, done by a real process, stopped, taken over, refused."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import PermissionDenied
from django.db.models.functions import Now
from django.http import Http404

from collab_core.errors import InvalidInput
from collab_core.learned.store import load
from collab_core.review.files import read_labels, to_jsonl
from collab_core.review.labels import Label
from tests.collab_core.learned import worlds
from tests.services import wait_for
from tests.webapp.learning.material import plant_runs
from tests.webapp.personas import Room, make_ladder, make_room
from tests.webapp.review.material import given, item, label_first, make_queue, make_run, make_set
from webapp.learning import leases, services, trainer
from webapp.learning.models import Training, TrainingStatus, Weights
from webapp.learning.services import Order
from webapp.learning.sources import UPLOAD, finished_runs, work_folder, write_logs
from webapp.review import labelling
from webapp.review.models import LabelSet
from webapp.runs.models import Run


@pytest.fixture(autouse=True)
def _own_data(settings: Any, tmp_path: Path) -> Iterator[None]:
    settings.DATA_DIR = tmp_path
    yield
    trainer._stopping.clear()


def order(room: Room, **changes: Any) -> Order:
    return Order(**({"kind": "isotonic", "ladder": room.ladder, "seed": 5} | changes))


def submit(room: Room, who: str = "bob", **changes: Any) -> Training:
    return services.submit(room.workspace, room.users[who], order(room, **changes))


def again(training: Training) -> Training:
    return Training.objects.select_related("weights").get(pk=training.pk)


# --- done ---------------------------------------------------------------------------------------
def test_a_training_on_finished_runs_stores_weights_with_provenance(room: Room) -> None:
    runs = plant_runs(room)
    training = submit(room, name="First try")
    assert trainer.execute(training.pk)
    done = again(training)
    assert (done.status, done.fraction, done.error) == ("finished", 1.0, None)
    weights = done.weights
    assert weights is not None
    folder = trainer.settings.DATA_DIR / "learned" / str(room.workspace.pk) / weights.reference
    stored = load(folder, kind="isotonic", ladder=room.ladder.to_core().snapshot())
    assert set(stored.manifest.trained_on.run_ids) == {str(run.uuid) for run in runs}
    assert (stored.manifest.seed, stored.manifest.name) == (5, "First try")
    assert weights.reference == f"first-try-{stored.manifest.digest[:12]}"
    assert not work_folder(training).exists()


def labels_of(runs: list[Run]) -> bytes:
    """Every other first step made progress."""
    several = [
        Label(
            run_id=run.uuid,
            step=1,
            label_set="pilot",
            reviewer="ann",
            made_progress=number % 2 == 0,
            at=0.0,
            tier=0,
            step_position=1,
            verdict=1,
        )
        for number, run in enumerate(runs)
    ]
    return b"".join(to_jsonl(several))


def test_a_training_on_labels_stores_weights_for_the_calibrated_strategy(room: Room) -> None:
    labels = labels_of(plant_runs(room))
    training = submit(
        room, kind="calibrated-progress", labels=iter([labels]), labels_name="Set 1.jsonl"
    )
    assert trainer.execute(training.pk)
    done = again(training)
    assert (done.status, done.error) == ("finished", None)
    assert done.weights is not None
    assert done.weights.manifest["trained_on"]["splits"] == {"cross_fitted": 48}
    assert not work_folder(training).exists()


def test_a_label_set_gives_its_labels_as_they_are_now(room: Room) -> None:
    plant_runs(room, 1)
    queue = make_queue(room, make_set(room, name="pilot"), [make_run(room, [1] * 20)])
    with pytest.raises(InvalidInput, match="pilot has no labels yet"):
        submit(room, kind="calibrated-progress", label_set=queue.label_set)
    label_first(queue, room, ["no"] * 10 + ["yes"] * 9)
    with pytest.raises(InvalidInput, match="progress of 9 and no progress of 10 steps; 10 of each"):
        submit(room, kind="calibrated-progress", label_set=queue.label_set)
    labelling.save(item(queue, 20), room.users["alice"], given("yes"))
    training = submit(room, kind="calibrated-progress", label_set=queue.label_set)
    assert training.source["words"].endswith("with the label set pilot")
    kept = (work_folder(training) / "labels.jsonl").read_bytes()
    labelling.save(item(queue), room.users["alice"], given("yes"))
    step = item(queue).step
    label = next(one for one in read_labels(kept, form="jsonl").labels if one.step == step)
    assert (label.made_progress, label.verdict, label.kind) == (False, 1, "false_progress")


def test_a_label_set_of_another_workspace_is_refused(room: Room) -> None:
    plant_runs(room, 1)
    foreign = LabelSet.objects.create(workspace=room.other, name="theirs")
    with pytest.raises(InvalidInput, match="no such label set"):
        submit(room, kind="calibrated-progress", label_set=foreign)


def test_labels_of_other_runs_fail_and_say_so(room: Room) -> None:
    plant_runs(room, 2)
    foreign = labels_of([Run(uuid=uuid4()) for _ in range(30)])
    training = submit(
        room, kind="calibrated-progress", labels=iter([foreign]), labels_name="a.jsonl"
    )
    trainer.execute(training.pk)
    done = again(training)
    assert done.status == "failed"
    assert "one of the 30 labelled ones" in done.error["message"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Choose a label set or a label file"),
        ({"labels": [b"x"], "labels_name": "labels.xlsx"}, "no label file"),
        ({"labels": [b""], "labels_name": "labels.csv"}, "empty"),
        ({"labels": [b"x"], "labels_name": "a.csv", "ladder": None, "upload": [b"x"]}, "runs"),
        ({"kind": "isotonic", "labels": [b"x"], "labels_name": "a.csv"}, "does not learn"),
    ],
)
def test_what_is_no_order_on_labels_is_refused(
    room: Room, changes: dict[str, Any], words: str
) -> None:
    plant_runs(room, 2)
    with pytest.raises(InvalidInput, match=words):
        submit(room, **({"kind": "calibrated-progress"} | changes))
    assert not Training.objects.exists()


def test_the_same_order_gives_the_same_weights_once(room: Room) -> None:
    plant_runs(room)
    for _ in range(2):
        assert trainer.execute(submit(room, name="same").pk)
    assert Weights.objects.count() == 1
    assert set(Training.objects.values_list("weights", flat=True)) == {Weights.objects.get().pk}


def test_an_uploaded_log_is_learned_from(room: Room) -> None:
    plant_runs(room)
    source = submit(room)
    write_logs(source, work_folder(source))
    log = b"".join(path.read_bytes() for path in sorted(work_folder(source).glob("*.jsonl")))
    training = submit(room, ladder=None, upload=[log[:1000], log[1000:]])
    assert (work_folder(training) / UPLOAD).read_bytes() == log
    assert trainer.execute(training.pk)
    assert again(training).status == "finished", again(training).error


# --- refused ------------------------------------------------------------------------------------
def test_an_upload_that_is_no_log_fails_with_words(room: Room) -> None:
    training = submit(room, ladder=None, upload=[b"\x00\xff not a log\n"])
    assert trainer.execute(training.pk)
    done = again(training)
    assert done.status == "failed"
    assert UPLOAD in done.error["message"]
    assert "Traceback" not in str(done.error)
    assert not Weights.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "alchemy"}, "kind"),
        ({"options": {"signal": "gut"}}, "signal"),
        ({"options": {"unknown": 1}}, "unknown"),
        ({"seed": -1}, "seed"),
        ({"name": "x" * 61}, "name"),
        ({"encoder": "/etc"}, "encoder"),
        ({"ladder": None}, "ladder"),
        ({"ladder": None, "upload": []}, "file"),
        ({"upload": [b"x"]}, "ladder"),
        ({"most": 0}, "most"),
        ({"idempotency_key": ""}, "idempotency_key"),
    ],
)
def test_a_wrong_order_is_refused_at_its_field(
    room: Room, changes: dict[str, Any], field: str
) -> None:
    plant_runs(room, 1)
    with pytest.raises(InvalidInput) as refused:
        submit(room, **changes)
    assert refused.value.field == field
    assert not Training.objects.exists()


def test_an_upload_that_is_too_large_leaves_nothing_behind(room: Room, monkeypatch: Any) -> None:
    monkeypatch.setattr(services, "MAX_UPLOAD_BYTES", 10)
    with pytest.raises(InvalidInput, match="larger"):
        submit(room, ladder=None, upload=[b"12345678", b"12345678"])
    assert not list((Path(trainer.settings.DATA_DIR) / "trainings").iterdir())


def test_a_ladder_without_finished_runs_is_refused(room: Room) -> None:
    room.submit()
    with pytest.raises(InvalidInput, match="no finished run"):
        submit(room)


def test_runs_on_other_models_than_the_ladder_has_now_are_left_out(room: Room) -> None:
    plant_runs(room, 2)
    endpoint = room.ladder.ordered_rungs()[0].endpoint
    endpoint.model = "another"
    endpoint.save()
    assert finished_runs(room.workspace, room.ladder) == []


def test_strangers_and_viewers_train_nothing(room: Room) -> None:
    plant_runs(room, 1)
    with pytest.raises(PermissionDenied):
        submit(room, "vera")
    with pytest.raises(Http404):
        submit(room, "charlie")


def test_the_logs_of_another_workspace_are_never_written(room: Room) -> None:
    plant_runs(room, 1)
    training = submit(room)
    training.workspace = room.other
    assert write_logs(training, work_folder(training)) == 0


def test_another_workspaces_ladder_is_refused(room: Room) -> None:
    with pytest.raises(InvalidInput, match="no such ladder"):
        submit(room, ladder=make_ladder(room.other))


def test_the_same_key_gives_the_same_training(room: Room) -> None:
    plant_runs(room, 1)
    first, second = (submit(room, idempotency_key="k1") for _ in range(2))
    assert first == second


def test_only_so_many_may_wait(room: Room) -> None:
    plant_runs(room, 1)
    for _ in range(services.MAX_ALIVE):
        submit(room)
    with pytest.raises(services.QuotaReached):
        submit(room)


# --- stopped, taken over ------------------------------------------------------------------------
def test_a_queued_training_is_stopped_at_once(room: Room) -> None:
    plant_runs(room, 1)
    training = submit(room)
    services.cancel(training, room.users["bob"])
    assert again(training).status == "cancelled"
    assert not trainer.execute(training.pk)


@pytest.mark.django_db(transaction=True)
def test_a_running_training_is_stopped_and_leaves_no_process() -> None:
    room = make_room()
    plant_runs(room)
    training = submit(room)
    worker = threading.Thread(target=trainer.execute, args=(training.pk,))
    worker.start()
    wait_for(lambda: again(training).status == "running", "the training to begin")
    services.cancel(training, room.users["alice"])
    worker.join(timeout=30)
    assert not worker.is_alive()
    assert again(training).status in ("cancelled", "finished")
    assert not work_folder(training).exists()


@pytest.mark.django_db(transaction=True)
def test_a_stopping_worker_hands_its_training_back_and_another_one_does_it() -> None:
    room = make_room()
    plant_runs(room)
    training = submit(room)
    worker = threading.Thread(target=trainer.execute, args=(training.pk,))
    worker.start()
    wait_for(lambda: again(training).status == "running", "the training to begin")
    trainer.stop_trainings()
    worker.join(timeout=30)
    if again(training).status != "finished":  # it was faster
        assert (again(training).status, again(training).attempts) == ("queued", 0)
        trainer._stopping.clear()
        assert trainer.execute(training.pk)
    assert again(training).status == "finished"


def test_a_training_of_a_dead_worker_is_taken_over_and_its_late_result_is_refused(
    room: Room,
) -> None:
    plant_runs(room)
    training = submit(room)
    dead = leases.claim(training.pk, "dead")
    assert dead is not None
    assert leases.claim(training.pk, "other") is None, "its lease still holds"
    Training.objects.filter(pk=training.pk).update(
        lease_until=Now() - timedelta(seconds=1), enqueued_at=Now() - timedelta(seconds=9)
    )
    assert leases.waiting(requeue_after_s=30) == [training.pk]
    assert leases.mark_enqueued(training.pk, requeue_after_s=30)
    assert not leases.mark_enqueued(training.pk, requeue_after_s=30), "one reaper is enough"
    assert trainer.execute(training.pk)
    assert again(training).status == "finished"
    assert not leases.beat(dead, fraction=0.5, message="late")
    assert not leases.end(dead, TrainingStatus.FAILED)


def test_a_training_that_kills_its_workers_is_ended(room: Room) -> None:
    plant_runs(room, 1)
    training = submit(room)
    for _ in range(leases.MAX_ATTEMPTS):
        assert leases.claim(training.pk, "dies")
        Training.objects.filter(pk=training.pk).update(lease_until=Now() - timedelta(seconds=1))
    assert trainer.execute(training.pk)
    assert "never ended" in again(training).error["message"]


def test_a_training_that_takes_too_long_is_ended(room: Room, settings: Any) -> None:
    plant_runs(room)
    settings.TANDEM = settings.TANDEM | {"training_limit_s": 0.0}
    training = submit(room)
    assert trainer.execute(training.pk)
    assert "longer than" in again(training).error["message"]


def test_runs_deleted_meanwhile_are_an_error_with_words(room: Room) -> None:
    plant_runs(room, 1)
    training = submit(room)
    Training.objects.filter(pk=training.pk).update(source={"words": "gone", "runs": [10**9]})
    assert trainer.execute(training.pk)
    assert "None of the runs" in again(training).error["message"]
    assert Run.objects.exists()


def test_one_process_trains_one_thing_at_a_time(room: Room) -> None:
    plant_runs(room, 1)
    training = submit(room)
    with trainer._one_at_a_time:
        began = time.monotonic()
        assert not trainer.execute(training.pk)
        assert time.monotonic() - began < 60
    assert again(training).status == "queued"


WORKER = """
import sys, time
from pathlib import Path
from webapp.learning.child import Child
logs, folder = map(Path, sys.argv[1:])
with Child(["isotonic", "--logs", str(logs), "--out", str(folder / "weights")], folder) as child:
    print(child._process.pid, flush=True)
    time.sleep(60)
"""


def test_a_training_ends_with_its_killed_worker_and_writes_nothing(tmp_path: Path) -> None:
    logs = worlds.write(tmp_path / "logs", worlds.predictable(20))
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(logs), str(tmp_path)],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    pid = int(worker.stdout.readline())
    worker.kill()
    worker.communicate()
    wait_for(lambda: _ended(pid), "the end of the training")
    assert not (tmp_path / "weights").exists()


def _ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"  # nobody fetches an orphan's status in some containers
