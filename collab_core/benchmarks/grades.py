"""What a grader says of an answer."""

from __future__ import annotations

import msgspec

from collab_core.domain import Usage
from collab_core.events import Outcome

MAX_SHOWN_CHARS = 2_000


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict on one answer.

    ``outcome`` is *unscored* where nobody could say, and where a task has marks instead of right and
    wrong: then ``score`` holds the mark.
    """

    outcome: Outcome
    grader: str
    """Who said so, with the version of its rules: ``number/1``."""
    score: float | None = None
    """WritingBench: mean over the criteria, 1..10. None where an answer is right or wrong."""
    extracted: str = ""
    """What the grader took for the answer."""
    reason: str = ""
    """For people: why."""
    parsed: bool = True
    """False: no answer was recognised in the text, or the judge's reply was no verdict."""
    confidence_frac: float | None = None
    """The answer's own confidence as the judge read it, 0..1; None where nobody asks."""
    usage: Usage | None = None
    """Tokens of the grader's model calls; None = it made none. Never charged to the strategy."""
    model_calls: int = 0

    @property
    def is_verdict(self) -> bool:
        """False: nobody was there to grade the answer. That may change, so it is not to be kept."""
        return self.outcome != "unscored" or self.score is not None or not self.parsed


def shown(text: str) -> str:
    """Return the text as every database and page takes it: cut, no control characters."""
    kept = text[:MAX_SHOWN_CHARS].encode("utf-8", errors="replace").decode()
    return "".join(char if char.isprintable() or char in "\n\t" else " " for char in kept).strip()
