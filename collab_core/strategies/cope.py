"""COPE: plans as the currency between a small and a large model, in a cascade of three stages.

1. Small plans and small executes, n times; accepted if enough executions agree.
2. Large plans once, small executes n times with that plan and one kept from stage 1.
3. Large executes once with its own plan.

Source: COPE (arXiv 2506.11578), known from its abstract and second-hand; what that leaves open and
what is ours is in ``docs/strategies/cope.md``. The cascade over whole executions is in
``cope_task.py``, the one at every step in ``cope_step.py``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from collab_core.agents.base import Agent, Answer
from collab_core.domain import Ladder
from collab_core.policies.fixed import tier_position
from collab_core.runtime.session import Session
from collab_core.strategies.agreement import TaskType
from collab_core.strategies.base import Parameters, Resources, Strategy
from collab_core.strategies.cope_rules import THRESHOLDS, CopeRules, PlanKind
from collab_core.strategies.cope_step import StepCascade
from collab_core.strategies.cope_task import TaskCascade
from collab_core.strategies.solvers import Sampling


class CopeParameters(Parameters):
    """The cascade's size, its thresholds, and who writes which plan."""

    granularity: Literal["task", "step"] = Field(
        default="task",
        title="Cascade over",
        description="task: every execution is a whole solution with the tools. step: the cascade "
        "runs at every step, and only the chosen tool call is made.",
    )
    samples: int = Field(
        default=8,
        ge=1,
        le=32,
        title="Samples",
        description="n: executions in each of the first two stages. Default second-hand.",
    )
    task_type: TaskType = Field(
        default="question",
        title="Answers agree if",
        description="question, agent: they are the same words. multiple_choice: the same letter. "
        "maths: the same number. At granularity step, tool calls agree if name and arguments do.",
    )
    tau1: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        title="Threshold of stage 1",
        description="Share of samples, 0..1, that must agree to accept. Empty = the task type's "
        "value, 0.75.",
    )
    tau2: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        title="Threshold of stage 2",
        description="The same for stage 2. Empty = the task type's value, 0.50.",
    )
    small_plan: PlanKind = Field(
        default="goal",
        title="Small models plan",
        description="goal: a coarse plan. guideline: a finer one; small models are said to write "
        "bad ones.",
    )
    large_plan: PlanKind = Field(
        default="guideline", title="The large model plans", description="goal or guideline."
    )
    small_tier: str = Field(
        default="1",
        max_length=60,
        title="Small tier",
        description="Its name, or its place in the ladder counted from 1.",
    )
    large_tier: str = Field(
        default="",
        max_length=60,
        title="Large tier",
        description="Its name or place; empty = the top.",
    )
    plan_tokens: int = Field(
        default=400, ge=16, le=8_192, title="Length of a plan", description="At most, in tokens."
    )
    execution_steps: int = Field(
        default=20,
        ge=1,
        le=200,
        title="Steps of an execution",
        description="At granularity task: after so many steps an execution must answer.",
    )


class Cope:
    """The agent; its granularity says which cascade it runs."""

    def __init__(self, rules: CopeRules, granularity: Literal["task", "step"]) -> None:
        self.rules = rules
        self.granularity = granularity

    async def solve(self, session: Session) -> Answer:
        """Return the answer; see :class:`Agent` for the errors."""
        if self.granularity == "task":
            return await TaskCascade(self.rules, session).solve()
        return await StepCascade(self.rules, session).run()


def _build(parameters: CopeParameters, ladder: Ladder, resources: Resources) -> Agent:
    tau1, tau2 = THRESHOLDS[parameters.task_type]
    large = parameters.large_tier
    rules = CopeRules(
        small=tier_position(parameters.small_tier, ladder, field="small_tier"),
        large=tier_position(large, ladder, field="large_tier") if large else ladder.top,
        samples=parameters.samples,
        tau1=tau1 if parameters.tau1 is None else parameters.tau1,
        tau2=tau2 if parameters.tau2 is None else parameters.tau2,
        task_type=parameters.task_type,
        small_plan=parameters.small_plan,
        large_plan=parameters.large_plan,
        plan_tokens=parameters.plan_tokens,
        execution_steps=parameters.execution_steps,
        sampling=Sampling(temperature=parameters.temperature, top_p=parameters.top_p),
    )
    return Cope(rules, parameters.granularity)


COPE = Strategy(
    name="cope",
    title="COPE",
    summary="Plan and execute in three stages: small alone, large plans for small, large executes; "
    "a stage is accepted if enough samples agree.",
    family="Whole methods",
    label="adapted",
    source="arXiv 2506.11578, abstract and second-hand accounts",
    parameters=CopeParameters,
    method=_build,
    doc="cope.md",
)
