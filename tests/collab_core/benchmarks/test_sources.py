"""Files that are damaged, of another kind, or made to do harm."""

from __future__ import annotations

import contextlib
import gzip
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab_core.benchmarks import sources
from collab_core.benchmarks.sources import read_rows
from collab_core.errors import InvalidInput
from tests.collab_core.benchmarks.files import parquet, xlsx

KINDS = (".jsonl", ".json", ".csv", ".xlsx", ".parquet", ".jsonl.gz")


def rows(path: Path) -> list[dict[str, object]]:
    return [dict(row.values) for row in read_rows(path)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    path.touch()
    with pytest.raises(InvalidInput, match="is empty"):
        rows(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\x00" * 9)
    with pytest.raises(InvalidInput, match=rf"a{kind}"):
        rows(path)


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(InvalidInput, match=r"a.pdf is none of .jsonl"):
        rows(tmp_path / "a.pdf")


@pytest.mark.parametrize("kind", [".jsonl", ".json"])
def test_deep_nesting_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a{kind}"
    path.write_text('{"a":' * 100_000)
    with pytest.raises(InvalidInput, match="no JSON"):
        rows(path)


def test_a_half_character_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "\\ud800"}')
    with pytest.raises(InvalidInput, match=r"Row 1 of a.jsonl"):
        next(read_rows(path)).text("question")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2,3\n", "Line 2 of a.csv has 3 cells"),
        ("a,a\n1,2\n", "two columns 'a'"),
        ("\n1,2\n", "names no columns"),
        ('a\n"open\n', "cannot be read behind line"),
        ('a\n"' + "x" * 200_000 + '"\n', "larger than field limit"),
        (",".join(f"c{n}" for n in range(60)), "more than 50 columns"),
    ],
)
def test_a_bad_csv_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        rows(tmp_path / "a.csv")


def test_rows_are_numbered_as_an_editor_shows_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"two\nlines",1\n\nx,2\n')
    assert [row.number for row in read_rows(tmp_path / "a.csv")] == [3, 5]


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n' * 4)
    monkeypatch.setattr(sources, "MAX_ROWS", 3)
    with pytest.raises(InvalidInput, match="more than 3 rows"):
        rows(path)
    table = parquet(tmp_path / "a.parquet", [{"a": 1}] * 4)
    with pytest.raises(InvalidInput, match="more than 3 rows"):
        rows(table)
    monkeypatch.setattr(sources, "MAX_LINE_BYTES", 5)
    with pytest.raises(InvalidInput, match=r"Row 1 of a.jsonl has more than 5 bytes"):
        rows(path)
    monkeypatch.setattr(sources, "MAX_TEXT_BYTES", 10)
    with pytest.raises(InvalidInput, match="has 36 bytes, more than 10"):
        rows(path)


def test_a_packed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * (sources.MAX_LINE_BYTES + 10)))
    with pytest.raises(InvalidInput, match="has more than 5,000,000 bytes"):
        rows(path)


def _replaced(path: Path, part: str, content: bytes) -> Path:
    """Return a copy of a workbook with another part in it."""
    changed = path.with_name("changed.xlsx")
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, content if name == part else old.read(name))
    return changed


SHEET = "xl/worksheets/sheet1.xml"


def test_a_workbook_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    book = xlsx(tmp_path / "a.xlsx", [("a",)])
    bomb = _replaced(book, SHEET, b" " * (sources.MAX_UNPACKED_BYTES + 1))
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(InvalidInput, match="unpacks to"):
        rows(bomb)


def test_entities_in_a_workbook_are_refused(tmp_path: Path) -> None:
    book = xlsx(tmp_path / "a.xlsx", [("a",), ("b",)])
    sheet = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        b'<row r="1"><c r="A1" t="inlineStr"><is><t>&b;</t></is></c></row></sheetData></worksheet>'
    )
    with pytest.raises(InvalidInput, match="no Excel workbook, or damaged"):
        rows(_replaced(book, SHEET, sheet))


def test_a_sheet_that_claims_a_million_columns_is_read_within_limits(tmp_path: Path) -> None:
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        b'<dimension ref="A1:XFD1048576"/><sheetData>'
        b'<row r="1"><c r="A1" t="inlineStr"><is><t>a</t></is></c></row>'
        b'<row r="90000"><c r="A90000"><v>7</v></c></row>'
        b'<row r="1048576"><c r="A1048576"><v>8</v></c></row>'
        b"</sheetData></worksheet>"
    )
    book = _replaced(xlsx(tmp_path / "a.xlsx", [("a",)]), SHEET, sheet)
    assert rows(book) == [{"a": 7}]


@cache
def _whole(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"whole{kind}"
        if kind == ".xlsx":
            return xlsx(path, [("a", "b"), ("x", 1), ("y", 2)]).read_bytes()
        return parquet(path, [{"a": "x", "b": 1}, {"a": "y", "b": 2}]).read_bytes()


# openpyxl warns of what it leaves out
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [".xlsx", ".parquet"])
@given(st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damage_anywhere_is_read_or_refused(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    raw = bytearray(_whole(kind))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / f"damaged{kind}"
    damaged.write_bytes(raw[: data.draw(st.integers(len(raw) // 2, len(raw)))])
    # any other error would come out
    with contextlib.suppress(InvalidInput):
        rows(damaged)
