"""Roles as agents: one activation is an instance on its branch, with the run's tools or without."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from collab_core.agents.base import Answer
from collab_core.agents.loop import LoopOptions, ReActLoop
from collab_core.agents.prompts import prompt
from collab_core.agents.speaker import Speaker
from collab_core.domain import Decision
from collab_core.policies.base import Policy, StepContext
from collab_core.runtime.session import Session
from collab_core.strategies.solvers import Sampling, sealed

SHOWN_CHARS = 4_000
"""Of one output that another role is shown."""
SHOWN_OUTPUTS = 12
"""The latest ones: a prompt must not grow without end."""


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A role about to act."""

    branch: str
    """New in the run."""
    role: str
    title: str
    instruction: str
    solves: bool
    tools: bool
    """It may call the run's tools."""
    tier: int
    reason: str
    why: str
    score: float | None = None
    """The router's probability of this tier."""


class Output(NamedTuple):
    """What an activation came to; ``finished_s`` is the run's time then."""

    by: Activation
    answer: Answer
    finished_s: float


@dataclass(frozen=True, kw_only=True)
class Seated(Policy):
    """Every step on the tier that the router gave the role, with log-probabilities: routers are
    trained on them."""

    activation: Activation

    def before_step(self, context: StepContext) -> Decision:
        own = self.activation
        return Decision(
            tier=own.tier, reason=own.reason, why=own.why, score=own.score, logprobs=True
        )


async def activate(
    session: Session,
    activation: Activation,
    shown: Sequence[Output],
    *,
    started_s: float,
    tool_steps: int,
    sampling: Sampling,
) -> Output:
    """Let a role do its part, reading what the others wrote, and return what it wrote.

    ``session`` is the main one; ``tool_steps`` = the most tool calls before it must give its result.
    """
    tools = activation.tools and tool_steps > 0 and bool(session.toolbox.tools)
    kind = ReActLoop if tools else Speaker
    loop = kind(
        session.branch(activation.branch),
        Seated(activation=activation),
        LoopOptions(check_mode="off", temperature=sampling.temperature, top_p=sampling.top_p),
        head=[
            {"role": "system", "content": instruction(activation, tools=tools)},
            {"role": "user", "content": material(session.task.question, shown)},
        ],
        role=activation.role,
        # the last step must answer; who writes once only must not be forced to
        max_steps=min(tool_steps + 1, session.limits.max_steps) if tools else 2,
        started_s=started_s,
    )
    answer = await loop.run()
    return Output(activation, answer, loop.book.cumulative_s)


def instruction(activation: Activation, *, tools: bool) -> str:
    """Return the system prompt of an activation."""
    parts = [activation.instruction, prompt(f"oi_mas_frame_{'tools' if tools else 'text'}")]
    if activation.solves:
        parts.append(prompt("oi_mas_frame_answer"))
    return "\n\n".join(parts)


def material(question: str, shown: Sequence[Output]) -> str:
    """Return the task and the latest outputs: models' text, which cannot close its tags."""
    blocks = [
        f'<output role="{output.by.branch}">\n'
        f"{sealed(output.answer.text, 'output', limit=SHOWN_CHARS)}\n</output>"
        for output in shown[-SHOWN_OUTPUTS:]
        if output.answer.text
    ]
    return "\n\n".join([question, *blocks])


def summary(outputs: Sequence[Output], tiers: Sequence[str], *, limit: int) -> str:
    """Return what came of some activations, one line each: what routers read."""
    return "\n".join(
        f"{output.by.title} ({tiers[output.by.tier]}): "
        f"{_one_line(output.answer.text)[:limit] or 'no result'}"
        for output in outputs
    )


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
