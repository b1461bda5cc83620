"""Word problems and competition mathematics: GSM8K and MATH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collab_core.agents.prompts import filled
from collab_core.benchmarks.graders.boxed import boxed_answer
from collab_core.benchmarks.graders.inline import last_number
from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import Row, only, read_rows
from collab_core.benchmarks.tasks import BenchmarkTask

_MARK = "####"


def read_gsm8k(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the problems; the gold number stands behind the answer's last ``####``."""
    for count, row in enumerate(read_rows(only(files)), 1):
        _, mark, gold = row.text("answer").rpartition(_MARK)
        gold = gold.strip().replace(",", "")
        if not mark or last_number(gold) is None:
            row.refuse(f"has no number behind {_MARK} in answer")
        yield BenchmarkTask(
            id=f"gsm8k-{split}-{count:05d}",
            question=filled("benchmark_number", question=row.text("question")),
            answers=(gold,),
            scorer="number",
        )


def read_math(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the problems of one file, or of the folders by subject with a file each."""
    for path in files:
        for count, row in enumerate(read_rows(path), 1):
            named = row.text("unique_id", optional=True)
            single = path.suffix == ".json"
            own = f"{path.parent.name}/{path.stem}" + ("" if single else f"/{count:05d}")
            yield BenchmarkTask(
                id=f"math-{split}-{named or own}",
                question=filled("benchmark_boxed", question=row.text("problem")),
                answers=(_gold(row),),
                difficulty=_level(row),
                category=row.text("subject", "type", optional=True),
                scorer="boxed",
            )


def _gold(row: Row) -> str:
    given = row.text("answer", optional=True)
    solution = "" if given else row.text("solution")
    found = given or (boxed_answer(solution) if "\\boxed" in solution else "")
    if not found:
        row.refuse("has no answer, and no \\boxed in its solution")
    return found


def _level(row: Row) -> str:
    level = row.text("level", optional=True)
    return f"Level {level}" if level.isdigit() else level


GSM8K = Benchmark(
    name="gsm8k",
    title="GSM8K",
    splits={
        "test": ("test.jsonl", "test-*.parquet"),
        "train": ("train.jsonl", "train-*.parquet"),
    },
    scorer="number",
    read=read_gsm8k,
    size="test 1,319, train 7,473",
    source="openai/grade-school-math on GitHub, or openai/gsm8k on Hugging Face (folder main)",
    licence="MIT",
)

MATH = Benchmark(
    name="math",
    title="MATH",
    splits={
        "test": ("test.jsonl", "test/*/*.json", "test-*.parquet"),
        "train": ("train.jsonl", "train/*/*.json", "train-*.parquet"),
    },
    scorer="boxed",
    read=read_math,
    size="test 5,000, train 7,500; the subset MATH-500 is a test.jsonl of its own",
    source="EleutherAI/hendrycks_math or HuggingFaceH4/MATH-500 on Hugging Face",
    licence="MIT",
    notes="Graders differ in what they hold equal: compare figures of the same grader only.",
)
