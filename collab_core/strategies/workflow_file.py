"""The file of a workflow: roles, whose output each of them reads, and who answers."""

from __future__ import annotations

import graphlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from collab_core.errors import InvalidInput

EXAMPLES = Path(__file__).with_name("workflows")
MAX_FILE_BYTES = 256 * 1024
MAX_ROLES = 32


class Role(BaseModel):
    """One node of the graph."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    prompt: str = Field(min_length=1, max_length=8_000)
    reads: tuple[str, ...] = Field(default=(), max_length=MAX_ROLES)
    """The edges into this role: whose output it is shown, in this order."""
    tools: bool = False
    """It works in steps with the run's tools; else it writes once."""
    steps: int = Field(default=12, ge=1, le=100)
    """With tools: after so many steps it must give its result."""
    tier: str = Field(default="", max_length=60)
    """Name or place of its tier; "" = the strategy's."""
    policy: str = Field(default="", max_length=60)
    """A policy that decides at every step of this role, instead of a tier."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Of that policy."""

    @model_validator(mode="after")
    def _one_says_who_runs_it(self) -> Role:
        if self.tier and self.policy:
            raise ValueError(f"role {self.id}: give a tier or a policy, not both")
        if self.parameters and not self.policy:
            raise ValueError(f"role {self.id}: parameters need a policy")
        if self.id == "main":
            raise ValueError("no role is called main: the log calls the whole run so")
        if self.id in self.reads:
            raise ValueError(f"role {self.id} reads itself")
        if len(set(self.reads)) < len(self.reads):
            raise ValueError(f"role {self.id} reads another role twice")
        return self


class Workflow(BaseModel):
    """The graph."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    origin: str = Field(min_length=1, max_length=1_000)
    """Who searched it, on what, and at what cost; shown with the run's results."""
    final: str
    """The role whose output is the answer."""
    roles: tuple[Role, ...] = Field(min_length=1, max_length=MAX_ROLES)

    @property
    def by_id(self) -> Mapping[str, Role]:
        return {role.id: role for role in self.roles}

    @model_validator(mode="after")
    def _is_a_graph_that_ends(self) -> Workflow:
        known = self.by_id
        if len(known) < len(self.roles):
            raise ValueError("two roles have the same id")
        missing = [(r.id, other) for r in self.roles for other in r.reads if other not in known]
        if missing:
            raise ValueError(f"role {missing[0][0]} reads {missing[0][1]!r}, which is not there")
        if self.final not in known:
            raise ValueError(f"final: there is no role {self.final[:60]!r}")
        try:
            graphlib.TopologicalSorter({r.id: r.reads for r in self.roles}).prepare()
        except graphlib.CycleError as error:
            cycle = " -> ".join(reversed(error.args[1]))
            raise ValueError(f"the roles read one another in a circle: {cycle}") from None
        self._reach_the_end()
        return self

    def _reach_the_end(self) -> None:
        known, needed, open_roles = self.by_id, {self.final}, [self.final]
        while open_roles:
            new = set(known[open_roles.pop()].reads) - needed
            needed |= new
            open_roles += sorted(new)
        unread = [role.id for role in self.roles if role.id not in needed]
        if unread:
            raise ValueError(f"nobody on the way to {self.final} reads role {unread[0]}")


def example_names() -> list[str]:
    """Return the shipped examples."""
    return sorted(path.stem for path in EXAMPLES.glob("*.toml"))


def read_workflow(path: Path, *, field: str) -> Workflow:
    """Read a workflow file: JSON if its name ends so, else TOML.

    Raises:
        InvalidInput: it is too large, not of that form, or no graph that ends in its final role.
    """
    name = path.name[:80]
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"{name} is larger than {MAX_FILE_BYTES:,} bytes.", field=field)
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            raw = msgspec.json.decode(text)
        else:
            raw = tomllib.loads(text)
        return Workflow.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")
        at = f" at {place}" if place else ""
        raise InvalidInput(f"{name}{at}: {what}.", field=field) from error
    except (OSError, ValueError, RecursionError) as error:
        said = str(error)[:200]
        raise InvalidInput(f"{name} cannot be read: {said}.", field=field) from error
