"""Bodies of REST v1."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from webapp.runs.services import MAX_SEED, LimitsInput


class Strict(Schema):
    """An unknown field is an error, not a silent nothing."""

    model_config = ConfigDict(extra="forbid")


class RunInput(Strict):
    question: str = Field(description="The task, at most 100,000 bytes.")
    strategy: str = "agentcollab"
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="See `GET /strategies` for each strategy's schema."
    )
    ladder: str = Field(description="Name or UUID of a ladder.")
    collection: str = Field("", description="Name or UUID of a document collection.")
    tools: list[str] | None = Field(
        None,
        max_length=50,
        description="See `GET /tools`. Left out: search, read and calculator; without a collection "
        "the calculator alone. An empty list: none.",
    )
    task_id: str = Field("", description="A sample task of the collection: its answer is scored.")
    seed: int | None = Field(None, ge=0, le=MAX_SEED)
    limits: LimitsInput = Field(default_factory=LimitsInput)
    workspace: UUID | None = Field(None, description="Only needed if you belong to several.")


class ForkInput(Strict):
    after_step: int = Field(ge=1)
    strategy: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    ladder: str = Field("", description="Name or UUID; empty = the ladder of the run.")


class TierOut(Schema):
    name: str
    model: str


class ErrorBody(Schema):
    code: str
    message: str
    field: str = ""
    hint: str = ""


class RunRef(Schema):
    uuid: UUID
    ref: str
    after_step: int


class WarmPrefillOut(Schema):
    """What a run's warm-ups cost and saved; null = the server or the price table does not say."""

    calls: int
    take_overs: int
    input_tokens: int
    uncached_tokens: int | None
    output_tokens: int
    busy_s: float
    waited_s: float
    cost_usd: float | None
    saved_tokens: int | None
    saved_s: float | None
    saved_usd: float | None


class RunOut(Schema):
    uuid: UUID
    ref: str
    status: str
    question: str
    strategy: str
    strategy_title: str
    parameters: dict[str, Any]
    tiers: list[TierOut]
    ladder_name: str
    tools: list[str] | None = Field(description="null in runs of older versions: the default.")
    sandbox: str = Field(description="Where `python` ran; empty without it, or before the start.")
    seed: int
    limits: dict[str, Any]
    simulated: bool
    stand_in: bool = Field(description="A hashed encoder stood in for a sentence-encoder.")
    task_id: str
    outcome: str
    answer: str
    ended_by: str
    error: dict[str, str] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    submitted_by: str
    forked_from: RunRef | None
    cancel_requested: bool
    queue_position: int | None
    steps: int
    latency_s: float
    switches: int
    input_tokens: int
    output_tokens: int
    top_tier_output_tokens: int
    cost_usd: float | None
    tier_path: str = Field(description="One character a finished step: its tier, 0 = cheapest.")
    stall_path: str = Field(description="One character a finished step: 1 progress, 0 none, -.")


class RunDetailOut(RunOut):
    warm_prefill: WarmPrefillOut | None = Field(description="null if the run warmed nothing.")


class RunPage(Schema):
    runs: list[RunOut]
    next_cursor: str | None


class StrategyOut(Schema):
    name: str
    title: str
    summary: str
    family: str
    label: str
    source: str
    parameters: dict[str, Any] = Field(description="JSON schema.")


class ToolOut(Schema):
    name: str
    title: str
    summary: str
    available: bool
    reason: str = Field(description="Why it cannot be chosen.")


class LadderOut(Schema):
    uuid: UUID
    name: str
    simulated: bool
    tiers: list[TierOut]


class CollectionOut(Schema):
    uuid: UUID
    name: str
    title: str
    documents: int


class TaskOut(Schema):
    task_id: str
    question: str
    difficulty: str


class TrainingInput(Strict):
    kind: str = Field(description="What to train, see `GET /weights/kinds`.")
    name: str = Field("", description="Empty = the kind and a number.")
    ladder: str = Field(description="Name or UUID: its finished runs are learned from.")
    collection: str = Field("", description="Name or UUID; empty = runs over any documents.")
    classifier: str = Field("", description="Reference of a published one, where needed.")
    labels: str = Field(
        "",
        max_length=20_000_000,
        description="A label set as JSON lines (tandem.labels/1), where the kind needs labels.",
    )
    most: int = Field(1_000, ge=1, le=5_000, description="Runs at most, the newest.")
    options: dict[str, Any] = Field(default_factory=dict)
    encoder: str = Field("", description="Empty = this installation's; hashed = the stand-in.")
    seed: int = Field(0, ge=0, le=MAX_SEED)
    workspace: UUID | None = Field(None, description="Only needed if you belong to several.")


class WeightsOut(Schema):
    uuid: UUID
    reference: str = Field(description="What a strategy's parameter takes.")
    name: str
    kind: str
    digest: str
    stand_in: bool
    simulated: bool
    created_at: datetime
    manifest: dict[str, Any] = Field(description="Provenance, held-out report, calibration.")


class TrainingOut(Schema):
    uuid: UUID
    kind: str
    name: str
    status: str
    fraction: float
    message: str
    error: dict[str, str] | None
    source: str
    options: dict[str, Any]
    encoder: str
    seed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    weights: str | None = Field(description="Their reference, once it has finished.")


class KindOut(Schema):
    kind: str
    title: str
    summary: str
    needs_encoder: bool
    needs_classifier: bool
    needs_labels: bool
    options: dict[str, Any] = Field(description="JSON schema.")


class ExperimentInput(Strict):
    definition: dict[str, Any] = Field(
        description='An experiment as it is exported: format "tandem.experiment/1".'
    )
    max_parallel: int | None = Field(None, ge=1, description="Runs at once; null = as many as may.")
    workspace: UUID | None = Field(None, description="Only needed if you belong to several.")


class ProgressOut(Schema):
    revision: int = Field(description="Grows whenever a figure may have changed.")
    status: str
    notice: str
    total: int
    done: int = Field(description="Ended by themselves: with a result, or failed.")
    failed: int
    stopped: int = Field(description="Given up when the experiment was stopped; not among done.")
    running: int
    grading: int
    pending: int
    time_left_s: float | None


class ExperimentOut(Schema):
    uuid: UUID
    ref: str
    name: str
    status: str
    simulated: bool
    digest: str
    task_set: str
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: ProgressOut
    definition: dict[str, Any]


class TaskSetOut(Schema):
    uuid: UUID
    name: str
    title: str
    benchmark: str
    digest: str
    tasks_total: int
    needs: str
