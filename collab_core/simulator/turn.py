"""What one turn of a simulated model comes to, before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Action(NamedTuple):
    """A tool call to make."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(kw_only=True)
class Outcome:
    """``advanced``: did the latest observation (or a fresh look at older ones) bring the trail on?

    Exactly one of ``action`` and ``answer`` is set. ``doubtful`` marks the notes of this turn.
    """

    advanced: bool = False
    reported: bool = True
    """The verdict that it gives: ``advanced``, sometimes mistaken."""
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    rationale: str = ""
    action: Action | None = None
    answer: str | None = None
    voice: str = ""
    """Whose words it is put into: planner, writer; "" = an agent that works alone."""
    aim: str = ""
    """What the call is about, for the thought; "" = its first argument says it."""
    guessed: bool = False
    """The answer is the best it could do, not the end of a trail."""

    @property
    def certainty(self) -> float:
        """How sure of itself the wording is, 0..1: it shows in the log-probabilities."""
        return 0.92 if self.reported else 0.6
