from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from collab_core.errors import InvalidInput
from collab_core.learned.published import load_hf_classifier
from collab_core.learned.trainer import Source
from collab_core.learned.training import train
from tests.collab_core.learned.tiny_models import tiny_classifier
from tests.collab_core.learned.worlds import logs, predictable

TEXTS = ("the cat sat", "prove it")


def logits(folder: Path, text: str) -> list[float]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        return [float(x) for x in torch.softmax(model(**tokens).logits[0].double(), dim=0)]


def test_the_routers_win_is_one_minus_tie_and_weak(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path / "bert", labels=3)
    scores = load_hf_classifier(folder, "routellm").score(TEXTS)
    for text, score in zip(TEXTS, scores, strict=True):
        strong, tie, weak = logits(folder, text)
        assert score == pytest.approx(1 - (tie + weak), abs=1e-5)
        assert score == pytest.approx(strong, abs=1e-5)


def test_a_frugalgpt_scorer_gives_label_one_and_does_not_read_the_tiers_line(
    tmp_path: Path,
) -> None:
    folder = tiny_classifier(tmp_path / "bert", labels=2)
    scorer = load_hf_classifier(folder, "frugalgpt")
    first, second = scorer.score(("0\nthe cat", "1\nthe cat"))
    assert first == pytest.approx(logits(folder, "the cat")[1], abs=1e-5)
    assert first == pytest.approx(second, abs=1e-6)
    assert not scorer.stand_in


def test_a_long_text_loses_its_beginning(tmp_path: Path) -> None:
    scorer = load_hf_classifier(tiny_classifier(tmp_path / "bert", labels=3), "routellm")
    long, end = scorer.score(("cat " * 5_000 + "prove it " * 40, "prove it " * 40))
    assert long == pytest.approx(end, abs=1e-6)


def test_a_batch_gives_what_single_texts_give(tmp_path: Path) -> None:
    scorer = load_hf_classifier(tiny_classifier(tmp_path / "bert", labels=3), "routellm")
    texts = tuple("the cat sat prove it "[: i + 3] for i in range(18))
    assert scorer.score(texts) == pytest.approx([scorer.score((t,))[0] for t in texts], abs=1e-5)


@pytest.mark.parametrize(("kind", "labels"), [("routellm", 2), ("frugalgpt", 3)])
def test_another_number_of_labels_is_refused(kind: str, labels: int, tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path / "bert", labels=labels)
    with pytest.raises(InvalidInput, match=f"it has {labels} labels"):
        load_hf_classifier(folder, kind)  # type: ignore[arg-type]


def test_a_folder_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path / "bert", labels=3)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(InvalidInput, match="run code of its own"):
        load_hf_classifier(folder, "routellm")


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    folder = tiny_classifier(tmp_path / "bert", labels=3)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match=r"holds no \.safetensors"):
        load_hf_classifier(folder, "routellm")


def test_a_model_without_a_classifier_head_is_refused(tmp_path: Path) -> None:
    """Otherwise its head would be random numbers, and nobody would notice."""
    from safetensors.numpy import load_file, save_file

    folder = tiny_classifier(tmp_path / "bert", labels=3)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in tensors.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match="no classifier head"):
        load_hf_classifier(folder, "routellm")


@pytest.mark.parametrize("config", [None, "{", "[]"])
def test_a_folder_that_is_no_model_is_refused(config: str | None, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(InvalidInput, match="cannot be used: config"):
        load_hf_classifier(tmp_path, "routellm")


def test_a_published_router_is_calibrated_on_our_own_steps(tmp_path: Path) -> None:
    classifier = load_hf_classifier(tiny_classifier(tmp_path / "bert", labels=3), "routellm")
    given = Source.of_logs(logs(predictable()), classifier=classifier)
    manifest = train("routellm-table", given, tmp_path / "w", {"reading": "trajectory"})
    assert manifest.options["classifier_digest"] == classifier.digest
    assert {p.large_share for p in manifest.calibration} >= {0.0, 1.0}
    assert manifest.report["auc"].n > 0
    assert manifest.encoder is None


def test_a_table_needs_its_classifier(tmp_path: Path) -> None:
    given = Source.of_logs(logs(predictable()))
    with pytest.raises(InvalidInput, match="calibrates a published classifier"):
        train("routellm-table", given, tmp_path / "w", {})


def test_threads_may_score_at_once(tmp_path: Path) -> None:
    scorer = load_hf_classifier(tiny_classifier(tmp_path / "bert", labels=3), "routellm")
    texts = tuple("the cat sat prove it"[: i + 4] for i in range(12))
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(scorer.score, [texts] * 18))
    assert all(result == pytest.approx(results[0], abs=1e-6) for result in results)
