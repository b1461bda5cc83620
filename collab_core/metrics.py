"""Figures over finished runs, each with its formula. Needs numpy, the standard library, the domain.

A tier path is the sequence of tiers of an agent instance's steps, in order: ``[1, 1, 0, 0, 1]``. A run
of one agent has one, a run of a planner and its seekers has one for each of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Interval(NamedTuple):
    low: float
    high: float


def tier_paths(steps: Iterable[tuple[str, int]]) -> list[list[int]]:
    """Return the tier paths of a run's steps, given as (scope, tier): one for each instance.

    Two steps of different instances are never neighbours, whatever their numbers.

    >>> tier_paths([("", 1), ("seeker-1.1", 1), ("seeker-1.2", 0), ("seeker-1.1", 0), ("", 1)])
    [[1, 1], [1, 0], [0]]
    """
    paths: dict[str, list[int]] = {}
    for scope, tier in steps:
        paths.setdefault(scope, []).append(tier)
    return list(paths.values())


def switching_ratio(paths: Sequence[Sequence[int]]) -> float | None:
    """Return the share of steps, in percent 0..100, whose tier differs from the step before.

    Micro-average over trajectories, one for each agent instance: sum of switches over sum of
    (steps - 1); the first step of each counts neither way. None if no trajectory has two steps.

    Source: AgentCollab Eq. 5.

    >>> switching_ratio([[1, 1, 0, 0, 1], [0, 0]])
    40.0
    """
    switches = sum(a != b for path in paths for a, b in itertools.pairwise(path))
    moves = sum(max(0, len(path) - 1) for path in paths)
    return 100.0 * switches / moves if moves else None


def large_step_share(paths: Sequence[Sequence[int]], *, top: int) -> float | None:
    """Return the share 0..1 of steps that ran on the top tier; None without steps.

    >>> large_step_share([[1, 1, 0, 0]], top=1)
    0.5
    """
    steps = sum(len(path) for path in paths)
    return sum(tier == top for path in paths for tier in path) / steps if steps else None


def large_token_ratio(output_tokens_by_tier: Sequence[int]) -> float | None:
    """Return the share 0..1 of generated tokens that the top tier generated.

    Source: AgentCollab section 3.4 (failure analysis).

    >>> large_token_ratio([300, 100])
    0.25
    """
    total = sum(output_tokens_by_tier)
    return output_tokens_by_tier[-1] / total if total else None


def speedup(baseline_s: float, method_s: float) -> float | None:
    """Return how many times faster the method is: total latency of the baseline over its own.

    Source: AgentCollab section 3.1; the baseline there is the large model alone, over all tasks.

    >>> speedup(30.0, 20.0)
    1.5
    """
    return baseline_s / method_s if baseline_s > 0 and method_s > 0 else None


def wilson(successes: float, trials: int, *, z: float = 1.959963984540054) -> Interval | None:
    """Return the Wilson score interval of a proportion, 0..1, 95 % by default; None without trials.

    >>> [round(x, 4) for x in wilson(98, 289)]
    [0.2869, 0.3955]
    """
    if trials == 0:
        return None
    p, n = successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # rounding must not push a bound past the proportion itself
    return Interval(min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half)))


def bootstrap_speedup(
    baseline_s: Sequence[float],
    method_s: Sequence[float],
    *,
    samples: int = 2_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval | None:
    """Return the percentile interval of the speedup, resampling tasks in pairs.

    ``baseline_s[i]`` and ``method_s[i]`` are the latencies of the same task.

    Raises:
        ValueError: the two do not have the same length.
    """
    if len(baseline_s) != len(method_s):
        raise ValueError(f"{len(baseline_s)} baseline latencies, but {len(method_s)} of the method")
    if not baseline_s:
        return None
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(baseline_s), size=(samples, len(baseline_s)))
    ratios = np.asarray(baseline_s)[picks].sum(axis=1) / np.asarray(method_s)[picks].sum(axis=1)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
