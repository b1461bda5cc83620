"""A simulated model as a judge: it compares the answer with the reference that it is shown.

It holds no answers itself, and it knows no meanings: what is said in other words is wrong for it. Its
verdicts are simulated, as all else here.
"""

from __future__ import annotations

import re

from collab_core.agents.prompts import prompt
from collab_core.benchmarks.scoring import score
from collab_core.simulator.view import View

_CASE = re.compile(
    r"Question:\n.*?\n\nReference answer:\n(?P<reference>.*?)\n\n"
    r"Response, between the marks (?P<mark>=== [0-9a-f]{16} ===):\n"
    r"(?P=mark)\n(?P<answer>.*)\n(?P=mark)",
    re.S,
)
_CONFIDENCE = re.compile(r"^\s*(?:confidence|置信度)\s*[:：]\s*(\d{1,3})\s*%?\s*$", re.I | re.M)
_SHOWN_CHARS = 200


def examine(view: View) -> str | None:
    """Return a judge's verdict; None if the request is no judge's."""
    if view.system != prompt("judge"):
        return None
    case = _CASE.fullmatch(view.question)
    if case is None:
        return "I was shown no response to compare."
    stated = _CONFIDENCE.findall(case["answer"])
    answer = _CONFIDENCE.sub("", case["answer"]).strip()
    right = score(answer, case["reference"].split(" / "))
    extracted = " ".join(answer.split())[:_SHOWN_CHARS] or "none"
    words = "the same words as" if right else "other words than"
    return (
        f"extracted_answer: {extracted}\n"
        f"reasoning: These are {words} the reference.\n"
        f"correct: {'yes' if right else 'no'}\n"
        f"confidence: {min(int(stated[-1]), 100) if stated else 100}"
    )
