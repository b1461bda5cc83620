"""Tiers by role: a large planner with small seekers and writers, or the reverse.

Source: AgentCollab (arXiv 2603.26034) Table 2, "large planner" and "large executor".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from collab_core.domain import Decision
from collab_core.policies.base import Policy, StepContext
from collab_core.strategies.base import AgentParameters, Strategy


class ByRoleParameters(AgentParameters):
    """Roles keep their tier for the whole run; verdicts are recorded, but change nothing."""

    agent: Literal["planner-executor"] = Field(
        default="planner-executor",
        title="Agent",
        description="A planner hands tasks to parallel seekers and a writer.",
        json_schema_extra={"group": "agent"},
    )


@dataclass(frozen=True, kw_only=True)
class ByRole(Policy):
    """Run planners on one tier and all others on another (positions; -1 = the top)."""

    by_verdicts = True

    planner: int
    executor: int

    def before_step(self, context: StepContext) -> Decision:
        given = self.planner if context.role == "planner" else self.executor
        tier = given % len(context.tiers)
        why = f"Every step of a {context.role} runs on {context.tiers[tier].name}."
        return Decision(tier=tier, reason="fixed", why=why)


LARGE_PLANNER = Strategy(
    name="large-planner",
    title="Large planner",
    summary="The planner on the top tier, its seekers and writers on the lowest.",
    family="Fixed",
    label="native",
    source="arXiv 2603.26034, Table 2",
    parameters=ByRoleParameters,
    policy=lambda parameters, ladder, resources: ByRole(planner=-1, executor=0),
    doc="by-role.md",
)
LARGE_EXECUTOR = Strategy(
    name="large-executor",
    title="Large executors",
    summary="The planner on the lowest tier, its seekers and writers on the top.",
    family="Fixed",
    label="native",
    source="arXiv 2603.26034, Table 2",
    parameters=ByRoleParameters,
    policy=lambda parameters, ladder, resources: ByRole(planner=0, executor=-1),
    doc="by-role.md",
)
