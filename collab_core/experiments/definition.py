"""What an experiment is, as a file: what the web application exports and the command line runs.

A definition holds names only, no addresses and no keys: who imports it brings ladders and task sets
of the same names.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from collab_core.errors import InvalidInput

FORMAT: Literal["tandem.experiment/1"] = "tandem.experiment/1"
MAX_ARMS = 50
MAX_SEEDS = 100
MAX_BYTES = 5_000_000
MAX_SEED = 2**53 - 1
"""What JSON readers of every language keep exactly."""


def _one_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("use printable characters, on one line")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSelection(_Part):
    """Which tasks of which set."""

    name: str = Field(min_length=1, max_length=80, description="The set's name: world, gsm8k …")
    digest: str = Field("", max_length=64, description="SHA-256 of the set; checked when given.")
    ids: tuple[str, ...] | None = Field(None, description="These tasks; empty = chosen below.")
    difficulties: tuple[str, ...] = Field((), description="Only these; empty = all.")
    categories: tuple[str, ...] = Field((), description="Only these; empty = all.")
    count: int | None = Field(None, ge=1, description="So many, drawn at random; empty = all.")
    sample_seed: Seed = Field(0, description="Of that draw.")


class Arm(_Part):
    """One row of the table: a strategy with its parameters on a ladder."""

    label: Line = Field(min_length=1, max_length=80, description="Unique in the experiment.")
    strategy: str = Field(min_length=1, max_length=60)
    parameters: dict[str, Any] = Field(default_factory=dict)
    ladder: str = Field(min_length=1, max_length=80)


class Judge(_Part):
    """Who says whether answers are right, where the tasks need somebody."""

    endpoint: str = Field(min_length=1, max_length=80, description="An endpoint's name.")


class Definition(_Part):
    """An experiment: every arm does every chosen task once a seed."""

    format: Literal["tandem.experiment/1"] = FORMAT
    name: Line = Field(min_length=1, max_length=120)
    description: str = Field("", max_length=4_000)
    tasks: TaskSelection
    arms: tuple[Arm, ...] = Field(min_length=1, max_length=MAX_ARMS)
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, max_length=MAX_SEEDS)
    limits: dict[str, Any] = Field(default_factory=dict)
    tools: tuple[str, ...] | None = Field(None, description="Of the catalogue; empty = default.")
    collection: str = Field("", max_length=80, description="What the tools search; empty = none.")
    baseline: str = Field("", max_length=80, description="The arm that speedups are against.")
    judge: Judge | None = None
    published: str = Field("", max_length=80, description="Published rows to lay beside.")

    @model_validator(mode="after")
    def _consistent(self) -> Definition:
        labels = [arm.label for arm in self.arms]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            raise ValueError(f"two arms are called {twice!r}")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("a seed stands there twice")
        if self.baseline and self.baseline not in labels:
            raise ValueError(f"the baseline {self.baseline!r} is no arm")
        self._check_storable()
        return self

    def _check_storable(self) -> None:
        """Refuse what no database keeps, also among the parameters."""
        try:
            written = json.dumps(self.model_dump(), allow_nan=False, ensure_ascii=False)
            written.encode()
        except (TypeError, ValueError) as error:
            raise ValueError(
                "it holds something that JSON cannot: NaN, half a character"
            ) from error
        if r"\u0000" in written.replace(r"\\", ""):
            raise ValueError("a text holds the character U+0000")


def parse(raw: bytes | str) -> Definition:
    """Read an exported definition.

    Raises:
        InvalidInput: it is too large or no definition; the message names the field at fault.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidInput("The file is too large for an experiment.", field="definition")
    try:
        return Definition.model_validate_json(raw)
    except pydantic.ValidationError as error:
        raise _invalid(error) from error


def build(values: dict[str, Any]) -> Definition:
    """Check values from a form or an API.

    Raises:
        InvalidInput: with the field at fault.
    """
    try:
        return Definition.model_validate(values)
    except pydantic.ValidationError as error:
        raise _invalid(error) from error


def _invalid(error: pydantic.ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return InvalidInput(
        f"{field}: {message}." if field else f"The experiment is wrong: {message}.",
        field=field or "definition",
        hint='Export an experiment to see the format ("tandem.experiment/1").',
    )


def digest(definition: Definition) -> str:
    """Return what identifies the definition: the same content gives the same SHA-256."""
    return hashlib.sha256(definition.model_dump_json().encode()).hexdigest()


def trial_seed(seed: int, task_id: str) -> int:
    """Return the seed (0..2**31-1) of a task's runs under one seed of the experiment.

    All arms share it, so that they are compared on the same chance; tasks do not.
    """
    made = hashlib.sha256(f"{seed}/{task_id}".encode()).digest()
    return int.from_bytes(made[:4], "big") & 0x7FFF_FFFF
