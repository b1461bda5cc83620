from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from collab_core.errors import InvalidInput
from collab_core.learned.encoders import (
    HashedEncoder,
    folder_digest,
    open_encoder,
    sentence_encoder,
)
from collab_core.learned.scorers import open_scorer
from collab_core.learned.trainer import Source
from collab_core.learned.training import train
from tests.collab_core.learned.tiny_models import tiny_sentence_encoder
from tests.collab_core.learned.worlds import ladder, logs, predictable


def test_the_hashed_encoder_is_a_stand_in_with_unit_vectors() -> None:
    vectors = HashedEncoder(64).encode(["the cat sat", "prove it", ""])
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 1.0, 0.0])
    assert HashedEncoder.stand_in


def test_words_in_another_order_are_another_vector() -> None:
    first, second = HashedEncoder().encode(["dog bites man", "man bites dog"])
    assert 0.3 < float(first @ second) < 0.99


def test_another_process_gives_the_same_vectors() -> None:
    code = "from collab_core.learned.encoders import HashedEncoder as H; print(H().digest)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == HashedEncoder().digest
    assert HashedEncoder(64).digest != HashedEncoder().digest


def test_no_text_is_no_row() -> None:
    assert HashedEncoder(64).encode([]).shape == (0, 64)


def test_the_environment_names_the_encoder(tmp_path: Path) -> None:
    assert open_encoder(environ={}).name == "hashed"
    assert open_encoder("hashed", environ={"TANDEM_ENCODER": "elsewhere"}).name == "hashed"
    with pytest.raises(InvalidInput, match="no folder 'elsewhere'"):
        open_encoder(environ={"TANDEM_ENCODER": str(tmp_path / "elsewhere")})


def test_a_sentence_encoder_comes_from_a_folder(tmp_path: Path) -> None:
    folder = tiny_sentence_encoder(tmp_path / "tiny")
    encoder = open_encoder(str(folder))
    vectors = encoder.encode(["the cat", "prove it", "the cat"])
    assert (encoder.name, encoder.stand_in, vectors.shape) == ("tiny", False, (3, encoder.dim))
    assert np.allclose(vectors[0], vectors[2], atol=1e-6)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_another_model_in_the_folder_is_another_digest(tmp_path: Path) -> None:
    first = sentence_encoder(tiny_sentence_encoder(tmp_path / "a", seed=1))
    second = sentence_encoder(tiny_sentence_encoder(tmp_path / "b", seed=2))
    assert first.digest != second.digest


def test_a_missing_package_names_the_requirements_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "collab_core.learned.encoders.importlib.util.find_spec",
        lambda name: None if name == "torch" else find_spec(name),
    )
    with pytest.raises(InvalidInput, match="needs torch, which is not installed") as caught:
        sentence_encoder(tmp_path)
    assert "requirements-encoders.txt" in caught.value.hint


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    folder = tiny_sentence_encoder(tmp_path / "tiny")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match=r"holds no \.safetensors"):
        open_encoder(str(folder))


def test_a_folder_that_holds_no_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        open_encoder(str(tmp_path))


def test_a_folder_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = tiny_sentence_encoder(tmp_path / "tiny")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "evil.Module"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(InvalidInput, match="run code of its own"):
        open_encoder(str(folder))


def test_a_pickled_module_beside_a_safe_one_is_refused(tmp_path: Path) -> None:
    folder = tiny_sentence_encoder(tmp_path / "tiny")
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(InvalidInput, match="for each pickled one"):
        open_encoder(str(folder))


def test_the_same_folder_is_loaded_once(tmp_path: Path) -> None:
    folder = tiny_sentence_encoder(tmp_path / "tiny")
    assert open_encoder(str(folder)) is open_encoder(str(folder))


def test_training_with_a_sentence_encoder_is_no_stand_in(tmp_path: Path) -> None:
    folder = tiny_sentence_encoder(tmp_path / "tiny")
    given = Source.of_logs(logs(predictable(20)))
    manifest = train("probe", given, tmp_path / "w", {}, encoder=str(folder))
    assert manifest.encoder is not None
    assert (manifest.encoder.name, manifest.encoder.stand_in) == ("tiny", False)
    assert not any("stand-in" in note for note in manifest.notes)
    scorer = open_scorer(tmp_path / "w", kind="probe", ladder=ladder(), encoder=str(folder))
    assert 0 < scorer.score(("prove it",))[0] < 1
    assert not scorer.stand_in
    with pytest.raises(InvalidInput, match="the one here is 'hashed'"):
        open_scorer(tmp_path / "w", kind="probe", ladder=ladder(), encoder="hashed")


@pytest.mark.parametrize("kind", ["hashed", "sentences"])
def test_threads_may_encode_at_once(kind: str, tmp_path: Path) -> None:
    given = "hashed" if kind == "hashed" else str(tiny_sentence_encoder(tmp_path / "tiny"))
    encoder = open_encoder(given)
    texts = ["the cat sat", "prove it", "count the list"]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(encoder.encode, [texts] * 18))
    assert all(np.allclose(result, results[0], atol=1e-6) for result in results)


def test_a_changed_model_file_changes_the_digest(tmp_path: Path) -> None:
    folder = tiny_sentence_encoder(tmp_path / "tiny")
    before = folder_digest(folder)
    assert folder_digest(folder) == before
    config = folder / "config.json"
    config.write_text(config.read_text() + "\n")
    assert folder_digest(folder) != before


def test_who_does_not_train_does_not_wait_for_the_libraries() -> None:
    code = (
        "import sys, collab_core.cli\n"
        "print([m for m in ('sklearn', 'scipy', 'torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
