"""What the tests know of the planted data."""

from __future__ import annotations

from dataclasses import dataclass, field

PASSWORD = "a-password-for-tests"
QUESTION = "Which shipyard built the Velvet Lapwing, and when was it founded?"
LONG = (1_000, 5_000)
STEPS = 12
"""Steps of the short planted runs."""


@dataclass
class Ground:
    """What was planted: runs (their UUIDs) by what they show."""

    runs: dict[str, str] = field(default_factory=dict)
    learned: dict[str, str] = field(default_factory=dict)
    """Weights and trainings by what they show."""
    trialled: dict[str, str] = field(default_factory=dict)
    """Experiments, their task set and a what-if by what they show."""
    hostile_learned: dict[str, str] = field(default_factory=dict)
    review: dict[str, str] = field(default_factory=dict)
    """A label set, queues and a labelled run by what they show."""
    hostile_trialled: dict[str, str] = field(default_factory=dict)
    hostile_review: dict[str, str] = field(default_factory=dict)
    hostile_ladder: str = ""
    hostile_endpoint: str = ""

    def path(self, name: str) -> str:
        return f"/runs/{self.runs[name]}/"
