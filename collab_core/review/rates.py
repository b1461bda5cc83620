"""How often the agent's verdict on its own step is wrong, with intervals that allow for the draw.

Three denominators are in use and are kept apart by name (AgentCollab section 3 states "around 3 %"
and "7 %" of false progress checks and does not say of what):

* of the steps that it called progress, how many were none: ``false_of_progress``;
* of all its verdicts, how many were a false "progress": ``false_of_checks``;
* of the steps that made none, how many it called progress: ``false_of_stagnant``, which is what the
  simulated tiers' knob ``false_progress`` plants.

Missed progress has the same three, the other way round. Only steps with a usable verdict and a label
that could tell count anywhere.

Estimate: every step weighs one over its probability of being drawn, ``R = sum(w y) / sum(w d)``
(Hajek), ``d`` = it belongs to the denominator, ``y`` = it is one of the wrong ones.

Interval, 95 %: the variance of R by linearisation, with all steps of a run taken together,
``V = m / (m - 1) * sum over runs of (sum of w d (y - R) / sum(w d)) ** 2``; from it the effective
number ``n = R (1 - R) / V``, at most the number of labels, shrunk by the squared ratio of the normal
to Student's quantile with m - 1 degrees of freedom; then Wilson's interval for R with that n (the
approach of Korn and Graubard 1998 with Wilson's bounds). Where nothing or everything is wrong, V is 0
and says nothing: then n is that of the weights alone, ``sum(w) ** 2 / sum(w ** 2)``, at most the
number of runs where there are several, and the bounds are Clopper and Pearson's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from collab_core.metrics import Interval, wilson
from collab_core.review.labels import Label, latest
from collab_core.review.settle import settle

Numbers = NDArray[np.float64]
Method = Literal["linearised", "exact"]
Key = Callable[[Label], str]

_Z = 1.959963984540054


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """A share 0..1 of steps; None = no step in its denominator."""

    value: float | None
    """Weighted by one over the probability of being drawn."""
    low: float | None = None
    high: float | None = None
    """95 % interval of ``value``."""
    method: Method | None = None
    unweighted: float | None = None
    """Wrong over labelled, as if every step had been as likely to be drawn."""
    unweighted_low: float | None = None
    unweighted_high: float | None = None
    """Wilson's, as if steps were independent."""
    wrong: int = 0
    n: int = 0
    """Labelled steps in the denominator."""
    runs: int = 0
    """Runs that they are of."""
    effective_n: float | None = None
    """Independent, evenly drawn labels that would say as much."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of one group of labelled steps."""

    false_of_progress: Rate
    false_of_checks: Rate
    false_of_stagnant: Rate
    missed_of_stalls: Rate
    missed_of_checks: Rate
    missed_of_advancing: Rate
    correct_of_checks: Rate
    items: int
    """Labelled steps."""
    usable: int
    """Those with a usable verdict whose label could tell: what all rates rest on."""
    unsure: int
    """Nobody could tell, or the reviewers were split."""
    no_verdict: int
    """The agent gave no usable verdict."""
    labels: int
    """Latest revisions, all reviewers; decisions do not count."""
    simulated: bool
    """Some steps are of simulated models."""


def _band(label: Label) -> str:
    position = label.step_position
    ends = ((3, "1-3"), (8, "4-8"), (15, "9-15"))
    return next((name for end, name in ends if position <= end), "16 and later")


KEYS: dict[str, Key] = {
    "tier": lambda label: label.tier_name or str(label.tier),
    "model": lambda label: label.model,
    "strategy": lambda label: label.strategy,
    "ladder": lambda label: label.ladder,
    "collection": lambda label: label.collection,
    "step_position": _band,
    "prompt_version": lambda label: label.prompt_version,
    "stratum": lambda label: label.stratum,
}
"""What rates can be grouped by. Groups are domains of one draw: weights stay as they are."""


def rates(labels: Iterable[Label]) -> Rates:
    """Return the rates of one label set's labels, several reviewers' settled into one a step."""
    given = latest(labels)
    return _rates(settle(given), labels=sum(not one.adjudicated for one in given))


def rates_by(labels: Iterable[Label], key: Key) -> dict[str, Rates]:
    """Return the rates of each group; ``key`` is one of :data:`KEYS` or any function of a label."""
    groups: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        groups[key(label)].append(label)
    return {name: rates(groups[name]) for name in sorted(groups)}


def weighted_rate(
    wrong: Sequence[bool], weights: Sequence[float], clusters: Sequence[object]
) -> Rate:
    """Return the share of ``wrong``, each weighing ``weights``; steps of a cluster go together.

    >>> rate = weighted_rate([True, False, False], [1.0, 1.0, 2.0], ["a", "b", "c"])
    >>> rate.value, round(rate.unweighted, 3), rate.n, rate.runs
    (0.25, 0.333, 3, 3)
    """
    count = len(wrong)
    if not count:
        return Rate(value=None)
    y, w = np.asarray(wrong, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    places = _places(clusters)
    value = float(np.average(y, weights=w))
    events = int(y.sum())
    effective, method = _effective(y, w, places, value)
    interval = _exact(value, effective) if method == "exact" else _wilson(value, effective)
    plain = wilson(events, count)
    if plain is None:
        raise AssertionError("there are trials")
    return Rate(
        value=value,
        low=interval.low,
        high=interval.high,
        method=method,
        unweighted=events / count,
        unweighted_low=plain.low,
        unweighted_high=plain.high,
        wrong=events,
        n=count,
        runs=int(places.max()) + 1,
        effective_n=effective,
    )


def _rates(items: Sequence[Label], *, labels: int) -> Rates:
    usable = [one for one in items if one.kind not in ("unsure", "no_verdict")]

    def rate(wrong: Callable[[Label], bool], among: Callable[[Label], bool]) -> Rate:
        chosen = [one for one in usable if among(one)]
        return weighted_rate(
            [wrong(one) for one in chosen],
            [1.0 / one.probability for one in chosen],
            [one.run_id for one in chosen],
        )

    def false(one: Label) -> bool:
        return one.kind == "false_progress"

    def missed(one: Label) -> bool:
        return one.kind == "missed_progress"

    return Rates(
        false_of_progress=rate(false, lambda one: one.verdict == 1),
        false_of_checks=rate(false, lambda one: True),
        false_of_stagnant=rate(false, lambda one: one.made_progress is False),
        missed_of_stalls=rate(missed, lambda one: one.verdict == 0),
        missed_of_checks=rate(missed, lambda one: True),
        missed_of_advancing=rate(missed, lambda one: one.made_progress is True),
        correct_of_checks=rate(lambda one: one.kind == "correct", lambda one: True),
        items=len(items),
        usable=len(usable),
        unsure=sum(one.kind == "unsure" for one in items),
        no_verdict=sum(one.kind == "no_verdict" for one in items),
        labels=labels,
        simulated=any(one.simulated for one in items),
    )


def _places(clusters: Sequence[object]) -> NDArray[np.int64]:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in clusters], dtype=np.int64)


def _effective(
    y: Numbers, w: Numbers, places: NDArray[np.int64], value: float
) -> tuple[float, Method]:
    runs = int(places.max()) + 1
    of_weights = float(w.sum() ** 2 / (w**2).sum())
    if not 0.0 < value < 1.0:
        return (min(of_weights, float(runs)) if runs > 1 else of_weights), "exact"
    if runs == 1:
        # one run tells nothing of how runs differ; its steps are taken as independent
        return of_weights, "linearised"
    from scipy.special import stdtrit  # noqa: PLC0415 - takes a moment to import

    residuals = np.bincount(places, weights=w * (y - value)) / w.sum()
    variance = runs / (runs - 1) * float((residuals**2).sum())
    effective = value * (1 - value) / variance if variance > 0 else of_weights
    shrunk = min(effective, float(len(y))) * (_Z / float(stdtrit(runs - 1, 0.975))) ** 2
    return max(1.0, shrunk), "linearised"


def _wilson(value: float, n: float) -> Interval:
    centre = (value + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * float(np.sqrt(value * (1 - value) / n + _Z**2 / (4 * n**2))) / (1 + _Z**2 / n)
    return Interval(max(0.0, min(value, centre - half)), min(1.0, max(value, centre + half)))


def _exact(value: float, n: float) -> Interval:
    """Return Clopper and Pearson's bounds where nothing (0) or everything (1) is wrong."""
    reach = 1.0 - 0.025 ** (1.0 / n)
    return Interval(0.0, reach) if value == 0.0 else Interval(1.0 - reach, 1.0)
