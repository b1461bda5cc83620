"""Graders that need nothing but the text: pure, linear in its length, safe inside the engine."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from collab_core.benchmarks.grades import Grade, shown
from collab_core.benchmarks.scoring import score
from collab_core.events import Outcome

MAX_READ_CHARS = 20_000
"""The end of an answer; what stands before is not read."""
TOLERANCE = Decimal("1e-6")
_MAX_DIGITS = 100
_DIGITS = re.compile(r"[0-9][0-9,]*")
_THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_FRACTION = re.compile(r"\.[0-9]+")
_EXPONENT = re.compile(r"[eE][+-]?[0-9]{1,3}(?![0-9])")
_LETTERS = "A-J"
_ALONE = re.compile(
    rf"\s*(?:option|choice)?[\s*_$({{\[\"'“‘]*([{_LETTERS}])[\s*_$)}}\]\"'”’.,:;!]*", re.I
)
_BOXED = re.compile(rf"\\boxed\{{\s*(?:\\text\w*\{{)?\s*\(?([{_LETTERS}])\)?\s*\}}")
_A_WORD = r"\s+(?!(?:because|since|as|which)\b)[a-z]"
"""What makes A an article and I a pronoun."""
_SAID = re.compile(
    r"\b[Aa]nswer(?:\s+is)?[\s:*_]{1,5}(?:option |choice )?[(\[\"']?"
    rf"((?![AI]{_A_WORD})[{_LETTERS}])(?![\w'’])"
    rf"(?!\)?\s{{0,3}}(?:or\b|and\b|/|,\s?[{_LETTERS}]\b))"
)
_LISTED = re.compile(rf"^\s{{0,8}}[*_]{{0,2}}\(?([{_LETTERS}])[).:](?![\w])", re.M)


def grade_exact(answer: str, gold: Sequence[str]) -> Grade:
    """Compare words: the answer says one of the gold answers and nothing else."""
    right = score(answer, gold)
    return _grade("exact/1", answer, right=right)


def grade_number(answer: str, gold: Sequence[str]) -> Grade:
    """Compare the last number of the answer with the gold one, within 1e-6 (GSM8K's rule).

    >>> grade_number("5 + 7 = 12, so $1,012.00.", ["1012"]).outcome
    'correct'
    """
    wanted = [number for text in gold if (number := last_number(text)) is not None]
    if not wanted:
        return Grade(outcome="unscored", grader="number/1", reason="The gold answer is no number.")
    found = last_number(answer)
    if found is None:
        return _unread("number/1", "There is no number in the answer.")
    right = any(abs(found - number) <= TOLERANCE for number in wanted)
    return _grade("number/1", f"{found:f}", right=right)


def grade_letter(answer: str, gold: Sequence[str]) -> Grade:
    """Compare the option's letter (A to J) that the answer settles on."""
    found = option_letter(answer)
    if not found:
        return _unread("letter/1", "The answer settles on no option's letter.")
    right = found in {text.strip().upper() for text in gold}
    return _grade("letter/1", found, right=right)


def last_number(text: str) -> Decimal | None:
    """Return the last number of a text, thousands separators taken out; None = there is none."""
    plain = unicodedata.normalize("NFKC", text[-MAX_READ_CHARS:]).replace("−", "-")
    last = None
    position = 0
    while (match := _DIGITS.search(plain, position)) is not None:
        last, position = _number(plain, match)
    return last


def _number(plain: str, match: re.Match[str]) -> tuple[Decimal | None, int]:
    """Return the number whose first digits were found, and where it ends."""
    whole, start, end = match[0].rstrip(","), match.start(), match.end()
    end -= len(match[0]) - len(whole)
    if not _THOUSANDS.fullmatch(whole):
        # commas between numbers, not inside of one
        start += whole.rfind(",") + 1
        whole = whole.rpartition(",")[2]
    digits = whole.replace(",", "")
    if fraction := _FRACTION.match(plain, end):
        digits, end = digits + fraction[0], fraction.end()
    elif start and plain[start - 1] == "." and not plain[start - 2 : start - 1].isdigit():
        digits, start = f"0.{digits}", start - 1
    if exponent := _EXPONENT.match(plain, end):
        digits, end = digits + exponent[0], exponent.end()
    if len(digits) > _MAX_DIGITS:
        return None, end
    before = plain[start - 2 : start - 1]
    signed = plain[start - 1 : start] == "-" and not (before.isalnum() or before == ")")
    return Decimal(f"-{digits}" if signed else digits), end


def option_letter(answer: str) -> str:
    """Return the letter that an answer settles on; "" where it names none, or several.

    Read in this order: a boxed letter, "the answer is C", a letter alone, "C) the option's text".

    >>> option_letter("The answer is (C)."), option_letter("b"), option_letter("A or C")
    ('C', 'B', '')
    """
    text = unicodedata.normalize("NFKC", answer[-MAX_READ_CHARS:])
    for pattern in (_BOXED, _SAID):
        if found := pattern.findall(text):
            return str(found[-1])
    if alone := _ALONE.fullmatch(text):
        return alone[1].upper()
    listed = set(_LISTED.findall(text))
    return str(listed.pop()) if len(listed) == 1 else ""


def _grade(grader: str, extracted: str, *, right: bool) -> Grade:
    outcome: Outcome = "correct" if right else "incorrect"
    return Grade(outcome=outcome, grader=grader, extracted=shown(extracted))


def _unread(grader: str, reason: str) -> Grade:
    return Grade(outcome="incorrect", grader=grader, reason=reason, parsed=False)


GRADERS: Mapping[str, Callable[[str, Sequence[str]], Grade]] = {
    "exact": grade_exact,
    "number": grade_number,
    "letter": grade_letter,
}
