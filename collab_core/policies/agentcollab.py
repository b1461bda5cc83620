"""AgentCollab: the agent's own progress verdicts move control up and down the ladder.

Source: AgentCollab (arXiv 2603.26034) section 2, Eq. 1-4 and Algorithm 1. What escalation means on
more than two tiers is our design: ``docs/strategies/agentcollab.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field, model_validator

from collab_core.budgets import BudgetSchedule, escalation_level
from collab_core.domain import Decision, Ladder, StepRecord
from collab_core.policies.base import Policy, StepContext
from collab_core.strategies.base import AgentParameters, Resources, Strategy


class AgentCollabStaticParameters(AgentParameters):
    """AgentCollab with a constant budget: growth k = 0."""

    warm_up_steps: int = Field(
        default=2,
        ge=0,
        le=40,
        title="Warm-up steps",
        description="First steps on the top tier (K_L). Default second-hand.",
    )
    budget_base: int = Field(
        default=2,
        ge=1,
        le=100,
        title="Base budget",
        description="B_0, steps granted to the higher tier. Default second-hand.",
    )
    early_hand_back: bool = Field(
        default=True,
        title="Early hand-back",
        description="Return control as soon as the higher tier judges progress.",
    )
    higher_verdicts_count: bool = Field(
        default=True,
        title="Higher tiers' stalls raise the level",
        description="Eq. 1 read literally: every step is judged, whoever ran it.",
    )
    climb: Literal["next", "top"] = Field(
        default="next",
        title="Climb to",
        description="On three or more tiers: an unbroken streak of stalls escalates one tier "
        "further each time (next), or straight to the top.",
    )
    warm_prefill: Literal["off", "signs", "always"] = Field(
        default="off",
        title="Warm prefill",
        description="Fill the next tier's prefix cache with a one-token request while the lowest "
        "one still runs: at every step (always), or where a stall is likely (signs). Its cost and "
        "what it saved are in the run's figures.",
    )
    warm_min_tokens: int = Field(
        default=512,
        ge=0,
        le=1_000_000,
        title="Warm from",
        description="Only once the next tier has not seen at least so many tokens of the prompt.",
    )

    @model_validator(mode="after")
    def _warms_the_same_prompt(self) -> AgentCollabStaticParameters:
        if self.warm_prefill != "off" and self.hand_over != "full":
            raise ValueError("warm_prefill needs hand_over = full: else the prompt is another one")
        return self


class AgentCollabParameters(AgentCollabStaticParameters):
    """AgentCollab with difficulty-aware budgets (section 2.2)."""

    growth: float = Field(
        default=2.0,
        ge=0.0,
        le=20.0,
        title="Growth",
        description="k of Eq. 3 and 4; 0 is the static strategy. Default second-hand.",
    )
    budget_max: int = Field(
        default=6, ge=1, le=100, title="Largest budget", description="B_max. Default second-hand."
    )
    schedule: Literal["linear", "sigmoid"] = Field(
        default="linear", title="Schedule", description="linear: Eq. 3. sigmoid: Eq. 4, saturating."
    )
    sigmoid_midpoint: float = Field(
        default=1.0,
        ge=0.0,
        le=40.0,
        title="Sigmoid midpoint",
        description="n_0 of Eq. 4; the paper gives no value.",
    )
    level_offset: Literal[0, 1] = Field(
        default=0,
        title="Level offset",
        description="0 reads Eq. 3 as B_0 + k n, 1 as B_0 + k (n - 1); the text lost which.",
    )
    recompute_budget: bool = Field(
        default=False,
        title="Recompute during a take-over",
        description="Grant more when the level rises while the higher tier runs; off = the budget "
        "is fixed at take-over.",
    )

    @model_validator(mode="after")
    def _base_fits_maximum(self) -> AgentCollabParameters:
        if self.budget_base > self.budget_max:
            raise ValueError("budget_base must not exceed budget_max")
        return self


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
    warm_prefill: Literal["off", "signs", "always"] = "off"
    """When to fill the cache of the tier that the next stall would call."""
    warm_min_tokens: int = 512
    """Not before that tier lags behind the prompt by so many tokens."""


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


class AgentCollab(Policy):
    """The policy; ``rules.schedule.growth`` = 0 is the paper's static strategy."""

    def __init__(self, rules: AgentCollabRules) -> None:
        self.rules = rules
        # a subclass may look at more
        self.by_verdicts = type(self) is AgentCollab and rules.warm_prefill == "off"
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
        progress = self.progressed(step)
        in_charge_above = state.tier != state.home
        if not in_charge_above or self.rules.higher_verdicts_count or progress:
            state.level = escalation_level(state.level, made_progress=progress)
        if progress:
            state.reached = state.home
        if in_charge_above:
            self._spend(progress=progress)
        elif not progress:
            self._escalate(top=len(context.tiers) - 1)

    def progressed(self, step: StepRecord) -> bool:
        """Whether ``step``, the latest one, counts as progress: the agent's own word (p_t)."""
        return step.check.made_progress

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
        return Decision(
            tier=state.home,
            reason=reason,
            level=state.level,
            why=why,
            warm_tier=self._warm_tier(context),
        )

    def _warm_tier(self, context: StepContext) -> int | None:
        """Return the tier that a stall of this step would call, if its cache is worth filling."""
        top = len(context.tiers) - 1
        if self.rules.warm_prefill == "off" or top == self._state.home or not context.trajectory:
            return None
        if self.rules.warm_prefill == "signs" and not (self._state.level or _stalling(context)):
            return None
        tier = self._next_up(top)
        known = max(cache.prefix_tokens for cache in context.cache)
        lag = known - context.cache[tier].prefix_tokens
        return tier if lag >= self.rules.warm_min_tokens else None

    def _next_up(self, top: int) -> int:
        climbed = max(self._state.reached, self._state.home) + 1
        return top if self.rules.climb == "top" else min(climbed, top)

    def _escalate(self, *, top: int) -> None:
        state = self._state
        if top == state.home:
            return
        state.tier = self._next_up(top)
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


def _stalling(context: StepContext) -> bool:
    """Tell whether the latest step looks like the beginning of a stall, whatever its verdict."""
    *earlier, last = context.trajectory
    repeated = last.tool_name and any(
        (step.tool_name, step.tool_arguments) == (last.tool_name, last.tool_arguments)
        or step.observation == last.observation
        for step in earlier
    )
    return bool(last.tool_error or repeated or not last.tool_name or last.check.indicator is None)


def _stalls(level: int) -> str:
    return "1 step without progress" if level == 1 else f"{level} steps in a row without progress"


def rules_of(parameters: AgentCollabParameters) -> AgentCollabRules:
    """Return the method's choices as the form gives them."""
    return AgentCollabRules(
        warm_up_steps=parameters.warm_up_steps,
        schedule=BudgetSchedule(
            base=parameters.budget_base,
            growth=parameters.growth,
            maximum=parameters.budget_max,
            schedule=parameters.schedule,
            midpoint=parameters.sigmoid_midpoint,
            offset=parameters.level_offset,
        ),
        early_hand_back=parameters.early_hand_back,
        higher_verdicts_count=parameters.higher_verdicts_count,
        recompute_budget=parameters.recompute_budget,
        climb=parameters.climb,
        warm_prefill=parameters.warm_prefill,
        warm_min_tokens=parameters.warm_min_tokens,
    )


def _dynamic(
    parameters: AgentCollabParameters, ladder: Ladder, resources: Resources
) -> AgentCollab:
    return AgentCollab(rules_of(parameters))


def _static(
    parameters: AgentCollabStaticParameters, ladder: Ladder, resources: Resources
) -> AgentCollab:
    return AgentCollab(
        AgentCollabRules(
            warm_up_steps=parameters.warm_up_steps,
            schedule=BudgetSchedule(
                base=parameters.budget_base, growth=0.0, maximum=parameters.budget_base
            ),
            early_hand_back=parameters.early_hand_back,
            higher_verdicts_count=parameters.higher_verdicts_count,
            climb=parameters.climb,
            warm_prefill=parameters.warm_prefill,
            warm_min_tokens=parameters.warm_min_tokens,
        )
    )


DYNAMIC = Strategy(
    name="agentcollab",
    title="AgentCollab, dynamic",
    summary="The small tier works and judges itself; when it stalls, a higher tier takes "
    "over, for longer the more stalls there were in a row.",
    family="AgentCollab",
    label="native",
    source="arXiv 2603.26034, section 2.2",
    parameters=AgentCollabParameters,
    policy=_dynamic,
    doc="agentcollab.md",
)
STATIC = Strategy(
    name="agentcollab-static",
    title="AgentCollab, static",
    summary="The same escalation with a constant budget (growth k = 0).",
    family="AgentCollab",
    label="native",
    source="arXiv 2603.26034, section 2.1, Algorithm 1",
    parameters=AgentCollabStaticParameters,
    policy=_static,
    doc="agentcollab.md",
)
