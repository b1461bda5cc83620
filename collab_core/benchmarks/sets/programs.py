"""Programs to write, graded by their tests: MBPP and HumanEval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collab_core.agents.prompts import filled
from collab_core.benchmarks.sets.base import Benchmark
from collab_core.benchmarks.sources import only, read_rows
from collab_core.benchmarks.tasks import BenchmarkTask

MBPP_SPLITS = {"test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}
"""By task_id, as published; 1 to 10 are examples for prompts."""


def read_mbpp(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the tasks of the split; the tests are shown, since they alone name the function."""
    wanted = MBPP_SPLITS[split.removeprefix("sanitized-")]
    for row in read_rows(only(files)):
        number = row.value("task_id")
        if not isinstance(number, int) or isinstance(number, bool):
            row.refuse("has no number in task_id")
        if number not in wanted:
            continue
        tests = row.texts("test_list")
        imports = row.texts("test_imports", optional=True)
        setup = row.text("test_setup_code", optional=True)
        yield BenchmarkTask(
            id=f"mbpp-{number}",
            question=filled(
                "benchmark_function", task=row.text("prompt", "text"), tests="\n".join(tests)
            ),
            scorer="tests",
            reference={"setup": "\n".join([*imports, setup]).strip(), "tests": list(tests)},
        )


def read_humaneval(files: tuple[Path, ...], split: str) -> Iterator[BenchmarkTask]:
    """Yield the functions to complete; what stands before them is there when the answer is run."""
    del split
    for row in read_rows(only(files)):
        # indentation counts: taken as it stands
        code, test = row.text("prompt", as_is=True), row.text("test", as_is=True)
        entry = row.text("entry_point")
        if not entry.isidentifier():
            row.refuse("has an entry_point that names no function")
        yield BenchmarkTask(
            id=f"humaneval-{row.text('task_id').rpartition('/')[2]}",
            question=filled("benchmark_complete_function", code=code.strip("\n")),
            scorer="tests",
            reference={"setup": code, "tests": [f"{test}\n\ncheck({entry})\n"]},
        )


MBPP = Benchmark(
    name="mbpp",
    title="MBPP",
    splits={
        "test": ("mbpp.jsonl", "test-*.parquet"),
        "validation": ("mbpp.jsonl", "validation-*.parquet"),
        "train": ("mbpp.jsonl", "train-*.parquet"),
        "sanitized-test": ("sanitized-mbpp.json", "test-*.parquet"),
    },
    scorer="tests",
    read=read_mbpp,
    size="test 500, validation 90, train 374; of the sanitized 427, 257 are in test",
    source="google-research/mbpp on GitHub, or google-research-datasets/mbpp on Hugging Face "
    "(folder full or sanitized)",
    licence="CC-BY-4.0",
    notes="One program a task (pass@1), without examples; papers that show three differ.",
)

HUMANEVAL = Benchmark(
    name="humaneval",
    title="HumanEval",
    splits={"test": ("HumanEval.jsonl", "HumanEval.jsonl.gz", "test-*.parquet")},
    scorer="tests",
    read=read_humaneval,
    size="164",
    source="openai/human-eval on GitHub (data/), or openai/openai_humaneval on Hugging Face",
    licence="MIT",
    notes="One program a task (pass@1); figures that average several samples differ.",
)
