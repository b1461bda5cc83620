"""What a training of MasRouter's cascade can set; light to import, for forms and command lines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from collab_core.learned.trainer import TrainerOptions


class MasRouterOptions(TrainerOptions):
    """The public code's values where it has any."""

    cost_rate: float = Field(
        default=200.0,
        ge=0.0,
        le=1e9,
        title="Cost rate",
        description="Reward per US dollar. The public code: 200 GSM8K and HumanEval, 100 MATH, 400 "
        "MBPP, 500 MMLU, at its prices; rescale it to yours.",
    )
    steps: int = Field(
        default=300, ge=1, le=100_000, title="Steps", description="Steps of Adam. Ours."
    )
    batch: int = Field(
        default=16, ge=1, le=1_024, title="Batch", description="Runs a step. The public code's."
    )
    learning_rate: float = Field(
        default=0.01, gt=0.0, le=1.0, title="Learning rate", description="The public code's."
    )
    baseline: bool = Field(
        default=True,
        title="Baseline",
        description="Take a moving average off the utilities. Ours; off is the public code's form.",
    )
    entropy: float = Field(
        default=0.05,
        ge=0.0,
        le=10.0,
        title="Entropy bonus",
        description="Keeps the cascade from settling too early; it fades to nothing by the last step. Ours; 0 is the public code's loss.",
    )
    importance: Literal["clipped", "none"] = Field(
        default="clipped",
        title="Logged runs",
        description="clipped: weigh a logged run by how much likelier the present weights make it, "
        "at most 5. none: as if the present weights had drawn it.",
    )
