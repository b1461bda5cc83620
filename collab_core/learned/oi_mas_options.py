"""What a training of OI-MAS's conductor can set; light to import, for forms and command lines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from collab_core.learned.oi_mas import Rules
from collab_core.learned.trainer import TrainerOptions


class OIMasOptions(TrainerOptions):
    """Values of section 4.1 where it has any; switches are the ablations of Table 3 and our own."""

    cost_weight: float = Field(
        default=200.0,
        ge=0.0,
        le=1e9,
        title="Cost weight",
        description="lambda of Eq. 5, in reward per US dollar. 200 fits the paper's prices, where "
        "it makes a run's cost term 0.1 to 0.3; the report says what it is with yours.",
    )
    steps: int = Field(
        default=300, ge=1, le=100_000, title="Steps", description="Steps of Adam. Ours."
    )
    batch: int = Field(default=32, ge=1, le=1_024, title="Batch", description="Runs a step. Ours.")
    learning_rate: float = Field(
        default=0.01, gt=0.0, le=1.0, title="Learning rate", description="Of Adam. The paper's."
    )
    theta: float = Field(
        default=0.3,
        gt=0.0,
        le=1.0,
        title="Role threshold",
        description="Roles are taken until their probability reaches it. The paper's.",
    )
    turns: int = Field(default=4, ge=1, le=16, title="Turns", description="L. The paper's.")
    confidence: bool = Field(
        default=True,
        title="Confidence",
        description="Weigh costs by Conf_adj; off = Table 3's w/o Conf.",
    )
    cost_term: bool = Field(
        default=True, title="Cost term", description="Off = Table 3's w/o C: accuracy alone."
    )
    model_router: bool = Field(
        default=True,
        title="Model router",
        description="Off = Table 3's w/o G: every role runs on the top tier.",
    )
    role_router: bool = Field(
        default=True,
        title="Role router",
        description="Off (our ablation): GeneratorCoT, Verifier, Refiner, one a turn.",
    )
    early_stop: bool = Field(
        default=True, title="EarlyStop", description="Off (our ablation): always L turns."
    )
    baseline: bool = Field(
        default=True,
        title="Baseline",
        description="Take a moving average off the returns. Ours; it only lowers the variance.",
    )
    entropy: float = Field(
        default=0.05,
        ge=0.0,
        le=10.0,
        title="Entropy bonus",
        description="Keeps the networks from settling too early; it fades to nothing by the last step. Ours; 0 is the paper's loss.",
    )
    importance: Literal["clipped", "none"] = Field(
        default="clipped",
        title="Logged runs",
        description="clipped: weigh a logged run by how much likelier the present weights make it, "
        "at most 5. none: as if the present weights had drawn it.",
    )
    hidden_roles: int = Field(
        default=32, ge=1, le=1_024, title="Role network", description="Hidden size; MaAS's."
    )
    hidden_tiers: int = Field(
        default=64, ge=1, le=1_024, title="Model network", description="Hidden size; MasRouter's."
    )

    @model_validator(mode="after")
    def _something_learns(self) -> OIMasOptions:
        if not (self.model_router or self.role_router):
            raise ValueError("model_router and role_router are both off: nothing can be trained")
        return self

    @property
    def rules(self) -> Rules:
        return Rules(
            turns=self.turns,
            theta=self.theta,
            model_router=self.model_router,
            role_router=self.role_router,
            early_stop=self.early_stop,
        )

    @property
    def effective_cost_weight(self) -> float:
        return self.cost_weight if self.cost_term else 0.0
