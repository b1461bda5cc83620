"""Labels and steps by hand."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from collab_core.domain import Decision, ProgressCheck, StepRecord
from collab_core.review.labels import Label


def run(number: int) -> UUID:
    return UUID(int=number)


def label(
    made_progress: bool | None, verdict: Literal[0, 1] | None, *, of_run: int = 1, **more: Any
) -> Label:
    fields: dict[str, Any] = {
        "step": 1,
        "label_set": "pilot",
        "reviewer": "ann",
        "at": 1_800_000_000.0,
        "tier": 0,
        "step_position": 1,
    }
    return Label(
        run_id=run(of_run), made_progress=made_progress, verdict=verdict, **{**fields, **more}
    )


def step(
    verdict: Literal[0, 1] | None = 1,
    *,
    call: str = "search",
    arguments: str = '{"query": "a"}',
    observation: str = "",
    rationale: str = "The latest page names the founder of the town.",
    inline: bool = True,
    **more: Any,
) -> StepRecord:
    block = "<progress>…</progress>" if inline else ""
    fields: dict[str, Any] = {
        "index": 1,
        "decision": Decision(tier=0, reason="default"),
        "text": f"I look.{block}",
        "tool_name": call,
        "tool_arguments": arguments,
        "observation": observation,
        "check": ProgressCheck(
            status="missing" if verdict is None else "parsed",
            indicator=verdict,
            made_progress=verdict != 0,
            rationale=rationale,
        ),
    }
    return StepRecord(**{**fields, **more})
