"""A model that compares an answer with the reference (BrowseComp-ZH, Humanity's Last Exam).

The rules are those of the published judges: extract the answer, reason, say yes or no, read the
confidence off. The words are ours, so figures by other prompts are not comparable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from collab_core.agents.prompts import filled, prompt
from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.benchmarks.graders.base import MAX_GRADED_CHARS, Means, printable
from collab_core.benchmarks.grades import Grade, shown
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Tier
from collab_core.transcript import Transcript

GRADER = "judge/1"
PROMPTS = ("judge", "judge_case")
_MAX_OUTPUT_TOKENS = 4_096
_LABELS = ("extracted_answer", "reasoning", "correct", "confidence")
_WORDS = {"yes": True, "no": False}
_FORM = (
    r"extracted_answer: [^\n]{1,500}\nreasoning: [^\n]{1,2000}\n"
    r"correct: (yes|no)\nconfidence: (100|[1-9]?[0-9])"
)


class Verdict(NamedTuple):
    """What a judge wrote."""

    extracted: str
    reasoning: str
    correct: bool
    confidence_frac: float


async def grade_judge(task: BenchmarkTask, answer: str, means: Means) -> Grade:
    """Ask the judge once, at temperature 0.

    Raises:
        BackendError: the call failed after its retries; nothing is known of the answer.
    """
    if means.backend is None or means.tier is None:
        return Grade(outcome="unscored", grader=GRADER, reason="No judge was given.")
    if not task.answers:
        return Grade(outcome="unscored", grader=GRADER, reason="The task has no reference answer.")
    if not answer.strip():
        return Grade(outcome="incorrect", grader=GRADER, reason="No answer was given.")
    if len(answer) > MAX_GRADED_CHARS:
        reason = f"A text of {len(answer):,} characters is no answer."
        return Grade(outcome="incorrect", grader=GRADER, reason=reason, parsed=False)
    reply = await means.backend.complete(_request(task, answer, means.tier))
    verdict = read_verdict(reply.text) if reply.finish_reason == "stop" else None
    return _grade(verdict, reply)


def mark(answer: str) -> str:
    """Return a line that the answer itself cannot contain: it names the answer's digest."""
    return f"=== {hashlib.sha256(answer.encode()).hexdigest()[:16]} ==="


def read_verdict(text: str) -> Verdict | None:
    """Read a judge's four lines; None for anything else.

    Each label stands at the beginning of a line exactly once and in order, so a judge that repeats a
    verdict out of the answer has said nothing. What a model thinks before ``</think>`` is not read.
    """
    fields = _fields(text.rpartition("</think>")[2].strip())
    correct = _WORDS.get(fields.get("correct", "").casefold().rstrip("."))
    confidence = fields.get("confidence", "").removesuffix("%").strip()
    usable = confidence.isascii() and confidence.isdigit() and len(confidence) <= len("100")
    if tuple(fields) != _LABELS or correct is None or not usable or int(confidence) > 100:
        return None
    return Verdict(fields["extracted_answer"], fields["reasoning"], correct, int(confidence) / 100)


def _fields(text: str) -> Mapping[str, str]:
    """Return the text of each label, in order; {} where a label comes twice or nothing begins it."""
    found: dict[str, str] = {}
    label = ""
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        name = name.strip().casefold()
        if colon and name in _LABELS:
            if name in found:
                return {}
            label, found[name] = name, rest.strip()
        elif label:
            found[label] = f"{found[label]}\n{line}".strip()
        else:
            return {}
    return found


def _request(task: BenchmarkTask, answer: str, tier: Tier) -> ModelRequest:
    answer = printable(answer)
    case = filled(
        "judge_case",
        question=str(task.reference.get("question", task.question)),
        reference=" / ".join(task.answers),
        answer=answer,
        mark=mark(answer),
    )
    messages = [{"role": "system", "content": prompt("judge")}, {"role": "user", "content": case}]
    return ModelRequest(
        tier=tier,
        transcript=Transcript(messages),
        temperature=0.0,
        top_p=1.0,
        seed=0,
        max_output_tokens=_MAX_OUTPUT_TOKENS,
        structured={"regex": _FORM} if tier.structured_output else None,
    )


def _grade(verdict: Verdict | None, reply: ModelReply) -> Grade:
    if verdict is None:
        return Grade(
            outcome="unscored",
            grader=GRADER,
            reason=shown(f"The judge's reply is no verdict: {reply.text}"),
            parsed=False,
            usage=reply.usage,
            model_calls=1,
        )
    return Grade(
        outcome="correct" if verdict.correct else "incorrect",
        grader=GRADER,
        extracted=shown(verdict.extracted),
        reason=shown(verdict.reasoning),
        confidence_frac=verdict.confidence_frac,
        usage=reply.usage,
        model_calls=1,
    )
