"""Rows out of published files: JSONL, JSON, CSV, Parquet and Excel, all of them bounded.

The files come from people, who can be wrong or mean harm. Every error names the file and the row.
"""

from __future__ import annotations

import csv
import gzip
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import msgspec

from collab_core.errors import InvalidInput

if TYPE_CHECKING:
    from openpyxl import Workbook

MAX_TEXT_BYTES = 200_000_000
MAX_PARQUET_BYTES = 1_000_000_000
MAX_JSON_BYTES = 20_000_000
"""Of a file that is read as a whole."""
MAX_LINE_BYTES = 5_000_000
MAX_UNPACKED_BYTES = 100_000_000
"""Of all parts of a workbook together."""
MAX_ROWS = 100_000
MAX_COLUMNS = 50
MAX_FILES = 20_000
MAX_DEPTH = 4
"""Of folders that are searched, the named one included."""
MAX_FIELD_CHARS = 500_000
_BATCH_ROWS = 64
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class Row:
    """A row of a file; ``number`` counts from 1 as an editor shows it (headers included)."""

    file: str
    number: int
    values: Mapping[str, Any]

    def text(self, *columns: str, optional: bool = False, as_is: bool = False) -> str:
        """Return the text of the first of the columns that is there, stripped unless ``as_is``.

        Numbers are texts too. ``optional``: "" where there is none.

        Raises:
            InvalidInput: none of them holds text, or the text cannot be stored.
        """
        value = self.value(*columns)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = f"{value:g}" if isinstance(value, float) else str(value)
        if value is None or (isinstance(value, str) and not value.strip()):
            if optional:
                return ""
            self.refuse(f"has no {' or '.join(columns)}")
        if not isinstance(value, str):
            self.refuse(f"holds no text in {columns[0]}")
        return self.checked(value if as_is else value.strip(), columns[0])

    def texts(self, column: str, *, optional: bool = False) -> tuple[str, ...]:
        """Return a list of texts.

        Raises:
            InvalidInput: it is no list of texts, or an empty one.
        """
        value = self.value(column)
        if value is None and optional:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str) or not (value or optional):
            self.refuse(f"has no list {column}")
        if not all(isinstance(item, str) for item in value):
            self.refuse(f"holds something else than text in {column}")
        return tuple(self.checked(item, column) for item in value)

    def value(self, *columns: str) -> Any:
        """Return the first value that is not missing, as it was read; None = all are."""
        found = (self.values.get(column) for column in columns)
        return next((value for value in found if value is not None), None)

    def checked(self, text: str, column: str) -> str:
        """Return the text if it can be stored.

        Raises:
            InvalidInput: it is too long, or holds what no database takes.
        """
        if len(text) > MAX_FIELD_CHARS:
            self.refuse(f"has {len(text):,} characters in {column}, more than {MAX_FIELD_CHARS:,}")
        if "\x00" in text or not _encodes(text):
            self.refuse(f"holds characters in {column} that are no text")
        return text

    def refuse(self, what: str) -> NoReturn:
        """Raise the error that says where and what."""
        raise InvalidInput(f"Row {self.number} of {self.file} {what}.", field="file")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def find_files(where: Path, patterns: Iterable[str]) -> tuple[Path, ...]:
    """Return the file that was named, or the files by the first pattern that has any in the folder.

    Subfolders are searched too, the nearest first.

    Raises:
        InvalidInput: there is nothing there; the message says what is expected and what was found.
    """
    patterns = tuple(patterns)
    if where.is_file():
        return (where,)
    expected = " or ".join(patterns)
    if not where.is_dir():
        raise InvalidInput(
            f"There is no file or folder {where.name!r}.",
            field="file",
            hint=f"Name {expected}, or the folder that holds it.",
        )
    for pattern in (f"{'*/' * depth}{name}" for depth in range(MAX_DEPTH) for name in patterns):
        found = sorted(path for path in where.glob(pattern) if path.is_file())
        if len(found) > MAX_FILES:
            raise InvalidInput(f"{where.name} has more than {MAX_FILES:,} files.", field="file")
        if found:
            return tuple(found)
    names = sorted(path.name for path in where.iterdir())
    there = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
    raise InvalidInput(
        f"{where.name} has no {expected}.",
        field="file",
        hint=f"The folder holds {there}." if names else "The folder is empty.",
    )


def only(files: Sequence[Path]) -> Path:
    """Return the one file.

    Raises:
        InvalidInput: there are several; to take one of them would be to guess.
    """
    if len(files) > 1:
        names = ", ".join(f"{path.parent.name}/{path.name}" for path in files[:_SHOWN_NAMES])
        raise InvalidInput(
            f"Several files could be meant: {names}.", field="file", hint="Name the file itself."
        )
    return files[0]


def read_rows(path: Path, *, columns: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of a file, by the ending of its name.

    ``columns`` are the ones to read of a Parquet file; those it lacks are left out.

    Raises:
        InvalidInput: it is too large, damaged, or of no known kind.
    """
    readers = {
        ".jsonl": _jsonl,
        ".gz": _packed,
        ".json": _json,
        ".csv": _csv,
        ".xlsx": _xlsx,
    }
    kind = path.suffix.casefold()
    if kind != ".parquet" and kind not in readers:
        known = ", ".join([*readers, ".parquet"])
        raise InvalidInput(f"{path.name} is none of {known}.", field="file")
    size = path.stat().st_size
    limits = {".parquet": MAX_PARQUET_BYTES, ".json": MAX_JSON_BYTES}
    limit = limits.get(kind, MAX_TEXT_BYTES)
    if size > limit:
        raise InvalidInput(f"{path.name} has {size:,} bytes, more than {limit:,}.", field="file")
    if size == 0:
        raise InvalidInput(f"{path.name} is empty.", field="file")
    rows = _parquet(path, columns) if kind == ".parquet" else readers[kind](path)
    for count, row in enumerate(rows, 1):
        if count > MAX_ROWS:
            raise InvalidInput(f"{path.name} has more than {MAX_ROWS:,} rows.", field="file")
        yield row


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open("rb") as lines:
        yield from _lines(path.name, lines)


def _packed(path: Path) -> Iterator[Row]:
    """Yield the rows of a ``.jsonl.gz``; no more is unpacked at a time than a line may have."""
    try:
        with gzip.open(path, "rb") as lines:
            yield from _lines(path.name, lines)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InvalidInput(f"{path.name} is no gzip file, or damaged.", field="file") from error


def _lines(name: str, lines: IO[bytes] | gzip.GzipFile) -> Iterator[Row]:
    total = 0
    for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES + 1), b""), 1):
        total += len(line)
        if len(line) > MAX_LINE_BYTES or total > MAX_TEXT_BYTES:
            raise InvalidInput(
                f"Row {number} of {name} has more than {MAX_LINE_BYTES:,} bytes, or the rows up to it "
                f"more than {MAX_TEXT_BYTES:,}.",
                field="file",
            )
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if text:
            yield Row(name, number, _object(name, number, text))


def _object(name: str, number: int, text: bytes) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"Row {number} of {name} is no JSON: {error}.", field="file") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"Row {number} of {name} is no JSON object.", field="file")
    return value


def _json(path: Path) -> Iterator[Row]:
    """Yield the objects of an array, or the one object that a file is."""
    try:
        value = msgspec.json.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path.name} is no JSON: {error}.", field="file") from error
    for number, row in enumerate(value if isinstance(value, list) else [value], 1):
        if not isinstance(row, dict):
            raise InvalidInput(f"Item {number} of {path.name} is no JSON object.", field="file")
        yield Row(path.name, number, row)


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            _check_header(path.name, header)
            for cells in reader:
                if len(cells) > len(header):
                    raise InvalidInput(
                        f"Line {reader.line_num} of {path.name} has {len(cells)} cells; the header "
                        f"has {len(header)}.",
                        field="file",
                    )
                if any(cell.strip() for cell in cells):
                    values = dict(zip(header, cells, strict=False))
                    yield Row(path.name, reader.line_num, values)
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"{path.name} cannot be read behind line {reader.line_num}: {error}.", field="file"
            ) from error


def _check_header(name: str, header: Sequence[str]) -> None:
    named = [column for column in header if column]
    if not named:
        raise InvalidInput(f"The first row of {name} names no columns.", field="file")
    twice = next((column for column in named if named.count(column) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{name} has two columns {twice[:80]!r}.", field="file")
    if len(header) > MAX_COLUMNS:
        raise InvalidInput(f"{name} has more than {MAX_COLUMNS} columns.", field="file")


def _xlsx(path: Path) -> Iterator[Row]:
    """Yield the rows of the first sheet; parts never unpack to more than they declare."""
    import openpyxl  # noqa: PLC0415  takes a while, and hardly any file is one

    try:
        with zipfile.ZipFile(path) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise InvalidInput(
                f"{path.name} unpacks to {unpacked:,} bytes, more than {MAX_UNPACKED_BYTES:,}.",
                field="file",
            )
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except InvalidInput:
        raise
    except _XLSX_ERRORS as error:
        raise _no_workbook(path, error) from error
    try:
        yield from _sheet(path, book)
    finally:
        book.close()


_XLSX_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    SyntaxError,
    RuntimeError,
)
"""What openpyxl and the XML parsers below it raise over damaged workbooks."""


def _no_workbook(path: Path, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is no Excel workbook, or damaged ({type(error).__name__}).", field="file"
    )


def _sheet(path: Path, book: Workbook) -> Iterator[Row]:
    if not book.worksheets:
        raise InvalidInput(f"{path.name} has no sheet.", field="file")
    cells = book.worksheets[0].iter_rows(
        max_row=MAX_ROWS + 1, max_col=MAX_COLUMNS, values_only=True
    )
    numbered = enumerate(cells, 1)
    header: list[str] = []
    while True:
        try:
            number, values = next(numbered)
        except StopIteration:
            return
        except _XLSX_ERRORS as error:
            raise _no_workbook(path, error) from error
        if not header:
            header = ["" if value is None else str(value).strip() for value in values]
            _check_header(path.name, header)
        elif any(value is not None for value in values):
            named = zip(header, values, strict=False)
            yield Row(path.name, number, {name: value for name, value in named if name})


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415  takes a while, and hardly any file is one
    import pyarrow.parquet as pq  # noqa: PLC0415

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise InvalidInput(f"{path.name} has more than {MAX_ROWS:,} rows.", field="file")
            known = set(file.schema_arrow.names)
            wanted = [name for name in columns if name in known] if columns else None
            batches = file.iter_batches(_BATCH_ROWS, columns=wanted, use_threads=False)
            for batch in batches:
                for values in batch.to_pylist():
                    number += 1
                    yield Row(path.name, number, values)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{path.name} is no Parquet file, or damaged behind row {number} "
            f"({type(error).__name__}).",
            field="file",
        ) from error
