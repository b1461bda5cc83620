"""AgentCollab: the agent's own progress verdicts move control up and down the ladder.

Source: AgentCollab (arXiv 2603.26034) section 2, Eq. 1-4 and Algorithm 1. What escalation means on
more than two tiers is our design: ``docs/strategies/agentcollab.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from collab_core.budgets import BudgetSchedule, escalation_level
from collab_core.domain import Decision, StepRecord
from collab_core.policies.base import StepContext


@dataclass(frozen=True, kw_only=True)
class AgentCollabRules:
    """The method's choices; the defaults are the paper's where it has any (method 1.3)."""

    warm_up_steps: int = 2
    """K_L: first steps on the top tier."""
    schedule: BudgetSchedule = field(default_factory=BudgetSchedule)
    early_hand_back: bool = True
    """Hand control back as soon as the higher tier judges progress, not only at budget end."""
    higher_verdicts_count: bool = True
    """A stall judged by a higher tier raises n_t too (the literal reading of Eq. 1)."""
    recompute_budget: bool = False
    """Grant the budget anew whenever n_t rises during a take-over; off = fixed at take-over."""
    climb: Literal["next", "top"] = "next"
    """Where the next escalation of an unbroken stall streak goes on N > 2 tiers."""


@dataclass(kw_only=True)
class _State:
    level: int = 0
    """n_t of Eq. 1."""
    home: int = 0
    tier: int = 0
    """The tier in control."""
    budget: int = 0
    used: int = 0
    """Steps of the budget already run."""
    reached: int = 0
    """Highest tier this stall streak has escalated to."""
    handed_back: str = ""
    """Why control just returned; "" if it did not."""


class AgentCollab:
    """The policy; ``rules.schedule.growth`` = 0 is the paper's static strategy."""

    def __init__(self, rules: AgentCollabRules) -> None:
        self.rules = rules
        self._state = _State()

    def before_step(self, context: StepContext) -> Decision:
        top = len(context.tiers) - 1
        if context.step_index <= self.rules.warm_up_steps:
            left = self.rules.warm_up_steps - context.step_index + 1
            return Decision(
                tier=top,
                reason="warm_up",
                budget=self.rules.warm_up_steps,
                budget_left=left,
                why=f"Warm-up: the first {self.rules.warm_up_steps} steps run on "
                f"{context.tiers[top].name}.",
            )
        state = self._state
        if state.tier == state.home:
            return self._at_home(context)
        left = state.budget - state.used
        return Decision(
            tier=state.tier,
            reason="escalated" if not state.used else "budget_left",
            level=state.level,
            budget=state.budget,
            budget_left=left,
            why=f"{_stalls(state.level)}, so {context.tiers[state.tier].name} takes over for up to "
            f"{state.budget} steps."
            if not state.used
            else f"Step {state.used + 1} of the {state.budget} granted.",
        )

    def after_observation(self, context: StepContext, step: StepRecord) -> None:
        state = self._state
        state.handed_back = ""
        if step.decision.reason == "warm_up":
            # Algorithm 1 begins to judge after the warm-up
            return
        progress = step.check.made_progress
        in_charge_above = state.tier != state.home
        if not in_charge_above or self.rules.higher_verdicts_count or progress:
            state.level = escalation_level(state.level, made_progress=progress)
        if progress:
            state.reached = state.home
        if in_charge_above:
            self._spend(progress=progress)
        elif not progress:
            self._escalate(top=len(context.tiers) - 1)

    def _at_home(self, context: StepContext) -> Decision:
        state = self._state
        name = context.tiers[state.home].name
        last = context.trajectory[-1].decision if context.trajectory else None
        back = state.handed_back
        if last is not None and last.reason == "warm_up":
            back = "The warm-up is over"
        if back:
            why, reason = f"{back}, so control returns to {name}.", "restored"
        else:
            stuck = f"{_stalls(state.level)}, but there is no higher tier."
            why, reason = stuck if state.level else f"{name} is making progress.", "default"
        return Decision(tier=state.home, reason=reason, level=state.level, why=why)

    def _escalate(self, *, top: int) -> None:
        state = self._state
        if top == state.home:
            return
        climbed = max(state.reached, state.home) + 1
        state.tier = top if self.rules.climb == "top" else min(climbed, top)
        state.reached = state.tier
        state.budget = self.rules.schedule.budget(state.level)
        state.used = 0

    def _spend(self, *, progress: bool) -> None:
        state = self._state
        state.used += 1
        if progress and self.rules.early_hand_back:
            self._hand_back("Progress was made")
        elif not progress and self.rules.recompute_budget and state.level:
            state.budget = max(state.budget, self.rules.schedule.budget(state.level))
        if state.tier != state.home and state.used >= state.budget:
            self._hand_back(f"The budget of {state.budget} steps is used up")

    def _hand_back(self, why: str) -> None:
        self._state.tier = self._state.home
        self._state.handed_back = why


def _stalls(level: int) -> str:
    return "1 step without progress" if level == 1 else f"{level} steps in a row without progress"
