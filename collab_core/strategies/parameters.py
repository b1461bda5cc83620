"""Parameter models: bounds, defaults and words for the form, REST, CLI and documentation."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class AgentParameters(BaseModel):
    """What every strategy on the ReAct agent can set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    check_mode: Literal["inline", "separate"] = Field(
        default="inline",
        title="Progress check",
        description="inline: the verdict is part of each thought. separate: one more short call "
        "after each observation, on the same prompt.",
    )
    missing_verdict: Literal["progress", "stall"] = Field(
        default="progress",
        title="A missing verdict counts as",
        description="What the policy is told when the progress block is missing or malformed. "
        "Both are counted and shown either way.",
    )
    enforce_check: bool = Field(
        default=False,
        title="Enforce the block's form",
        description="Let the server constrain the separate check to the block's grammar (vLLM "
        "structured outputs). Ignored by tiers that cannot.",
    )
    temperature: float = Field(
        default=0.6,
        ge=0.0,
        le=2.0,
        title="Temperature",
        description="Sampling temperature of every call.",
    )
    top_p: float = Field(
        default=0.95, gt=0.0, le=1.0, title="Top p", description="Nucleus sampling of every call."
    )

    @model_validator(mode="after")
    def _enforce_needs_separate(self) -> AgentParameters:
        if self.enforce_check and self.check_mode != "separate":
            raise ValueError("enforce_check needs check_mode = separate")
        return self


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


class FixedParameters(AgentParameters):
    """One tier for the whole run; verdicts are recorded, but change nothing."""
