"""A model that marks a text criterion by criterion (WritingBench)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from collab_core.agents.prompts import filled, prompt
from collab_core.backends.base import ModelRequest
from collab_core.benchmarks.graders.base import Means, printable
from collab_core.benchmarks.graders.judge import mark
from collab_core.benchmarks.grades import Grade, shown
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Tier, Usage
from collab_core.transcript import Transcript

GRADER = "critic/1"
PROMPTS = ("critic", "critic_case")
LEVELS = ("1-2", "3-4", "5-6", "7-8", "9-10")
"""The published checklist's keys for what the marks mean."""
MAX_TRIES = 5
LOWEST, HIGHEST = 1, 10
_TEMPERATURE, _TOP_P, _MAX_OUTPUT_TOKENS = 1.0, 0.95, 2_048
_FORM = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": LOWEST, "maximum": HIGHEST},
        "reason": {"type": "string"},
    },
    "required": ["score", "reason"],
    "additionalProperties": False,
}


class Mark(msgspec.Struct, frozen=True):
    """What a critic wrote of one criterion."""

    score: int
    reason: str


async def grade_critic(task: BenchmarkTask, answer: str, means: Means) -> Grade:
    """Return the mean mark over the task's checklist; one criterion without a mark leaves none.

    A text that was never written has the lowest mark: leaving it out would reward giving up.

    Raises:
        BackendError: a call failed after its retries.
    """
    criteria = task.reference.get("checklist") or []
    if not criteria:
        return Grade(outcome="unscored", grader=GRADER, reason="The task has no checklist.")
    if means.backend is None or means.tier is None:
        return Grade(outcome="unscored", grader=GRADER, reason="No critic was given.")
    if not answer.strip():
        reason = "No text was given: the lowest mark."
        return Grade(outcome="unscored", grader=GRADER, score=float(LOWEST), reason=reason)
    usage, calls, marks = Usage(), 0, list[Mark]()
    for criterion in criteria:
        given, spent, tries = await _mark(task, answer, criterion, means)
        usage, calls = usage + spent, calls + tries
        if given is None:
            return Grade(
                outcome="unscored",
                grader=GRADER,
                reason=f"The critic gave no mark for {criterion['name']!r} in {tries} tries.",
                parsed=False,
                usage=usage,
                model_calls=calls,
            )
        marks.append(given)
    named = zip(criteria, marks, strict=True)
    return Grade(
        outcome="unscored",
        grader=GRADER,
        score=sum(given.score for given in marks) / len(marks),
        reason=shown("\n".join(f"{c['name']}: {m.score}. {m.reason}" for c, m in named)),
        usage=usage,
        model_calls=calls,
    )


async def _mark(
    task: BenchmarkTask, answer: str, criterion: Mapping[str, Any], means: Means
) -> tuple[Mark | None, Usage, int]:
    """Ask until a mark comes; return it with the tokens and the number of tries."""
    assert means.backend is not None
    assert means.tier is not None
    usage = Usage()
    for number in range(1, MAX_TRIES + 1):
        request = _request(task, answer, criterion, means.tier, number)
        reply = await means.backend.complete(request)
        usage = usage + reply.usage
        if (given := read_mark(reply.text)) is not None:
            return given, usage, number
    return None, usage, MAX_TRIES


def read_mark(text: str) -> Mark | None:
    """Read the one JSON object of a critic's reply, words around it or not; None for anything else.

    >>> read_mark('{"score": 7, "reason": "Clear."}').score, read_mark('{"score": 11, "reason": ""}')
    (7, None)
    """
    said = text.rpartition("</think>")[2].encode("utf-8", errors="replace")
    try:
        given = msgspec.json.decode(said[said.find(b"{") : said.rfind(b"}") + 1], type=Mark)
    except (msgspec.DecodeError, RecursionError):
        return None
    return given if LOWEST <= given.score <= HIGHEST else None


def _request(
    task: BenchmarkTask, answer: str, criterion: Mapping[str, Any], tier: Tier, number: int
) -> ModelRequest:
    answer = printable(answer)
    case = filled(
        "critic_case",
        query=str(task.reference.get("query", task.question)),
        criterion=str(criterion["name"]),
        description=str(criterion["criteria_description"]),
        levels="\n".join(f"{level}: {criterion.get(level, '')}" for level in LEVELS),
        answer=answer,
        mark=mark(answer),
    )
    messages = [{"role": "system", "content": prompt("critic")}, {"role": "user", "content": case}]
    # other tries are other draws; the same text is marked by the same draws again
    drawn = hashlib.sha256(f"{case}\n{number}".encode()).digest()
    return ModelRequest(
        tier=tier,
        transcript=Transcript(messages),
        temperature=_TEMPERATURE,
        top_p=_TOP_P,
        seed=int.from_bytes(drawn[:4], "big") & 0x7FFF_FFFF,
        max_output_tokens=_MAX_OUTPUT_TOKENS,
        structured={"json": _FORM} if tier.structured_output else None,
    )
