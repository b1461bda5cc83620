"""REINFORCE over small nets: the loop that OI-MAS and MasRouter share.

Gradients come from the autograd package, steps from its Adam; importing this module is for training
only. Inference needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from autograd import value_and_grad
from autograd.misc.optimizers import adam
from numpy.typing import NDArray

from collab_core.errors import InvalidInput

Array = NDArray[np.float64]
Params = Mapping[str, Array]
Loss = Callable[[Any], Any]
"""From parameters to a scalar; called with autograd's boxes."""
Progress = Callable[[float, str], None]


@dataclass(kw_only=True)
class MovingAverage:
    """A baseline: the running mean of returns; subtracting it leaves the gradient unbiased."""

    decay: float = 0.9
    value: float | None = None

    def advantages(self, returns: Array) -> Array:
        """Return the returns less the mean of the *earlier* ones, then take these in."""
        mean = float(returns.mean())
        before = mean if self.value is None else self.value
        self.value = self.decay * before + (1 - self.decay) * mean
        return returns - before


def weigh(
    returns: Sequence[float],
    baseline: MovingAverage | None,
    importance: Sequence[float] | None = None,
) -> Array:
    """Return what REINFORCE multiplies each episode's log-probability with, a constant.

    ``importance`` = new over old probability of each episode, None = 1.
    """
    earned = np.asarray(returns, dtype=np.float64)
    if baseline is not None:
        earned = baseline.advantages(earned)
    return earned if importance is None else earned * np.asarray(importance, dtype=np.float64)


@dataclass(kw_only=True)
class History:
    """What a training did, step by step."""

    losses: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    """Mean reward of each batch, before costs."""
    penalties: list[float] = field(default_factory=list)
    """Mean cost term of each batch: lambda * sum of Conf_adj * C, or cost_rate * cost."""


def descend(
    params: Params,
    loss_of: Callable[[dict[str, Array], int], Loss],
    *,
    steps: int,
    learning_rate: float,
    progress: Progress,
    history: History,
) -> dict[str, Array]:
    """Return the parameters after ``steps`` steps of Adam.

    ``loss_of(params, step)`` plays or draws a batch with the present parameters and returns the loss
    of it. ``progress`` may raise to stop.

    Raises:
        InvalidInput: the loss or a gradient is no longer a finite number.
    """

    def gradient(current: Any, step: int) -> Any:
        # what is no number any more is told below, in words
        with np.errstate(all="ignore"):
            value, slope = value_and_grad(loss_of(current, step))(current)
        _check_finite(float(value), slope, step)
        history.losses.append(float(value))
        progress((step + 1) / steps, f"step {step + 1} of {steps}")
        return slope

    # a copy: nobody's arrays change under them
    start = {name: np.array(value, dtype=np.float64) for name, value in params.items()}
    if not steps:
        return start
    trained: dict[str, Array] = adam(gradient, start, num_iters=steps, step_size=learning_rate)
    return trained


def fading(start: float, step: int, steps: int) -> float:
    """Return what is left at ``step`` (from 0) of a bonus that falls to nothing along a line.

    >>> [fading(0.2, step, 4) for step in range(4)]
    [0.2, 0.15000000000000002, 0.1, 0.05]
    """
    return start * (1.0 - step / steps)


def importance_weights(now: Array, then: Array, *, largest: float) -> Array:
    """Return exp(now - then) of log-probabilities, clipped at ``largest``.

    >>> importance_weights(np.log([0.5, 0.9]), np.log([0.25, 0.1]), largest=5.0).tolist()
    [2.0, 5.0]
    """
    return np.minimum(np.exp(np.minimum(now - then, 50.0)), largest)


def log_softmax(logits: Any, xp: Any) -> Any:
    """Return the logarithm of softmax along the last axis; ``xp`` is numpy or autograd.numpy."""
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def _check_finite(value: float, slope: Mapping[str, Array], step: int) -> None:
    if np.isfinite(value) and all(np.isfinite(part).all() for part in slope.values()):
        return
    raise InvalidInput(
        f"The training diverged at step {step + 1}: the loss is no longer a finite number.",
        field="learning_rate",
        hint="Lower learning_rate or cost_weight.",
    )
