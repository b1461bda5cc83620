"""Questions whose free answers a judge compares with the reference: BrowseComp-ZH and HLE."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from collab_core.agents.prompts import filled
from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import Row, only, read_rows
from collab_core.benchmarks.tasks import BenchmarkTask

_HLE_COLUMNS = ("id", "question", "image", "answer", "answer_type", "raw_subject", "category")


def read_browsecomp_zh(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the questions, decrypted in memory."""
    del split
    for count, row in enumerate(read_rows(only(files)), 1):
        canary = row.text("canary")
        question = _decrypted(row, "Question", canary)
        yield BenchmarkTask(
            id=f"browsecomp-zh-{count:03d}",
            question=filled("benchmark_confidence_zh", question=question),
            answers=(_decrypted(row, "Answer", canary),),
            category=_decrypted(row, "Topic", canary),
            scorer="judge",
            reference={"question": question},
        )


def _decrypted(row: Row, column: str, canary: str) -> str:
    """Return a cell in clear: base64, then XOR with the SHA-256 of the row's canary over and over."""
    try:
        cipher = base64.b64decode(row.text(column), validate=True)
        key = hashlib.sha256(canary.encode()).digest()
        clear = bytes(a ^ b for a, b in zip(cipher, cycle(key), strict=False)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        row.refuse(f"cannot be decrypted in {column}: it is damaged, or its canary is")
    if not clear.strip():
        row.refuse(f"has no {column}")
    return row.checked(clear.strip(), column)


def read_hle_math(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the questions of the category Math that have no image."""
    for path in files:
        for row in read_rows(path, columns=_HLE_COLUMNS):
            if row.text("category") != "Math" or _has_image(row):
                continue
            kind = row.text("answer_type")
            if split == "math-exact" and kind != "exactMatch":
                continue
            question = row.text("question")
            yield BenchmarkTask(
                id=f"hle-{row.text('id')}",
                question=filled("benchmark_confidence", question=question),
                answers=(row.text("answer"),),
                category=row.text("raw_subject", optional=True),
                scorer="judge",
                reference={"question": question},
            )


def _has_image(row: Row) -> bool:
    """Tell whether there is one: published as a text (its data), "" for none."""
    if "image" not in row.values:
        row.refuse("has no column image, so nobody knows whether it is text only")
    return bool(row.values["image"])


BROWSECOMP_ZH = Benchmark(
    name="browsecomp-zh",
    title="BrowseComp-ZH",
    splits={"all": ("browsecomp-zh-encrypted.xlsx",)},
    scorer="judge",
    read=read_browsecomp_zh,
    size="289",
    source="PALIN2018/BrowseComp-ZH on GitHub (data/)",
    licence="MIT by its README, for research; encrypted so that it stays out of training data",
    notes="The published judge is GPT-4o with a Chinese prompt; ours has other words, and a run is "
    "read by the judge that you name. The questions need the web: give the run those tools.",
    closed=True,
)

HLE_MATH = Benchmark(
    name="hle-math",
    title="Humanity's Last Exam, mathematics",
    splits={
        "math": ("test-*.parquet", "hle*.parquet"),
        "math-exact": ("test-*.parquet", "hle*.parquet"),
    },
    scorer="judge",
    read=read_hle_math,
    size="about 976 text-only questions of 2,500; the version decides",
    source="cais/hle on Hugging Face (accept its terms)",
    licence="MIT, gated; its authors ask not to share it again",
    notes="The filter: category is Math, and there is no image. The split math-exact also leaves "
    "multiple choice out. The 866 questions of the AgentCollab paper are not known to be either.",
    closed=True,
)
