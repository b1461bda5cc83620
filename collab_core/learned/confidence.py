"""How sure a model was of what it wrote, made comparable between models.

Source: OI-MAS, Eq. 4 and appendix B. The appendix names the parts and gives no numbers; the window,
the percentiles and the law of interpolation are our reconstruction.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

WINDOW = 256
"""Recent states a model's statistics rest on."""
LOW_PERCENTILE, HIGH_PERCENTILE = 5.0, 95.0
HALF_TRUST = 20
"""Observations at which the model's own scale and the fallback weigh the same."""


@dataclass(frozen=True, kw_only=True)
class ConfidenceRules:
    window: int = WINDOW
    low_percentile: float = LOW_PERCENTILE
    high_percentile: float = HIGH_PERCENTILE
    half_trust: int = HALF_TRUST


class ConfidenceScale:
    """Conf_adj of each model, from running statistics over its recent states.

    ``Conf_adj = (1 - w) * exp(x) + w * clip((x - p5) / (p95 - p5), 0, 1)`` with ``w = n / (n + 20)``,
    x = Conf_base, n = the model's observations so far (at most the window). The state that is judged
    is not part of its own statistics.
    """

    def __init__(self, models: int, rules: ConfidenceRules | None = None) -> None:
        self.rules = rules or ConfidenceRules()
        self._recent: list[deque[float]] = [deque(maxlen=self.rules.window) for _ in range(models)]
        self.unknown = 0
        """States whose server gave no log-probabilities."""

    def adjusted(self, model: int, mean_logprob: float | None) -> float:
        """Return Conf_adj in 0..1, larger = surer, and remember the state.

        None (no log-probabilities) counts as 1: the cost is charged in full, as without confidence.
        """
        if mean_logprob is None or not math.isfinite(mean_logprob):
            self.unknown += 1
            return 1.0
        value = min(0.0, mean_logprob)
        recent = self._recent[model]
        fallback = math.exp(value)
        trust = len(recent) / (len(recent) + self.rules.half_trust)
        scaled = self._scaled(recent, value, fallback) if recent else fallback
        recent.append(value)
        return (1 - trust) * fallback + trust * scaled

    def _scaled(self, recent: deque[float], value: float, fallback: float) -> float:
        bounds = (self.rules.low_percentile, self.rules.high_percentile)
        low, high = np.percentile(recent, bounds)
        if high <= low:
            return fallback
        return float(np.clip((value - low) / (high - low), 0.0, 1.0))
