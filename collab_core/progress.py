"""The agent's verdict on its own step: how it is asked for and how it is read.

Source: AgentCollab section 2.1 and appendix D (a rationale and a binary indicator in one strictly
constrained block); the wording and the tags are ours, the paper's were never published.

Only the assistant's own text is ever given to :func:`read_check`: a page that contains such a block
must not be able to steer the tiers.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from collab_core.domain import CheckStatus, ProgressCheck

MissingVerdict = Literal["progress", "stall"]

MAX_RATIONALE_CHARS = 4_000

BLOCK_REGEX = r"<progress><rationale>[^<>]{1,600}</rationale><indicator>[01]</indicator></progress>"
"""For servers that enforce a grammar (vLLM ``structured_outputs``)."""


class Block(NamedTuple):
    status: CheckStatus
    indicator: Literal[0, 1] | None
    rationale: str
    raw: str


def parse_block(text: str) -> Block:
    """Read the one progress block of an assistant's text.

    Strict: exactly one ``<progress>`` element that holds exactly a ``<rationale>`` and then an
    ``<indicator>`` of 0 or 1, nothing but white space between. No block is "missing", anything else
    is "malformed"; neither is ever guessed at. Linear time: only ``str.find`` and ``str.count``.

    >>> parse_block("<progress><rationale>new fact</rationale><indicator>1</indicator></progress>")[:2]
    ('parsed', 1)
    >>> parse_block("no block here").status
    'missing'
    >>> parse_block("<progress>1</progress>").status
    'malformed'
    """
    opened, closed = text.count("<progress>"), text.count("</progress>")
    if not opened and not closed:
        return Block("missing", None, "", "")
    start, end = text.find("<progress>"), text.rfind("</progress>")
    if opened != 1 or closed != 1 or end < start:
        return Block("malformed", None, "", _excerpt(text, start, end))
    raw = text[start : end + len("</progress>")]
    fields = _fields(raw[len("<progress>") : -len("</progress>")])
    if fields is None:
        return Block("malformed", None, "", raw[:MAX_RATIONALE_CHARS])
    rationale, indicator = fields
    return Block("parsed", indicator, rationale[:MAX_RATIONALE_CHARS], raw[:MAX_RATIONALE_CHARS])


def read_check(text: str, *, missing_verdict: MissingVerdict) -> ProgressCheck:
    """Return the verdict in ``text``; a missing or malformed one counts as ``missing_verdict``."""
    block = parse_block(text)
    if block.indicator is None:
        made_progress = missing_verdict == "progress"
    else:
        made_progress = block.indicator == 1
    return ProgressCheck(
        status=block.status,
        indicator=block.indicator,
        made_progress=made_progress,
        rationale=block.rationale,
        raw=block.raw,
    )


def without_block(text: str) -> str:
    """Return the text without its progress block, for people to read."""
    start = text.find("<progress>")
    if start < 0:
        return text.strip()
    end = text.find("</progress>", start)
    rest = "" if end < 0 else text[end + len("</progress>") :]
    return (text[:start] + rest).strip()


def _fields(inner: str) -> tuple[str, Literal[0, 1]] | None:
    inner = inner.strip()
    if not inner.startswith("<rationale>") or inner.count("<rationale>") != 1:
        return None
    end = inner.find("</rationale>")
    if end < 0:
        return None
    rationale = inner[len("<rationale>") : end].strip()
    rest = inner[end + len("</rationale>") :].strip()
    if not rest.startswith("<indicator>") or not rest.endswith("</indicator>"):
        return None
    value = rest[len("<indicator>") : -len("</indicator>")].strip()
    if value == "1":
        return rationale, 1
    if value == "0":
        return rationale, 0
    return None


def _excerpt(text: str, start: int, end: int) -> str:
    first = min(p for p in (start, end) if p >= 0)
    return text[first : first + MAX_RATIONALE_CHARS]
