"""When two samples say the same: forms that can be compared, and the count of votes.

What is compared is a model's text, so every reading is bounded and nothing is evaluated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import msgspec

from collab_core.benchmarks.scoring import normalise
from collab_core.domain import ToolCall
from collab_core.tools.arguments import json_object

TaskType = Literal["question", "multiple_choice", "maths", "agent"]

_ROUNDING = 1e-9
"""0.7 of 10 samples is 7 votes, whatever binary fractions make of it."""
_DECIMALS = 6
_MAX_CHARS = 4_000
_FIRST_LETTER = re.compile(r"\W*([A-Ja-j])\s*(?:$|[).:,\]])")
_TOLD_LETTER = re.compile(r"\b(?:answer|option|choice)\b(?: is)?:?\s*\(?([A-J])\b(?! [a-z])", re.I)
_EXPONENT = r"(?:[eE][+-]?\d{1,2}(?!\d))?"
_NUMBER = re.compile(
    rf"-?\d[\d,]{{0,60}}(?:\.\d{{1,40}})?{_EXPONENT}(?:\s?/\s?\d{{1,40}})?|-?\.\d{{1,40}}{_EXPONENT}"
)
_FRACTION = re.compile(r"\\[dt]?frac\{(-?\d{1,40})\}\{(\d{1,40})\}")
_DRESS = re.compile(
    r"\\(?:text|mathrm)\{[^{}]{0,80}\}|\\(?:left|right)|\\[,!;:$%]|\^\{?\\circ\}?|[\s$%]"
)
"""What may stand around a boxed number: units, spaces, signs of money and of a share."""


class Vote(NamedTuple):
    """The outcome among samples. On a tie the answer that was given by the earliest sample wins."""

    members: tuple[int, ...]
    """Positions of the samples that gave the majority answer; () if none gave any."""
    samples: int
    """How many there were, those without an answer included."""

    @property
    def leader(self) -> int | None:
        """The first of ``members``."""
        return self.members[0] if self.members else None

    @property
    def share(self) -> float:
        """Votes for the majority answer over all samples, 0..1."""
        return len(self.members) / self.samples if self.samples else 0.0

    def reaches(self, tau: float) -> bool:
        """Tell whether the share is at least ``tau``; never so without any answer.

        >>> Vote((0, 1, 2), 4).reaches(0.75), Vote((0, 1), 4).reaches(0.75)
        (True, False)
        """
        return bool(self.members) and len(self.members) >= tau * self.samples - _ROUNDING


def vote(keys: Sequence[str]) -> Vote:
    """Count equal keys; "" is no vote for anything, but counts among the samples.

    >>> vote(["a", "b", "b", ""])
    Vote(members=(1, 2), samples=4)
    >>> vote(["b", "a", "a", "b"]).leader
    0
    """
    counts = Counter(key for key in keys if key)
    # most_common keeps the order of first sight among equals
    winner = counts.most_common(1)[0][0] if counts else None
    members = tuple(n for n, key in enumerate(keys) if key == winner) if winner else ()
    return Vote(members, len(keys))


def canonical_answer(text: str, task_type: TaskType) -> str:
    """Return the form in which answers are compared; "" if there is no answer.

    question, agent: its words without case, accents, punctuation and articles. multiple_choice: the
    letter of the option. maths: what stands in the last ``\\boxed{}``, a number to six decimals, any
    other term as it is written; without a box the last number. A text without a letter or number
    falls back to its words.

    >>> canonical_answer("The drowned bell.", "question")
    'drowned bell'
    >>> canonical_answer("(b) because of x", "multiple_choice")
    'B'
    >>> canonical_answer("so 1,250.50 or \\\\boxed{2501/2}", "maths")
    '1250.5'
    """
    text = text[:_MAX_CHARS].strip()
    found = ""
    if task_type == "multiple_choice":
        found = _letter(text)
    elif task_type == "maths":
        boxed = _boxed(text)
        found = _term(boxed) if boxed.strip() else _number(text)
    return found or " ".join(normalise(text))


def canonical_call(call: ToolCall) -> str:
    """Return the form in which tool calls are compared: name and arguments, keys in order, texts
    without case and superfluous space.

    >>> canonical_call(ToolCall(id="1", name="search", arguments='{"query": " New  York "}'))
    'search {"query":"new york"}'
    """
    try:
        arguments = json_object(call.arguments)
    except msgspec.DecodeError:
        return f"{call.name} {_plain(call.arguments)}"
    return f"{call.name} {msgspec.json.encode(_tidy(arguments), order='deterministic').decode()}"


def _tidy(value: Any) -> Any:
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    return value


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _letter(text: str) -> str:
    match = _FIRST_LETTER.match(text)
    told = _TOLD_LETTER.findall(text)
    return match[1].upper() if match else told[-1].upper() if told else ""


def _boxed(text: str) -> str:
    """Return what stands in the last ``\\boxed{}``, braces balanced; "" if there is none."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return ""
    depth, begin = 1, start + len("\\boxed{")
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[begin:place]
    return text[begin:]


def _term(boxed: str) -> str:
    """Return a number in one form; of another term no number stands for the whole."""
    plain = _DRESS.sub("", _FRACTION.sub(r"\1/\2", boxed.rpartition("=")[2])).replace("{,}", ",")
    number = _number(plain) if _NUMBER.fullmatch(plain) else ""
    return number or plain or " ".join(normalise(boxed))


def _number(text: str) -> str:
    # \frac{3}{4} is 3/4
    found = _NUMBER.findall(_FRACTION.sub(r"\1/\2", text))
    if not found:
        return ""
    above, _, below = found[-1].replace(",", "").replace(" ", "").partition("/")
    if below and not int(below):
        return ""
    value = round(Fraction(above) / (int(below) if below else 1), _DECIMALS)
    whole, rest = divmod(abs(value), 1)
    digits = f"{int(rest * 10**_DECIMALS):0{_DECIMALS}d}".rstrip("0")
    return ("-" if value < 0 else "") + str(int(whole)) + (f".{digits}" if digits else "")
