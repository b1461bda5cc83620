from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as safetensors_save

from collab_core.errors import InvalidInput
from collab_core.learned import store
from collab_core.learned.encoders import HashedEncoder
from collab_core.learned.store import (
    CalibrationPoint,
    EncoderUsed,
    Manifest,
    TrainedOn,
    encoder_for,
    ladder_used,
    load,
    save,
)
from tests.collab_core.learned.worlds import ladder


def manifest(**more: Any) -> Manifest:
    fields: dict[str, Any] = {
        "kind": "probe",
        "name": "mine",
        "created": store.now(),
        "encoder": EncoderUsed.of(HashedEncoder(16)),
        "ladder": ladder_used(ladder()),
        "trained_on": TrainedOn(source="a test", digest="d", runs=1, tasks=1),
        "seed": 3,
    }
    return Manifest(**{**fields, **more})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "w", manifest(), {"weights": np.ones((1, 16)), "biases": np.zeros(1)})
    return tmp_path / "w"


def change(folder: Path, **fields: Any) -> None:
    path = folder / store.MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_weights_come_back_as_they_were_saved(folder: Path) -> None:
    weights = load(folder, kind="probe", ladder=ladder())
    assert weights.take("weights", 1, 16).sum() == 16
    assert weights.manifest.trained_on.source == "a test"
    assert len(weights.manifest.tensors_sha256) == 64


def test_a_folder_is_never_overwritten_by_chance(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="exists already"):
        save(folder, manifest(), {})
    save(folder, manifest(seed=9), {"weights": np.ones(1)}, replace=True)
    assert load(folder).manifest.seed == 9
    assert [path.name for path in folder.parent.iterdir()] == ["w"]


def test_a_folder_that_holds_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(InvalidInput, match="exists already"):
        save(tmp_path / "thesis", manifest(), {}, replace=True)


def test_a_save_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="NaN"):
        save(tmp_path / "w", manifest(), {"weights": np.array([np.nan])})
    assert list(tmp_path.iterdir()) == []


def test_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="'probe'; 'frugalgpt' is needed"):
        load(folder, kind="frugalgpt")


def test_another_ladder_is_refused_by_names_and_models(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"small \(small-model\) < large .* this run has tiny"):
        load(folder, ladder=ladder("tiny", "huge"))


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There are no weights") as caught:
        load(tmp_path / "nowhere")
    assert "train" in caught.value.hint


def test_a_newer_format_says_update(folder: Path) -> None:
    change(folder, format_version=99, something_new=1)
    with pytest.raises(InvalidInput, match="have format 99"):
        load(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "many"),
        ("ladder", []),
        ("extra", 1),
        ("report", {"auc": {"value": float("nan"), "n": 1}}),
        ("calibration", [{"threshold": 1, "large_share": 2}]),
        ("created", "yesterday"),
    ],
)
def test_a_manifest_with_a_wrong_field_is_damaged(folder: Path, field: str, value: object) -> None:
    change(folder, **{field: value})
    with pytest.raises(InvalidInput, match=r"are damaged: manifest\.json"):
        load(folder)


@pytest.mark.parametrize("blob", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_not_one_is_damaged(folder: Path, blob: bytes) -> None:
    (folder / store.MANIFEST).write_bytes(blob)
    with pytest.raises(InvalidInput, match="are damaged"):
        load(folder)


def test_a_changed_tensor_file_is_noticed(folder: Path) -> None:
    path = folder / store.TENSORS
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(bytes(blob))
    with pytest.raises(InvalidInput, match="not the file that the manifest names"):
        load(folder)


def swap_tensors(folder: Path, blob: bytes) -> None:
    """What somebody does who makes the digest fit as well."""
    import hashlib

    (folder / store.TENSORS).write_bytes(blob)
    change(folder, tensors_sha256=hashlib.sha256(blob).hexdigest())


@pytest.mark.parametrize("blob", [b"", b"\x80\x04N.", b"\xff" * 64])
def test_a_tensor_file_that_is_not_one_is_damaged(folder: Path, blob: bytes) -> None:
    swap_tensors(folder, blob)
    with pytest.raises(InvalidInput, match=r"weights\.safetensors cannot be read"):
        load(folder)


def test_infinity_is_refused(folder: Path) -> None:
    swap_tensors(folder, safetensors_save({"weights": np.full((1, 16), np.inf)}))
    with pytest.raises(InvalidInput, match="NaN or infinity"):
        load(folder)


def test_a_tensor_of_another_shape_is_refused(folder: Path) -> None:
    weights = load(folder)
    with pytest.raises(InvalidInput, match="'weights' is 1x16, not 2x16"):
        weights.take("weights", 2, 16)
    with pytest.raises(InvalidInput, match=r"'models' \(2xany\) is missing"):
        weights.take("models", 2, None)


def test_a_file_above_the_bound_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_TENSOR_BYTES", 10)
    with pytest.raises(InvalidInput, match="larger than"):
        load(folder)


def test_weights_of_another_encoder_are_refused(folder: Path) -> None:
    used = manifest().encoder
    assert used is not None
    other = manifest(encoder=used.model_copy(update={"digest": "0" * 64}))
    with pytest.raises(InvalidInput, match="trained with the encoder 'hashed'") as caught:
        encoder_for(other)
    assert "TANDEM_ENCODER" in caught.value.hint
    assert encoder_for(manifest()).dim == 16


def test_weights_of_a_sentence_encoder_do_not_fall_back_to_the_stand_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TANDEM_ENCODER", raising=False)
    used = EncoderUsed(name="minilm", dim=384, digest="a" * 64, stand_in=False)
    with pytest.raises(InvalidInput, match="the one here is 'hashed'"):
        encoder_for(manifest(encoder=used))


def test_the_threshold_of_a_share_is_the_nearest_calibrated_one() -> None:
    table = tuple(
        CalibrationPoint(threshold=t, large_share=s) for t, s in ((0.9, 0.0), (0.5, 0.4), (0.1, 1))
    )
    found = manifest(calibration=table).threshold_for_share(0.3)
    assert (found.threshold, found.large_share) == (0.5, 0.4)
    with pytest.raises(InvalidInput, match="no calibration table"):
        manifest().threshold_for_share(0.3)


def test_the_digest_names_weights_encoder_and_options() -> None:
    digests = {
        manifest(tensors_sha256=sha, options=options).digest
        for sha, options in (("a", {}), ("b", {}), ("a", {"head": "ridge"}))
    }
    assert len(digests) == 3
    assert manifest(name="renamed").digest == manifest().digest
