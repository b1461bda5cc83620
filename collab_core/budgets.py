"""How many steps a higher tier is granted at an escalation: AgentCollab, Eq. 2-4."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class BudgetSchedule:
    """f(B_0, n_t) of Eq. 2 with its open points as fields.

    Source: AgentCollab section 2.2. ``base`` is B_0, ``growth`` is k, ``maximum`` is B_max,
    ``midpoint`` is n_0. The text copy lost the condition of "Let B_0 denote the budget when …":
    ``offset`` 0 reads it as B_0 + k n (the default), 1 as B_0 + k (n - 1).
    """

    base: int = 2
    growth: float = 2.0
    maximum: int = 6
    schedule: Literal["linear", "sigmoid"] = "linear"
    midpoint: float = 1.0
    offset: Literal[0, 1] = 0

    def budget(self, level: int) -> int:
        """Return the steps granted at escalation level n_t = ``level`` >= 1, at least one.

        Halves round up, because both forms must give whole steps and the paper has no rule.

        Raises:
            ValueError: ``level`` is below 1; there is no escalation to grant a budget for.

        Source: Eq. 3 (linear) and Eq. 4 (sigmoid).

        >>> [BudgetSchedule().budget(n) for n in (1, 2, 3)]
        [4, 6, 6]
        >>> [BudgetSchedule(offset=1).budget(n) for n in (1, 2, 3, 4)]
        [2, 4, 6, 6]
        >>> [BudgetSchedule(growth=0).budget(n) for n in (1, 2, 9)]
        [2, 2, 2]
        >>> s = BudgetSchedule(schedule="sigmoid", maximum=6, growth=2, midpoint=1)
        >>> [s.budget(n) for n in (1, 2, 3)]
        [3, 5, 6]
        """
        if level < 1:
            raise ValueError(f"an escalation has level >= 1, not {level}")
        n = level - self.offset
        if self.schedule == "linear":
            granted = min(self.base + self.growth * n, float(self.maximum))
        else:
            granted = self.maximum * _sigmoid(self.growth * (n - self.midpoint))
        return max(1, math.floor(granted + 0.5))


def escalation_level(previous: int, *, made_progress: bool) -> int:
    """Return n_t, the number of consecutive stalls up to this step.

    Source: Eq. 1: 0 after progress, n_{t-1} + 1 after a stall.

    >>> escalation_level(2, made_progress=False), escalation_level(2, made_progress=True)
    (3, 0)
    """
    return 0 if made_progress else previous + 1


def _sigmoid(x: float) -> float:
    # the two forms avoid overflow for large |x|
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))
