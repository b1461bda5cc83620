"""What a user picks: a strategy, its parameters, and what it may load.

A strategy is either a *policy* on an agent (who runs each step), or a *method* that is its own
control flow. Its parameter model makes the submit form, the REST schema, the command line's options
and the strategy's page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from collab_core.agents.base import Agent
from collab_core.domain import Ladder
from collab_core.errors import InvalidInput
from collab_core.policies.base import Policy

Label = Literal["native", "adapted", "proxy"]
"""How near to its source: as published, fitted to per-step routing, or a stand-in."""


class Parameters(BaseModel):
    """What every strategy can set: how models are sampled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(
        default=0.6,
        ge=0.0,
        le=2.0,
        title="Temperature",
        description="Sampling temperature of every call.",
        json_schema_extra={"group": "agent"},
    )
    top_p: float = Field(
        default=0.95,
        gt=0.0,
        le=1.0,
        title="Top p",
        description="Nucleus sampling of every call.",
        json_schema_extra={"group": "agent"},
    )


class AgentParameters(Parameters):
    """What every policy can set of the agent it steers. ``group`` = agent marks them for forms."""

    agent: Literal["react", "planner-executor"] = Field(
        default="react",
        title="Agent",
        description="react: one agent in a loop. planner-executor: a planner hands tasks to parallel "
        "seekers and a writer; each of them has its own policy state.",
        json_schema_extra={"group": "agent"},
    )
    check_mode: Literal["inline", "separate"] = Field(
        default="inline",
        title="Progress check",
        description="inline: the verdict is part of each thought. separate: one more short call "
        "after each observation, on the same prompt.",
        json_schema_extra={"group": "agent"},
    )
    missing_verdict: Literal["progress", "stall"] = Field(
        default="progress",
        title="A missing verdict counts as",
        description="What the policy is told when the progress block is missing or malformed. "
        "Both are counted and shown either way.",
        json_schema_extra={"group": "agent"},
    )
    enforce_check: bool = Field(
        default=False,
        title="Enforce the block's form",
        description="Let the server constrain the separate check to the block's grammar (vLLM "
        "structured outputs). Ignored by tiers that cannot.",
        json_schema_extra={"group": "agent"},
    )
    hand_over: Literal["full", "compacted", "restart"] = Field(
        default="full",
        title="Hand-over",
        description="What a higher tier is given when it takes over: the whole prompt, one with "
        "the earlier steps shortened, or the task alone. A lower tier always gets everything back.",
        json_schema_extra={"group": "agent"},
    )

    max_seekers: int = Field(
        default=5,
        ge=1,
        le=5,
        title="Parallel seekers",
        description="How many seekers a planner may set to work at the same time.",
        json_schema_extra={"group": "agent"},
    )
    seeker_steps: int = Field(
        default=30,
        ge=1,
        le=200,
        title="Steps of a seeker",
        description="After this many it must report what it has. The run's own step limit is the "
        "planner's.",
        json_schema_extra={"group": "agent"},
    )
    writer_steps: int = Field(
        default=30,
        ge=1,
        le=200,
        title="Steps of a writer",
        description="After this many it must hand in what it has.",
        json_schema_extra={"group": "agent"},
    )

    @model_validator(mode="after")
    def _enforce_needs_separate(self) -> AgentParameters:
        if self.enforce_check and self.check_mode != "separate":
            raise ValueError("enforce_check needs check_mode = separate")
        return self


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a strategy may load from the machine that runs it."""

    folder: Path | None = None
    """Holds trained weights and workflow files by name; None = nothing can be loaded."""
    any_path: bool = False
    """A reference may also be a path: on the command line, never in the web application."""
    encoder: str = "hashed"
    """What turns text into vectors: hashed, or a sentence-encoder's folder."""

    def locate(self, reference: str, *, field: str) -> Path:
        """Return where a reference points to.

        Raises:
            InvalidInput: it leads out of the folder, or there is nothing.
        """
        if not reference:
            raise InvalidInput(f"{field}: choose what to load.", field=field)
        try:
            found = self._found(reference)
        except (OSError, ValueError, RuntimeError):
            # a name that no file can have, or links that lead in a circle
            found = None
        if found is None:
            raise InvalidInput(f"{field}: there is no {reference[:80]!r} here.", field=field)
        return found

    def _found(self, reference: str) -> Path | None:
        if self.any_path and (path := Path(reference)).exists():
            return path
        if self.folder is None:
            return None
        inside = self.folder / reference
        stays = inside.resolve().is_relative_to(self.folder.resolve())
        return inside if stays and inside.exists() else None


NO_RESOURCES = Resources()

PolicyBuilder = Callable[[Any, Ladder, Resources], Policy]
MethodBuilder = Callable[[Any, Ladder, Resources], Agent]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One entry of the registry. Exactly one of ``policy`` and ``method`` is given."""

    name: str
    title: str
    summary: str
    family: str
    """The heading it stands under: Fixed, Blind switching, AgentCollab, Learned routers, Uncertainty,
    Whole methods, or one of its own."""
    label: Label
    source: str
    parameters: type[Parameters]
    doc: str
    """File below ``docs/strategies/``."""
    policy: PolicyBuilder | None = None
    """Called once per agent instance; must not do slow work besides loading weights."""
    method: MethodBuilder | None = None
    loads: bool = field(default=False)
    """Building it reads files: the engine then builds it off the event loop."""

    def __post_init__(self) -> None:
        if (self.policy is None) == (self.method is None):
            raise ValueError(f"{self.name}: give either a policy or a method")
        if self.policy is not None and not issubclass(self.parameters, AgentParameters):
            raise ValueError(f"{self.name}: a policy's parameters extend AgentParameters")
