"""Scorers made of trained weights: every one is a linear head on an encoder's vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.encoders import Encoder, stamp
from collab_core.learned.rendering import tier_and_body
from collab_core.learned.store import MANIFEST, TENSORS, Weights, encoder_for, load

ROUTELLM = "routellm-mf"
ROUTELLM_TABLE = "routellm-table"
FRUGALGPT = "frugalgpt"
PUBLISHED = "published-classifier"
"""No kind of ours: a fine-tuned classifier in the form that transformers saves."""
PROBE = "probe"
ISOTONIC = "isotonic"


class LinearScorer:
    """``link(vector @ weights[t] + biases[t])``, t from the text's first line where ``per_tier``."""

    def __init__(
        self,
        source: Weights,
        encoder: Encoder,
        weights: NDArray[np.float64],
        biases: NDArray[np.float64],
        *,
        per_tier: bool = False,
        probability: bool = True,
    ) -> None:
        self.source = source
        self.manifest = source.manifest
        self.name = self.manifest.name
        self.digest = self.manifest.digest
        self.stand_in = encoder.stand_in
        self._encoder = encoder
        self._weights = weights
        self._biases = biases
        self._per_tier = per_tier
        self._probability = probability

    def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
        placed = [tier_and_body(text) if self._per_tier else (0, text) for text in texts]
        vectors = self._encoder.encode([body for _, body in placed]).astype(np.float64)
        heads = [min(tier, len(self._biases) - 1) for tier, _ in placed]
        raw = np.einsum("nd,nd->n", vectors, self._weights[heads]) + self._biases[heads]
        return tuple(_sigmoid(float(x)) if self._probability else float(x) for x in raw)


def open_scorer(
    folder: Path, *, kind: str, ladder: Sequence[TierSnapshot], encoder: str = ""
) -> LinearScorer:
    """Return the scorer in a weights folder; ``encoder`` as in ``encoders.open_encoder``.

    The same unchanged folder gives the same object: agents that work side by side share it.

    Raises:
        InvalidInput: see ``store.load`` and ``store.encoder_for``; or ``kind`` reads no text.
    """
    stamps = tuple(stamp(folder / name) for name in (MANIFEST, TENSORS))
    return _opened(folder.resolve(), stamps, kind, tuple(ladder), encoder)


@lru_cache(maxsize=32)
def _opened(
    folder: Path,
    stamps: tuple[tuple[int, int, int], ...],
    kind: str,
    ladder: tuple[TierSnapshot, ...],
    encoder: str,
) -> LinearScorer:
    weights = load(folder, kind=kind, ladder=ladder)
    if kind == ROUTELLM:
        return _routellm(weights, encoder)
    if kind == FRUGALGPT:
        return _frugalgpt(weights, encoder)
    if kind == PROBE:
        used = encoder_for(weights.manifest, encoder=encoder)
        return LinearScorer(
            weights,
            used,
            weights.take("weights", 1, used.dim),
            weights.take("biases", 1),
            probability=weights.manifest.options.get("head") == "logistic",
        )
    raise InvalidInput(f"Weights of kind {kind!r} read no text.", field="weights")


def _routellm(weights: Weights, encoder: str) -> LinearScorer:
    """Fold the bilinear head: P(strong wins) depends on the difference of two models only.

    Source: RouteLLM (arXiv 2406.18665), matrix factorisation: delta(M, q) = w2 . (v_M * (W1 v_q + b)).
    """
    used = encoder_for(weights.manifest, encoder=encoder)
    models = weights.take("models", len(weights.manifest.ladder), None)
    dim = models.shape[1]
    difference = (models[-1] - models[0]) * weights.take("classifier", dim)
    folded = weights.take("projection", used.dim, dim) @ difference
    bias = weights.take("bias", dim) @ difference
    return LinearScorer(weights, used, folded[None, :], np.array([bias]))


def _frugalgpt(weights: Weights, encoder: str) -> LinearScorer:
    used = encoder_for(weights.manifest, encoder=encoder)
    judged = max(1, len(weights.manifest.ladder) - 1)
    return LinearScorer(
        weights,
        used,
        weights.take("weights", judged, used.dim),
        weights.take("biases", judged),
        per_tier=True,
    )


def _sigmoid(x: float) -> float:
    """Return 1 / (1 + e^-x) without overflow."""
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))
