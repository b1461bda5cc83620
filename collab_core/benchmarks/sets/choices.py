"""Multiple choice: MedQA and GPQA."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from collab_core.agents.prompts import filled
from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import Row, only, read_rows
from collab_core.benchmarks.tasks import BenchmarkTask

GPQA_SEED = 0
_LETTERS = "ABCDEFGHIJ"
_WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def _question(question: str, options: Mapping[str, str]) -> str:
    listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
    return filled("benchmark_letter", question=question, options=listed)


def read_medqa(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the questions with their options as they are lettered in the file."""
    for count, row in enumerate(read_rows(only(files)), 1):
        options = _lettered(row)
        right = row.text("answer_idx").upper()
        if right not in options:
            row.refuse(f"says that {right[:20]!r} is right, which is none of its options")
        yield BenchmarkTask(
            id=f"medqa-{split}-{count:05d}",
            question=_question(row.text("question"), options),
            answers=(right,),
            category=row.text("meta_info", optional=True),
            scorer="letter",
        )


def _lettered(row: Row) -> dict[str, str]:
    options = row.value("options")
    if not isinstance(options, dict) or not 2 <= len(options) <= len(_LETTERS):
        row.refuse("has no options by letter")
    found = {}
    for letter, text in options.items():
        if len(letter) != 1 or letter not in _LETTERS or not isinstance(text, str):
            row.refuse("has options that are not texts by letters")
        found[letter] = row.checked(text.strip(), "options")
    return found


def read_gpqa(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the questions; each one's options stand in an order drawn once and for all."""
    for count, row in enumerate(read_rows(only(files)), 1):
        right = row.text("Correct Answer")
        texts = [right, *(row.text(column) for column in _WRONG)]
        if texts.count(right) > 1:
            row.refuse("has a wrong answer that equals the right one")
        name = row.text("Record ID", optional=True) or f"{split}-{count:04d}"
        random.Random(f"gpqa:{GPQA_SEED}:{name}").shuffle(texts)
        options = dict(zip(_LETTERS, texts, strict=False))
        yield BenchmarkTask(
            id=f"gpqa-{name}",
            question=_question(row.text("Question"), options),
            answers=(_LETTERS[texts.index(right)],),
            difficulty=row.text("Writer's Difficulty Estimate", optional=True),
            category=row.text("High-level domain", optional=True),
            scorer="letter",
        )


MEDQA = Benchmark(
    name="medqa",
    title="MedQA (USMLE, 4 options)",
    splits={
        "test": ("phrases_no_exclude_test.jsonl",),
        "dev": ("phrases_no_exclude_dev.jsonl",),
        "train": ("phrases_no_exclude_train.jsonl",),
    },
    scorer="letter",
    read=read_medqa,
    size="test 1,273, dev 1,272, train 10,178",
    source="GBaker/MedQA-USMLE-4-options on Hugging Face, or jind11/MedQA on GitHub",
    licence="CC-BY-4.0 (the copy GBaker/MedQA-USMLE-4-options)",
    notes="The question with five options is another set; its figures are not comparable.",
)

GPQA = Benchmark(
    name="gpqa",
    title="GPQA",
    splits={
        "main": ("gpqa_main.csv",),
        "diamond": ("gpqa_diamond.csv",),
        "extended": ("gpqa_extended.csv",),
    },
    scorer="letter",
    read=read_gpqa,
    size="main 448, diamond 198, extended 546",
    source="Idavidrein/gpqa on Hugging Face (accept its terms)",
    licence="CC-BY-4.0, gated; do not post items in clear",
    notes="Options are shuffled with a fixed seed, so the letters differ from other people's.",
    closed=True,
)
