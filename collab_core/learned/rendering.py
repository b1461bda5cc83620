"""What a scorer reads of a run, the same bytes in training and at run time.

All of it is model output, tool output and documents: hostile text that is only ever turned into
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from collab_core.domain import StepRecord, Task, ToolCall
from collab_core.progress import without_block

Reading = Literal["last_message", "trajectory"]

QUESTION_CHARS = 1_200
TRAJECTORY_CHARS = 4_000
"""About a thousand tokens; a 512-token encoder sees part of it only."""
_THOUGHT_CHARS = 400
_ARGUMENT_CHARS = 200
_OBSERVATION_CHARS = 500
_DRAFT_CHARS = 2_000


def render(task: Task, steps: Sequence[StepRecord], reading: Reading) -> str:
    """Return what stands before the next step, as a router reads it."""
    if reading == "last_message":
        return last_message(task, steps)
    return trajectory(task, steps)


def last_message(task: Task, steps: Sequence[StepRecord]) -> str:
    """Return the last message sent to the model that is not its own: RouteLLM's native reading."""
    last = steps[-1].observation if steps else ""
    return (last or task.question)[:TRAJECTORY_CHARS]


def trajectory(task: Task, steps: Sequence[StepRecord], *, limit: int = TRAJECTORY_CHARS) -> str:
    """Return the question and as many of the latest steps as fit in ``limit`` characters."""
    head = f"Question: {task.question[:QUESTION_CHARS]}\nSteps so far: {len(steps)}"
    left = limit - len(head)
    kept: list[str] = []
    for step in reversed(steps):
        line = _step(step)
        left -= len(line) + 1
        if left < 0:
            break
        kept.append(line)
    return "\n".join([head, *reversed(kept)])


def draft(
    task: Task, steps: Sequence[StepRecord], *, tier: int, text: str, call: ToolCall | None
) -> str:
    """Return a draft with what led to it: "Q: … A: …", FrugalGPT's form.

    The first line holds the tier, as each tier has a scorer of its own.
    """
    context = trajectory(task, steps, limit=TRAJECTORY_CHARS - _DRAFT_CHARS)
    action = f"\nCall: {call.name[:80]} {call.arguments[:_ARGUMENT_CHARS]}" if call else ""
    return f"{tier}\nQ: {context}\nA: {without_block(text)[: _DRAFT_CHARS - 300]}{action}"


def tier_and_body(text: str) -> tuple[int, str]:
    """Take :func:`draft` apart again; a text without its first line belongs to tier 0.

    >>> tier_and_body("1\\nQ: a\\nA: b")
    (1, 'Q: a\\nA: b')
    """
    first, newline, body = text.partition("\n")
    if newline and first.isascii() and first.isdigit() and len(first) <= 3:
        return int(first), body
    return 0, text


def _step(step: StepRecord) -> str:
    parts = [f"Tier {step.decision.tier}: {without_block(step.text)[:_THOUGHT_CHARS]}"]
    if step.tool_name:
        parts.append(f"Call: {step.tool_name[:80]} {step.tool_arguments[:_ARGUMENT_CHARS]}")
    if step.observation:
        failed = "Failed: " if step.tool_error else "Observation: "
        parts.append(failed + step.observation[:_OBSERVATION_CHARS])
    if step.check.indicator is not None:
        parts.append("Progress." if step.check.indicator else "No progress.")
    return "\n".join(parts)
