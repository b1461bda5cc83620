"""Classifiers that others have trained: RouteLLM's BERT router, a fine-tuned FrugalGPT scorer.

Read from a folder as transformers saves it: safetensors only, local files only, and never the folder's
own code.
"""

from __future__ import annotations

import hashlib
import json
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from collab_core.errors import InvalidInput
from collab_core.learned.encoders import folder_digest, require_encoder_packages
from collab_core.learned.rendering import tier_and_body

ClassifierKind = Literal["routellm", "frugalgpt"]

CONFIG = "config.json"
MAX_CONFIG_BYTES = 4 * 1024**2
BATCH = 16
LABELS: dict[ClassifierKind, tuple[int, ...]] = {"routellm": (3,), "frugalgpt": (1, 2)}


class PublishedClassifier:
    """A sequence classifier as a scorer; a text too long for it loses its beginning.

    ``routellm``: three labels (strong wins, tie, weak wins); strong win = 1 - (p_tie + p_weak).
    ``frugalgpt``: two labels, P(label 1); or one, the sigmoid of it.
    """

    stand_in = False

    def __init__(
        self, name: str, digest: str, kind: ClassifierKind, tokenizer: Any, model: Any
    ) -> None:
        self.name = name
        self.digest = hashlib.sha256(f"{kind}\0{digest}".encode()).hexdigest()[:32]
        self._kind = kind
        self._tokenizer = tokenizer
        self._model = model
        window = int(getattr(model.config, "max_position_embeddings", 512))
        self._window = min(512, window, int(tokenizer.model_max_length))
        # fast tokenizers refuse to be used by two threads at once
        self._lock = threading.Lock()

    def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
        if self._kind == "frugalgpt":
            texts = tuple(tier_and_body(text)[1] for text in texts)
        scores: list[float] = []
        with self._lock:
            for start in range(0, len(texts), BATCH):
                scores += self._batch(texts[start : start + BATCH])
        return tuple(scores)

    def _batch(self, texts: tuple[str, ...]) -> list[float]:
        # torch takes seconds to import and is optional
        import torch  # noqa: PLC0415

        tokens = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._window,
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = self._model(**tokens).logits.double()
        if logits.shape[1] == 1:
            return [float(p) for p in torch.sigmoid(logits[:, 0])]
        probabilities = torch.softmax(logits, dim=1)
        if self._kind == "routellm":
            return [float(p) for p in 1.0 - probabilities[:, 1:].sum(dim=1)]
        return [float(p) for p in probabilities[:, 1]]


def load_hf_classifier(folder: Path, kind: ClassifierKind) -> PublishedClassifier:
    """Return the classifier in ``folder``, kept in memory for the next call.

    Raises:
        InvalidInput: packages are missing, the folder holds no such classifier, its weights are
            pickled, it wants code of its own, or it has another number of labels.
    """
    require_encoder_packages()
    config = _config(folder)
    if "auto_map" in config:
        raise _refused(folder, "it wants to run code of its own")
    return _loaded(folder.resolve(), folder_digest(folder), kind)


def is_classifier(folder: Path) -> bool:
    """Return whether a folder looks like a saved transformers model."""
    return (folder / CONFIG).is_file()


@lru_cache(maxsize=2)
def _loaded(folder: Path, digest: str, kind: ClassifierKind) -> PublishedClassifier:
    # torch takes seconds to import and is optional
    from transformers import AutoModelForSequenceClassification, AutoTokenizer  # noqa: PLC0415

    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), **safe)
        model: Any
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            str(folder), use_safetensors=True, output_loading_info=True, **safe
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise _refused(folder, str(error)[:300]) from error
    if loading["missing_keys"]:
        # transformers would fill them with random numbers
        raise _refused(folder, f"it lacks {sorted(loading['missing_keys'])[0]}: no classifier head")
    labels = int(model.config.num_labels)
    if labels not in LABELS[kind]:
        raise _refused(folder, f"it has {labels} labels, not {LABELS[kind][-1]}")
    model.eval()
    tokenizer.truncation_side = "left"
    return PublishedClassifier(folder.name, digest, kind, tokenizer, model)


def _config(folder: Path) -> dict[str, Any]:
    try:
        with (folder / CONFIG).open("rb") as file:
            blob = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise _refused(folder, f"{CONFIG} cannot be read ({error.strerror})") from error
    try:
        config = json.loads(blob)
    except (ValueError, RecursionError) as error:
        raise _refused(folder, f"{CONFIG} is not JSON") from error
    if len(blob) > MAX_CONFIG_BYTES or not isinstance(config, dict):
        raise _refused(folder, f"{CONFIG} is no configuration")
    return config


def _refused(folder: Path, what: str) -> InvalidInput:
    return InvalidInput(
        f"The classifier in {folder.name!r} cannot be used: {what}.",
        field="weights",
        hint="Give a folder that transformers has saved (config.json, tokenizer, model.safetensors).",
    )
