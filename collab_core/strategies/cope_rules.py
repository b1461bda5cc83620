"""COPE's settings, and its plans: how they are asked for, kept and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from collab_core.agents.prompts import prompt
from collab_core.runtime.session import Session
from collab_core.strategies.agreement import TaskType, Vote
from collab_core.strategies.solvers import Sampling, sealed

PlanKind = Literal["goal", "guideline"]
PLAN_CHARS = 4_000
"""Of a plan that an executor is shown."""
THRESHOLDS: dict[TaskType, tuple[float, float]] = {
    "question": (0.75, 0.50),
    "multiple_choice": (0.75, 0.50),
    "maths": (0.75, 0.50),
    "agent": (0.75, 0.50),
}
"""tau1, tau2 by task type. One re-implementation's constants, second-hand; nothing tells more."""


@dataclass(frozen=True, kw_only=True)
class CopeRules:
    """The parameters, settled for one ladder."""

    small: int
    large: int
    samples: int = 8
    tau1: float = 0.75
    tau2: float = 0.50
    task_type: TaskType = "question"
    small_plan: PlanKind = "goal"
    large_plan: PlanKind = "guideline"
    plan_tokens: int = 400
    execution_steps: int = 20
    sampling: Sampling = field(default_factory=Sampling)


def kept_plan(session: Session, outcome: Vote, plans: Sequence[str]) -> str:
    """Return a plan drawn at random from those that led to the majority answer.

    Without any answer there is no majority: then from all plans.
    """
    return session.random.choice([plans[n] for n in outcome.members] or plans)


def shown(name: str, plans: Sequence[tuple[PlanKind, str]]) -> str:
    """Return prompt ``name`` with the plans in it; "" if all of them are blank.

    Plans are a model's text: they cannot close the tags that they stand in.
    """
    blocks = [
        f'<plan kind="{kind}">\n{sealed(text, "plan", limit=PLAN_CHARS)}\n</plan>'
        for kind, text in plans
        if text.strip()
    ]
    return prompt(name).replace("{plans}", "\n".join(blocks)) if blocks else ""
