"""Document collections: one read-only SQLite file with a full-text index (FTS5).

Tokens are words of ``unicode61`` without diacritics, stemmed by ``porter`` (a no-op outside
English). That tokenizer takes a run of Chinese or Japanese for a single word, so each such character
is set apart before it is indexed, and a run in a query becomes phrases of two characters. The
``trigram`` tokenizer was not taken: it finds nothing for two-character words, which most Chinese
words are, and ranks parts of words like words.

What a user types is never FTS5 syntax: only its word characters reach the query, each word quoted.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from collab_core.errors import InvalidInput
from collab_core.tools.snippets import cut_snippet

APPLICATION_ID = 0x54414E44
FORMAT_VERSION = 1
MAX_QUERY_WORDS = 48
_TITLE_WEIGHT = 4.0
_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_CJK_CHAR = re.compile(f"([{_CJK}])")
_QUERY_PART = re.compile(f"[{_CJK}]+|[^\\W{_CJK}_]+")
_COMMON_FROM_DOCUMENTS = 1_000
_COMMON_FRAC = 0.2
_MAX_KNOWN_WORDS = 50_000
_FREQUENCY = "SELECT count(*) FROM fulltext WHERE fulltext MATCH ?"
_COUNT = "SELECT count(*) FROM documents"
_SEARCH = """
    SELECT documents.id, documents.title, documents.text
    FROM fulltext JOIN documents ON documents.rowid = fulltext.rowid
    WHERE fulltext MATCH ? ORDER BY bm25(fulltext, ?, 1.0), documents.id LIMIT ?
"""
_READ = "SELECT id, title, text FROM documents WHERE id = ?"

SCHEMA = """
    CREATE TABLE documents (
        rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, path TEXT NOT NULL,
        title TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE VIRTUAL TABLE fulltext USING fts5(
        title, text, content='', tokenize='porter unicode61 remove_diacritics 2'
    );
"""


class Hit(NamedTuple):
    """One search result; ``snippet`` is one line of the document's text around the query's words.

    ``part`` of ``parts``, from 1, is the part of the document that shows the snippet.
    """

    id: str
    title: str
    snippet: str
    part: int = 1
    parts: int = 1


class Document(NamedTuple):
    """A document as it was indexed."""

    id: str
    title: str
    text: str


def split_characters(text: str) -> str:
    """Return the text with a space round each Chinese or Japanese character, for the index."""
    return _CJK_CHAR.sub(r" \1 ", text)


def query_words(query: str) -> list[str]:
    """Return the distinct words of a query, CJK runs in pairs of characters, in order."""
    words: dict[str, None] = {}
    for match in _QUERY_PART.finditer(query):
        part = match.group()
        if _CJK_CHAR.match(part) and len(part) > 1:
            words.update(dict.fromkeys(part[i : i + 2] for i in range(len(part) - 1)))
        else:
            words[part] = None
        if len(words) >= MAX_QUERY_WORDS:
            break
    return list(words)[:MAX_QUERY_WORDS]


def match_expression(words: Iterable[str]) -> str:
    """Return an FTS5 expression of quoted words joined by OR; "" for no word.

    >>> match_expression(query_words('NEAR(title: "bridge" OR)'))
    '"NEAR" OR "title" OR "bridge" OR "OR"'
    """
    return " OR ".join(f'"{split_characters(word).strip()}"' for word in words)


class Collection:
    """An indexed folder, opened read-only; its coroutines may be used by many runs at once.

    Queries take about a millisecond and run in a thread, one at a time. The file is never changed in
    place (indexing replaces it), so an open collection keeps showing what it was opened on.

    Raises:
        InvalidInput: there is no such file, or it is not a collection of this version.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InvalidInput(
                f"There is no document collection {path.name}.",
                field="collection",
                hint="Index a folder first: python -m collab_core index SOURCE TARGET",
            )
        self.name = path.stem
        self._connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
        )
        self._lock = threading.Lock()
        self._frequencies: dict[str, int] = {}
        self._finalizer = weakref.finalize(self, self._connection.close)
        self.document_count = self._check(path)

    def _check(self, path: Path) -> int:
        try:
            (application_id,) = self._connection.execute("PRAGMA application_id").fetchone()
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if (application_id, version) == (APPLICATION_ID, FORMAT_VERSION):
                return int(self._connection.execute(_COUNT).fetchone()[0])
        except sqlite3.DatabaseError as error:
            self.close()
            raise _not_a_collection(path) from error
        self.close()
        raise _not_a_collection(path)

    def close(self) -> None:
        """Close the file; a collection that is let go closes itself."""
        self._finalizer()

    async def search(self, query: str, *, limit: int = 8) -> list[Hit]:
        """Return the best hits first; [] if no word of the query occurs anywhere."""
        return await asyncio.to_thread(self.search_now, query, limit=limit)

    async def read(self, document_id: str) -> Document | None:
        """Return the document, None if there is none with this id."""
        return await asyncio.to_thread(self.read_now, document_id)

    def search_now(self, query: str, *, limit: int = 8) -> list[Hit]:
        """Do what :meth:`search` does, in this thread."""
        words = query_words(query)
        if not words:
            return []
        with self._lock:
            expression = match_expression(self._telling(words))
            rows = self._connection.execute(_SEARCH, (expression, _TITLE_WEIGHT, limit)).fetchall()
        return [Hit(id_, title, *cut_snippet(text, words)) for id_, title, text in rows]

    def read_now(self, document_id: str) -> Document | None:
        """Do what :meth:`read` does, in this thread."""
        with self._lock:
            row = self._connection.execute(_READ, (document_id,)).fetchone()
        return Document(*row) if row else None

    def _telling(self, words: list[str]) -> list[str]:
        """Leave out words that stand in a fifth of all documents, unless there are no others.

        They hardly change the ranking (bm25 weighs them near zero) and cost nearly all the time.
        """
        if self.document_count < _COMMON_FROM_DOCUMENTS:
            return words
        limit = self.document_count * _COMMON_FRAC
        return [word for word in words if self._frequency(word) <= limit] or words

    def _frequency(self, word: str) -> int:
        known = self._frequencies.get(word)
        if known is None:
            if len(self._frequencies) >= _MAX_KNOWN_WORDS:
                self._frequencies.clear()
            row = self._connection.execute(_FREQUENCY, (match_expression([word]),)).fetchone()
            known = self._frequencies[word] = int(row[0])
        return known


def _not_a_collection(path: Path) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is not a document collection of this version.",
        field="collection",
        hint="Make it again: python -m collab_core index SOURCE TARGET",
    )
