"""What MasRouter's cascade decided for one question and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from collab_core.learned.masrouter import Team


@dataclass(frozen=True, kw_only=True)
class TeamEpisode:
    """``reward``: 1 for a correct answer, else 0."""

    question: str
    team: Team
    blocked: tuple[int, ...] = ()
    cost_usd: float
    reward: float
    drawn_with: float | None = None
    """Log-probability of the team under the weights that drew it; None = not known."""


class Choosing(Protocol):
    """What a world asks while it plays."""

    def team(self, question: str, *, blocked: Sequence[int] = ()) -> Team:
        """Return the whole decision for a question."""
        ...


class TeamWorld(Protocol):
    """Where a cascade is trained live: a simulation, or a ladder with real runs."""

    questions: Sequence[str]

    def play(
        self, indices: Sequence[int], choosing: Choosing, *, seed: int
    ) -> Sequence[TeamEpisode]:
        """Play the questions with these numbers and return one episode each, in order."""
        ...


def utility(episode: TeamEpisode, cost_rate: float) -> float:
    """Return solved - cost_rate * cost."""
    return episode.reward - cost_rate * episode.cost_usd
