"""What whole methods build from: a solver with tools on a branch, and a step that stands for others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from collab_core.agents.grammar import Turn
from collab_core.agents.loop import LoopOptions, ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.agents.steps import OpenStep, StepBook
from collab_core.domain import StepRecord, ToolCall
from collab_core.policies.assigned import Assigned
from collab_core.runtime.session import Session
from collab_core.strategies.agreement import Vote

_ANSWER_CHARS = 200
"""Of an answer in a report."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    temperature: float = 0.6
    top_p: float = 0.95


def solver(
    session: Session,
    policy: Assigned,
    task: str,
    *,
    role: str,
    max_steps: int,
    started_s: float,
    sampling: Sampling,
) -> ReActLoop:
    """Return a ReAct agent for ``task``, without progress checks: nobody would act on them."""
    return ReActLoop(
        session,
        policy,
        LoopOptions(check_mode="off", temperature=sampling.temperature, top_p=sampling.top_p),
        head=[
            {"role": "system", "content": prompt("react_system_separate")},
            {"role": "user", "content": task},
        ],
        role=role,
        max_steps=min(max_steps, session.limits.max_steps),
        started_s=started_s,
    )


def close_for_others(
    book: StepBook,
    step: OpenStep,
    *,
    name: str,
    arguments: Mapping[str, Any],
    observation: str,
    duration_s: float,
) -> StepRecord:
    """Close a step whose work other instances did: their time is the step's, their tokens are not.

    ``name`` and ``arguments`` show as the step's call, ``observation`` as its result.
    """
    encoded = msgspec.json.encode(arguments).decode()
    call = ToolCall(id=f"{name}-{step.index}", name=name, arguments=encoded)
    step.turn = Turn(thought=step.decision.why, call=call)
    step.tools.append(
        book.session.delegated(call, observation, step=step.number, duration_s=duration_s)
    )
    return book.close(step)


def tally(outcome: Vote, answers: Sequence[str], verdict: str) -> str:
    """Return a vote in words: the share, then each answer with how often it was given."""
    texts = [" ".join(text.split())[:_ANSWER_CHARS] or "no answer" for text in answers]
    counts = Counter(texts).most_common()
    head = f"{len(outcome.members)} of {outcome.samples} agree ({outcome.share:.2f}): {verdict}."
    return "\n".join([head, *(f"{times} x {text}" for text, times in counts)])


def sealed(text: str, tag: str, *, limit: int) -> str:
    """Return a model's text cut to ``limit`` characters, so that it cannot close ``tag``."""
    return text.strip()[:limit].replace(f"</{tag}", f"<\\/{tag}")
