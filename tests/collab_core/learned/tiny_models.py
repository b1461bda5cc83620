"""Tiny random models on disk, as the real libraries save them: no download, a few kilobytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = [
    "the",
    "cat",
    "sat",
    "prove",
    "it",
    "count",
    "list",
    "derive",
    "a",
    "b",
    "c",
    "q",
    ":",
    "easy",
    "hard",
    "right",
    "wrong",
    "?",
    ".",
    "!",
    "0",
    "1",
]


def _tokenizer(folder: Path) -> Any:
    from transformers import BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    return BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)


def _config(**more: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        **more,
    )


def tiny_sentence_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Save a sentence-transformers model of 16 numbers a text."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel

    torch.manual_seed(seed)
    inner = folder.parent / f"{folder.name}-bert"
    _tokenizer(inner).save_pretrained(inner)
    BertModel(_config()).save_pretrained(
        inner,
    )
    transformer = Transformer(str(inner))
    pooling = Pooling(transformer.get_embedding_dimension())
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(folder))
    return folder


def tiny_classifier(folder: Path, *, labels: int, seed: int = 0) -> Path:
    """Save a BERT sequence classifier with ``labels`` outputs."""
    import torch
    from transformers import BertForSequenceClassification

    torch.manual_seed(seed)
    _tokenizer(folder).save_pretrained(folder)
    model = BertForSequenceClassification(_config(num_labels=labels))
    model.save_pretrained(
        folder,
    )
    return folder
