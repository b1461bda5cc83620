from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_core.benchmarks import registry
from collab_core.errors import InvalidInput
from tests.collab_core.benchmarks.files import encrypted, parquet, xlsx

HEADER = ("Topic", "Question", "Answer", "canary")
CANARY = "browsecomp-zh:a-canary"
QUESTION = "这座桥的建造者是谁？" * 8
FILE = "browsecomp-zh-encrypted.xlsx"


def row(question: str = QUESTION, *, canary: str = CANARY, shown: str | None = None) -> list[Any]:
    cells = (encrypted(text, canary) for text in ("地理", question, "李春"))
    return [*cells, canary if shown is None else shown]


def test_a_cell_is_decrypted_as_published() -> None:
    # by hand: SHA-256("k") begins with 82 54, and A, B are 41 42
    assert encrypted("AB", "k") == "wxY="


def test_browsecomp_zh_is_read_in_clear_and_graded_by_a_judge(tmp_path: Path) -> None:
    xlsx(tmp_path / FILE, [HEADER, row(), row("第二个？", canary="another")])
    found = registry.load("browsecomp-zh", tmp_path)
    first, second = found.tasks
    assert (first.category, first.answers) == ("地理", ("李春",))
    assert first.question.startswith(QUESTION)
    assert "置信度" in first.question
    assert first.reference == {"question": QUESTION}
    assert second.id == "browsecomp-zh-002"
    assert (found.needs, found.closed) == ("judge", True)
    assert list(tmp_path.iterdir()) == [tmp_path / FILE]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (row(shown="wrong"), "Row 3 of .* cannot be decrypted in Question"),
        (["!", "!", "!", CANARY], "Row 3 of .* cannot be decrypted in Question"),
        ([encrypted("t", CANARY), None, None, CANARY], "Row 3 of .* has no Question"),
        (row(shown=""), "Row 3 of .* has no canary"),
        (row("a\x00b"), "Row 3 of .* holds characters in Question"),
        (row("  "), "Row 3 of .* has no Question"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, bad: list[Any], said: str) -> None:
    xlsx(tmp_path / FILE, [HEADER, row(), bad])
    with pytest.raises(InvalidInput, match=said):
        registry.load("browsecomp-zh", tmp_path)


HLE = {
    "id": "66e8",
    "question": "What is 6 times 7?",
    "image": "",
    "answer": "42",
    "answer_type": "exactMatch",
    "rationale": "Count.",
    "raw_subject": "Arithmetic",
    "category": "Math",
    "canary": "BENCHMARK DATA",
}
HLE_ROWS = [
    HLE,
    HLE | {"id": "b", "answer_type": "multipleChoice", "answer": "B"},
    HLE | {"id": "c", "image": "data:image/png;base64,AAAA"},
    HLE | {"id": "d", "category": "Physics"},
]


def test_hle_keeps_mathematics_without_an_image(tmp_path: Path) -> None:
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", HLE_ROWS)
    found = registry.load("hle-math", tmp_path)
    assert [task.id for task in found.tasks] == ["hle-66e8", "hle-b"]
    first = found.tasks[0]
    assert (first.answers, first.category, first.scorer) == (("42",), "Arithmetic", "judge")
    assert "Confidence: 80%" in first.question
    exact = registry.load("hle-math", tmp_path, split="math-exact")
    assert [task.id for task in exact.tasks] == ["hle-66e8"]


def test_hle_without_the_image_column_is_refused(tmp_path: Path) -> None:
    rows = [{k: v for k, v in HLE.items() if k != "image"}]
    path = parquet(tmp_path / "test-0.parquet", rows)
    with pytest.raises(InvalidInput, match=r"Row 1 of test-0.parquet has no column image"):
        registry.load("hle-math", path)


def test_another_parquet_file_is_no_hle(tmp_path: Path) -> None:
    path = parquet(tmp_path / "test-0.parquet", [{"text": "x"}])
    with pytest.raises(InvalidInput, match=r"Row 1 of test-0.parquet has no category"):
        registry.load("hle-math", path)
