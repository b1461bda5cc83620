"""What a simulated model is good and bad at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Skill:
    """Chances (0..1) of one turn, unless said otherwise. The defaults make no mistake at all."""

    comprehension: float = 1.0
    """Each fact has a fixed hardness in 0..1, the same for every model and seed; the model
    understands a passage at first sight if its hardness is below this."""
    second_look: float = 0.0
    """To understand a harder passage all the same, each time it looks at it."""
    misread: float = 0.0
    """To take a wrong value from a passage that it did not understand (it drifts), instead of
    noticing that it found nothing."""
    reconsider: float = 1.0
    """To look again at a page it has read before, when the trail stands still."""
    audit_plain: float = 0.0
    """To check an earlier finding that nobody doubted."""
    audit_doubted: float = 0.0
    """To check an earlier finding that is marked as doubtful."""
    poor_query: float = 0.0
    """To search with vague words instead of the name."""
    distraction: float = 0.0
    """To open another hit than the one it was looking for, if there is one."""
    confusion: float = 0.0
    """To take the fact of another page for the one it was looking for."""
    repetition: float = 0.0
    """To repeat a call that was answered before, when the trail stands still."""
    patience_calls: int = 40
    """Fruitless calls in a row before it thinks of giving up."""
    give_up: float = 0.0
    """To answer with a guess, once its patience is over."""
    false_progress: float = 0.0
    """To report progress where there was none."""
    missed_progress: float = 0.0
    """To report stagnation where there was progress."""
    detail: int = 1
    """Sentences of thought beside the necessary ones, 0..4: more output tokens."""


PERFECT = Skill()
