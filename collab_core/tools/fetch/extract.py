"""A page's bytes turned into plain text, in a process of its own with little memory and time.

The parser is C code that reads what strangers wrote. The child gets no environment, cannot write a
file and is killed with everything it holds when it takes too long.
"""

from __future__ import annotations

import asyncio
import codecs
import re
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from collab_core.tools.fetch.errors import FetchFailed
from collab_core.tools.reading import decode, plain_document

MAX_TEXT_CHARS = 600_000
"""100 parts; the rest of a page is not offered."""
MEMORY_BYTES = 1_000_000_000
CPU_S = 10
WALL_S = 15.0
_MAX_OUTPUT_BYTES = 4 * MAX_TEXT_CHARS + 100_000
_ROOT = Path(__file__).resolve().parents[3]
_CHILD = "import sys; sys.path.insert(0, sys.argv[1]); from collab_core.tools.fetch import extract; extract.child()"
_META_CHARSET = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.I
)
_CHARSETS = re.compile(
    r"utf-8(-sig)?|utf-16(-[bl]e)?|ascii|iso8859-\d+|cp(437|85\d|86[1-9]|874|125\d|932|949|950)"
    r"|koi8-[ru]|shift_jis(_2004|x0213)?|euc_(jp|jis_2004|jisx0213|kr)|iso2022_jp|gb2312|gbk|gb18030"
    r"|big5(hkscs)?|johab|tis-620|mac-(roman|cyrillic|greek|turkish|latin2)"
)
"""Python knows codecs that no page uses, some of them slow on hostile input."""


class _Job(msgspec.Struct):
    html: bool
    charset: str


@dataclass(frozen=True, kw_only=True)
class PageText:
    """What a page says; ``cut`` = it said more than ``MAX_TEXT_CHARS``."""

    title: str
    text: str
    cut: bool = False


class _Result(msgspec.Struct):
    title: str
    text: str
    cut: bool


class Extractor:
    """Turns bodies into text, at most two at a time; one instance per process."""

    def __init__(self, *, workers: int = 2, wall_s: float = WALL_S) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="page-text")
        self._wall_s = wall_s

    async def text_of(self, body: bytes, *, html: bool, charset: str = "") -> PageText:
        """Return title ("" if it has none) and text.

        Raises:
            FetchFailed: the page could not be read within its bounds.
        """
        head = msgspec.json.encode(_Job(html=html, charset=charset))
        work = partial(_run_child, head + b"\n" + body, self._wall_s)
        raw = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            result = msgspec.json.decode(raw, type=_Result)
        except msgspec.DecodeError:
            raise _unreadable() from None
        return PageText(title=result.title, text=result.text, cut=result.cut)

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _run_child(job: bytes, wall_s: float) -> bytes:
    command = [sys.executable, "-I", "-c", _CHILD, str(_ROOT)]
    with tempfile.TemporaryFile() as out:
        try:
            subprocess.run(  # noqa: S603 - our own module, nothing of the page in the command
                command,
                input=job,
                stdout=out,
                stderr=subprocess.DEVNULL,
                env={"LANG": "C.UTF-8"},
                timeout=wall_s,
                check=True,
            )
        except subprocess.SubprocessError:
            raise _unreadable() from None
        out.seek(0)
        return out.read(_MAX_OUTPUT_BYTES)


def _unreadable() -> FetchFailed:
    return FetchFailed(
        "unreadable", "The page is too large or too tangled to be read. Use another source."
    )


def child() -> None:
    """Read one job from standard input and write its result; runs in the child process only."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, _MAX_OUTPUT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    head, _, body = sys.stdin.buffer.read().partition(b"\n")
    job = msgspec.json.decode(head, type=_Job)
    page = extract(body, html=job.html, charset=job.charset)
    result = _Result(title=page.title, text=page.text, cut=page.cut)
    sys.stdout.buffer.write(msgspec.json.encode(result))


def extract(body: bytes, *, html: bool, charset: str) -> PageText:
    """Return title and text; the charset is the server's word, the page's own, or detected."""
    known = usable_charset(charset)
    if not known and html and (named := _META_CHARSET.search(body[:4_096])):
        known = usable_charset(named.group(1).decode("ascii"))
    raw = body.decode(known, errors="replace") if known else decode(body)
    plain = plain_document(raw, html=html, fallback_title="")
    return PageText(
        title=plain.title, text=plain.text[:MAX_TEXT_CHARS], cut=len(plain.text) > MAX_TEXT_CHARS
    )


def usable_charset(name: str) -> str:
    """Return Python's name of a charset that pages use; "" for any other.

    >>> usable_charset("Latin-1"), usable_charset("unicode_escape")
    ('iso8859-1', '')
    """
    try:
        known = codecs.lookup(name).name
    except (LookupError, ValueError):
        return ""
    if known in ("iso8859-1", "ascii"):
        return "cp1252" if known == "ascii" else known
    return known if _CHARSETS.fullmatch(known) else ""
