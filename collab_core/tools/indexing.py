"""Any folder of .txt, .md and .html files turned into a document collection."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from collab_core.errors import InvalidInput
from collab_core.tools.collections import (
    APPLICATION_ID,
    FORMAT_VERSION,
    SCHEMA,
    split_characters,
)
from collab_core.tools.reading import SUFFIXES, looks_binary, to_plain

MAX_FILE_BYTES = 8_000_000
_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class IndexReport:
    """What became of the files; paths are relative to the folder."""

    indexed: int = 0
    shortened: list[str] = field(default_factory=list)
    """Only their first ``max_file_bytes`` were taken."""
    refused: list[str] = field(default_factory=list)
    """Links that lead out of the folder, and files that could not be opened."""
    skipped: list[str] = field(default_factory=list)
    """Binary or empty ones; files of other kinds are not listed."""


def index_folder(
    source: Path, target: Path, *, max_file_bytes: int = MAX_FILE_BYTES
) -> IndexReport:
    """Write a collection of every document below ``source`` to the file ``target``.

    The target appears (or is replaced) only when all of it is written. A document's id depends on
    its path inside the folder alone, so it stays when the folder is indexed again.

    Raises:
        InvalidInput: no such folder, no document with text in it, or no place to write to.
    """
    root = _checked_folder(source)
    report = IndexReport()
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(root, partial, report, max_file_bytes)
        if not report.indexed:
            raise InvalidInput(
                f"The folder {source.name} holds no document with text in it.",
                field="source",
                hint=f"Put files ending in {', '.join(sorted(SUFFIXES))} there and index it again.",
            )
        partial.replace(target)
    except (OSError, sqlite3.OperationalError) as error:
        raise InvalidInput(
            f"The collection cannot be written to {target}: {error}.",
            field="target",
            hint="Name a file in a folder that you may write to, with room for a copy of the text.",
        ) from error
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)
    return report


def _checked_folder(source: Path) -> Path:
    if not source.is_dir():
        raise InvalidInput(
            f"{source} is not a folder.",
            field="source",
            hint="Give the folder that holds the documents.",
        )
    return source.resolve()


def _write(root: Path, partial: Path, report: IndexReport, max_file_bytes: int) -> None:
    with closing(sqlite3.connect(partial)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.executescript(SCHEMA)
        used: set[str] = set()
        for path in _files(root, report):
            _add(connection, root, path, report, used, max_file_bytes)
        connection.execute("INSERT INTO fulltext(fulltext) VALUES ('optimize')")
        connection.commit()


def _files(root: Path, report: IndexReport) -> Iterator[Path]:
    """Yield the documents in a fixed order; folders that are links are not entered."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() not in SUFFIXES:
                continue
            # a named pipe would block for ever when it is opened
            if path.resolve().is_relative_to(root) and path.is_file():
                yield path
            else:
                report.refused.append(path.relative_to(root).as_posix())


def _add(
    connection: sqlite3.Connection,
    root: Path,
    path: Path,
    report: IndexReport,
    used: set[str],
    max_file_bytes: int,
) -> None:
    name = path.relative_to(root).as_posix()
    try:
        with path.open("rb") as file:
            content = file.read(max_file_bytes + 1)
    except OSError as error:
        _log.warning("not indexed: %s (%s)", name, error)
        report.refused.append(name)
        return
    if len(content) > max_file_bytes:
        report.shortened.append(name)
        content = content[:max_file_bytes]
    document = to_plain(path, content)
    if looks_binary(content) or not document.text:
        report.skipped.append(name)
        return
    printable_name = name.encode("utf-8", "replace").decode("utf-8")
    title = document.title.encode("utf-8", "replace").decode("utf-8")
    rowid = report.indexed + 1
    connection.execute(
        "INSERT INTO documents (rowid, id, path, title, text) VALUES (?, ?, ?, ?, ?)",
        (rowid, _short_id(name, used), printable_name, title, document.text),
    )
    connection.execute(
        "INSERT INTO fulltext (rowid, title, text) VALUES (?, ?, ?)",
        (rowid, split_characters(title), split_characters(document.text)),
    )
    report.indexed = rowid


def _short_id(name: str, used: set[str]) -> str:
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    length = 6
    while (short := f"d{digest[:length]}") in used:
        length += 1
    used.add(short)
    return short
