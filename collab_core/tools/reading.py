"""Files of a folder turned into plain text: .txt, .md and .html, whatever their encoding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from charset_normalizer import from_bytes
from lxml import etree  # type: ignore[import-untyped]

SUFFIXES = frozenset({".txt", ".md", ".markdown", ".html", ".htm"})
_HTML = frozenset({".html", ".htm"})
_HIDDEN_TAGS = frozenset({"script", "style", "noscript", "template", "svg", "iframe", "object"})
_BLOCK_TAGS = frozenset(
    {
        *("address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt"),
        *("fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6"),
        *("header", "hr", "li", "main", "nav", "ol", "option", "p", "pre", "section", "table"),
        *("td", "th", "tr", "ul"),
    }
)
_FEED_CHARS = 65_536
_BOMS = (("\ufeff".encode(), "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_DETECTION_BYTES = 65_536
_MAX_TITLE_CHARS = 200
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\n\s*\n+")


class PlainDocument(NamedTuple):
    """A file's title and text, free of control characters."""

    title: str
    text: str


def looks_binary(content: bytes) -> bool:
    """Tell whether the bytes are no text: NUL bytes without a UTF-16 mark."""
    if content.startswith(tuple(mark for mark, _ in _BOMS)):
        return False
    return b"\x00" in content[:8_192]


def decode(content: bytes) -> str:
    """Return the text: byte-order mark, then UTF-8, then detection; never an error.

    A character cut off at the end (of a file read in part) is dropped.
    """
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start >= len(content) - 3:
            return content[: error.start].decode("utf-8")
    best = from_bytes(content[:_DETECTION_BYTES]).best()
    return content.decode(best.encoding if best else "cp1252", errors="replace")


def to_plain(path: Path, content: bytes) -> PlainDocument:
    """Return title and text of one file's bytes; ``path`` gives the kind and the fallback title."""
    html = path.suffix.lower() in _HTML
    return plain_document(decode(content), html=html, fallback_title=path.stem)


def plain_document(raw: str, *, html: bool, fallback_title: str) -> PlainDocument:
    """Return title and text of what was decoded."""
    if html:
        title, text = _from_html(raw)
        title = title or _first_line(text)
    else:
        text = raw
        title = _first_heading(text)
    text = _without_title_line(_tidy(text), title)
    return PlainDocument(title=_one_line(title)[:_MAX_TITLE_CHARS] or fallback_title, text=text)


class _TextTarget:
    """Receives the parser's events and keeps text only: a tree of a hostile page can fill memory."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.title = ""
        self._hidden = 0
        self._in_title = False

    def start(self, tag: str, _attributes: object) -> None:
        if tag in _HIDDEN_TAGS:
            self._hidden += 1
        elif tag == "title":
            self._in_title = True
        elif tag in _BLOCK_TAGS:
            self.pieces.append("\n")

    def end(self, tag: str) -> None:
        if tag in _HIDDEN_TAGS:
            self._hidden = max(0, self._hidden - 1)
        elif tag == "title":
            self._in_title = False
        elif tag in _BLOCK_TAGS:
            self.pieces.append("\n")

    def data(self, text: str) -> None:
        if self._hidden:
            return
        if self._in_title:
            self.title = (self.title + text)[:_MAX_TITLE_CHARS]
        else:
            self.pieces.append(text)

    def comment(self, text: str) -> None:
        """Leave comments out."""

    def close(self) -> None:
        """Nothing is left to do."""


def _from_html(raw: str) -> tuple[str, str]:
    target = _TextTarget()
    parser = etree.HTMLParser(target=target, huge_tree=True, no_network=True)
    for start in range(0, len(raw), _FEED_CHARS):
        parser.feed(raw[start : start + _FEED_CHARS])
    parser.close()
    return target.title, "".join(target.pieces)


def _first_heading(text: str) -> str:
    for line in text[:4_000].splitlines():
        if re.match(r"#{1,6}\s+\S", line.strip()):
            return line.strip(" #\t")
    return _first_line(text)


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text[:4_000].splitlines() if line.strip()), "")
    return line if len(line) <= 120 else ""


def _without_title_line(text: str, title: str) -> str:
    """Drop a Markdown heading that only repeats the title: the title is always shown beside."""
    first, _, rest = text.partition("\n")
    is_title = first.startswith("#") and first.strip(" #") == title and rest.strip()
    return rest.strip() if is_title else text


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n")
    lines = (_SPACES.sub(" ", line).strip() for line in _CONTROL.sub("", text).split("\n"))
    return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()


def _one_line(text: str) -> str:
    return " ".join(_CONTROL.sub("", text).split())
