"""Bodies of the review's routes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from collab_core.review.labels import MAX_COMMENT_CHARS
from webapp.api.schemas import Strict
from webapp.review.models import QUESTION
from webapp.review.sampling import MAX_ITEMS
from webapp.review.services import MAX_NAME, MAX_OVERLAP, MAX_QUESTION, MAX_SEED


class LabelSetInput(Strict):
    name: str = Field(min_length=1, max_length=MAX_NAME)
    question: str = Field(QUESTION, max_length=MAX_QUESTION)
    overlap: int = Field(1, ge=1, le=MAX_OVERLAP, description="Reviewers an item.")
    adjudicator: str = Field("", description="User name of who decides besides the owners.")
    workspace: UUID | None = Field(None, description="Only needed if you belong to several.")


class LabelSetOut(Schema):
    uuid: UUID
    name: str
    question: str
    overlap: int
    blind: bool
    adjudicator: str
    created_at: datetime


class QueueInput(Strict):
    name: str = Field(min_length=1, max_length=120)
    runs: list[UUID] = Field(default_factory=list, max_length=50_000)
    filters: dict[str, str] = Field(
        default_factory=dict, description="As in `GET /runs`; used where `runs` is empty."
    )
    method: Literal["all", "random", "stratified", "suspicious"] = "random"
    size: int = Field(60, ge=1, le=MAX_ITEMS)
    strata: list[Literal["verdict", "tier", "position", "strategy"]] = Field(default_factory=list)
    seed: int = Field(0, ge=0, le=MAX_SEED)
    people: list[str] = Field(default_factory=list, description="User names; empty = everybody.")
    dealt: bool = False


class QueueOut(Schema):
    uuid: UUID
    name: str
    label_set: str
    method: str
    seed: int
    population: int
    drawn: int
    done: int
    labels: int
    closed: bool


class ItemsOut(Schema):
    items: list[dict[str, Any]] = Field(description="Position, task, step and trajectory of each.")


class GivenInput(Strict):
    answer: Literal["yes", "no", "unsure"]
    comment: str = Field("", max_length=MAX_COMMENT_CHARS)
    first_error: bool = False
    seconds: float | None = Field(None, ge=0)


class OwnLabelOut(Schema):
    answer: str
    comment: str
    first_error: bool
    revision: int
    blind: bool


class SavedOut(Schema):
    position: int
    repeated: bool
    label: OwnLabelOut


class RefusalOut(Schema):
    line: int
    message: str


class ImportOut(Schema):
    label_set: UUID
    stored: int
    unchanged: int
    refused: int
    refusals: list[RefusalOut]
