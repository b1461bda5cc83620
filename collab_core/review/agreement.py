"""How far reviewers agree: percent, Cohen's kappa, Krippendorff's alpha, drift, disagreements.

"Cannot tell" is no answer here: it is counted, and left out of the figures. Adjudicated labels are
decisions made in sight of the others, not ratings, and are left out too.

Intervals, 95 %: percentiles of a bootstrap by item, 2,000 resamples. Items with the same pattern of
answers are alike, so a resample is one multinomial draw of how often each pattern comes.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from collab_core.review.labels import Label, latest

Numbers = NDArray[np.float64]
Measure = Callable[[Numbers], Numbers]

SAMPLES = 2_000
LEAST_USABLE_FRAC = 0.9
"""Of the resamples; with fewer the interval would be one of the cases where there is a figure."""
NOTHING_SHARED = "no step has two answers"
ONE_CATEGORY = (
    "everybody gave the same answer, so agreement by chance cannot be told from agreement"
)
CHANCE_IS_CERTAIN = (
    "each of the two gave one answer throughout, so chance alone explains everything"
)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A measure of agreement; None with the reason where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    items: int = 0
    """Steps that it rests on."""
    reason: str = ""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two reviewers on the steps that both answered."""

    first: str
    second: str
    percent: Figure
    """Share 0..1 of those steps with the same answer."""
    kappa: Figure
    """Cohen's."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time, by when a step got its second answer (UTC epoch seconds)."""

    start: float
    end: float
    percent: Figure
    alpha: Figure
    progress_share: float | None
    """Of its answers, how many said progress."""


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """A step on which answers differ."""

    label_set: str
    run_id: UUID
    step: int
    answers: dict[str, bool | None]
    """By reviewer; None = cannot tell."""
    decision: bool | None = None
    """The adjudicator's; None = none yet, or it could not be told."""
    decided: bool = False
    at: float
    """Of the latest answer."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """All of one label set."""

    percent: Figure
    """Share 0..1 of pairs of answers on the same step that are the same."""
    alpha: Figure
    """Krippendorff's, nominal, missing values allowed."""
    pairs: tuple[Pair, ...]
    drift: tuple[Window, ...]
    disagreements: tuple[Disagreement, ...]
    answers: int
    unsure: int
    """Answers "cannot tell"."""
    shared_items: int
    """Steps with two answers or more."""


class _Item(msgspec.Struct):
    """A step with its ratings."""

    key: tuple[str, UUID, int]
    ratings: dict[str, Label]
    decision: Label | None = None

    def sure(self) -> dict[str, bool]:
        said = {name: label.made_progress for name, label in self.ratings.items()}
        return {name: answer for name, answer in said.items() if answer is not None}

    def shared_at(self) -> float:
        """When the second answer came."""
        times = sorted(one.at for one in self.ratings.values() if one.made_progress is not None)
        return times[1]


def agreement(labels: Iterable[Label], *, windows: int = 4, seed: int = 0) -> Agreement:
    """Return how far the reviewers of one label set agree; ``windows`` parts of it for the drift."""
    items = _items(labels)
    shared = [item for item in items if len(item.sure()) > 1]
    patterns = _patterns(shared)
    ratings = [label for item in items for label in item.ratings.values()]
    return Agreement(
        percent=_percent(patterns, seed),
        alpha=_alpha(patterns, seed),
        pairs=tuple(_pairs(items, seed)),
        drift=tuple(_drift(shared, windows, seed)),
        disagreements=tuple(_disagreements(items)),
        answers=sum(label.made_progress is not None for label in ratings),
        unsure=sum(label.made_progress is None for label in ratings),
        shared_items=len(shared),
    )


def percent_agreement(answers: Sequence[Sequence[bool]], *, seed: int = 0) -> Figure:
    """Return the share of pairs of answers on the same item that are the same.

    ``answers``: for each item what its reviewers said.

    >>> percent_agreement([[True, True, False], [True, True]]).value
    0.5
    """
    return _percent(_counted(answers), seed)


def krippendorff_alpha(answers: Sequence[Sequence[bool]], *, seed: int = 0) -> Figure:
    """Return Krippendorff's alpha for nominal answers; items may have different numbers of them.

    ``1 - D_o / D_e`` with ``D_o = sum over items of (differing ordered pairs) / (m_u - 1) / n`` and
    ``D_e = (differing ordered pairs of all n answers) / (n (n - 1))``.

    Source: Krippendorff, Content Analysis (2004), section 11.3.

    >>> round(krippendorff_alpha([[True, True], [True, False], [False, False]]).value, 4)
    0.4444
    """
    return _alpha(_counted(answers), seed)


def cohen_kappa(both: Sequence[tuple[bool, bool]], *, seed: int = 0) -> Figure:
    """Return Cohen's kappa of two reviewers' answers on the same items: (p_o - p_e) / (1 - p_e).

    >>> cohen_kappa([(True, True), (True, False), (False, False), (False, False)]).value
    0.5
    """
    counts = Counter(both)
    cells = np.array([[counts[a, b] for b in (True, False)] for a in (True, False)], dtype=float)
    if not cells.sum():
        return Figure(value=None, reason=NOTHING_SHARED)

    def kappa(tables: Numbers) -> Numbers:
        square = tables.reshape(-1, 2, 2) / tables.sum(axis=1)[:, None, None]
        observed = square[:, 0, 0] + square[:, 1, 1]
        chance = (square.sum(axis=2) * square.sum(axis=1)).sum(axis=1)
        return _ratio(observed - chance, 1.0 - chance)

    return _figure(cells.reshape(-1), kappa, CHANCE_IS_CERTAIN, seed)


class _Patterns(msgspec.Struct):
    """Different patterns of answers: how many said yes and no, and how many items are such."""

    yes: Numbers
    no: Numbers
    items: Numbers


def _counted(answers: Iterable[Sequence[bool]]) -> _Patterns:
    found = Counter((sum(a), len(a) - sum(a)) for a in answers if len(a) > 1)
    yes, no, items = ([k[0] for k in found], [k[1] for k in found], list(found.values()))
    return _Patterns(*(np.array(x, dtype=np.float64) for x in (yes, no, items)))


def _patterns(items: Iterable[_Item]) -> _Patterns:
    return _counted([list(item.sure().values()) for item in items])


def _percent(patterns: _Patterns, seed: int) -> Figure:
    yes, no = patterns.yes, patterns.no
    pairs = (yes + no) * (yes + no - 1)
    same = yes * (yes - 1) + no * (no - 1)

    def share(often: Numbers) -> Numbers:
        return _ratio(often @ same, often @ pairs)

    return _figure(patterns.items, share, NOTHING_SHARED, seed)


def _alpha(patterns: _Patterns, seed: int) -> Figure:
    yes, no = patterns.yes, patterns.no
    differing = 2 * yes * no / np.maximum(1.0, yes + no - 1)

    def alpha(often: Numbers) -> Numbers:
        all_yes, all_no = often @ yes, often @ no
        return 1.0 - _ratio((all_yes + all_no - 1) * (often @ differing), 2 * all_yes * all_no)

    return _figure(patterns.items, alpha, ONE_CATEGORY, seed)


def _figure(often: Numbers, measure: Measure, undefined: str, seed: int) -> Figure:
    """Return the measure with its interval; ``often``: how many items have each pattern."""
    items = int(often.sum())
    if not items:
        return Figure(value=None, reason=NOTHING_SHARED)
    value = float(measure(often[None, :])[0])
    if not np.isfinite(value):
        return Figure(value=None, items=items, reason=undefined)
    drawn = np.random.default_rng(seed).multinomial(items, often / items, size=SAMPLES)
    found = measure(drawn.astype(np.float64))
    found = found[np.isfinite(found)]
    if len(found) < LEAST_USABLE_FRAC * SAMPLES:
        return Figure(value=value, items=items, reason="too few items for an interval")
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(value=value, low=float(low), high=float(high), items=items)


def _ratio(above: Numbers, below: Numbers) -> Numbers:
    """Divide; NaN where there is nothing below."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 1e-12)


def _items(labels: Iterable[Label]) -> list[_Item]:
    items: dict[tuple[str, UUID, int], _Item] = {}
    for label in latest(labels):
        key = (label.label_set, *label.item)
        item = items.setdefault(key, _Item(key, {}))
        if not label.adjudicated:
            item.ratings[label.reviewer] = label
        elif item.decision is None or item.decision.at < label.at:
            item.decision = label
    return list(items.values())


def _pairs(items: Sequence[_Item], seed: int) -> Iterable[Pair]:
    both: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for item in items:
        for (first, a), (second, b) in itertools.combinations(sorted(item.sure().items()), 2):
            both[first, second].append((a, b))
    for (first, second), answers in sorted(both.items()):
        yield Pair(
            first=first,
            second=second,
            percent=percent_agreement(answers, seed=seed),
            kappa=cohen_kappa(answers, seed=seed),
        )


def _drift(shared: Sequence[_Item], windows: int, seed: int) -> Iterable[Window]:
    ordered = sorted(shared, key=_Item.shared_at)
    windows = min(windows, len(ordered))
    for part in range(windows):
        first, last = part * len(ordered) // windows, (part + 1) * len(ordered) // windows
        chosen = ordered[first:last]
        patterns = _patterns(chosen)
        yes, no = (float(patterns.items @ x) for x in (patterns.yes, patterns.no))
        yield Window(
            start=chosen[0].shared_at(),
            end=chosen[-1].shared_at(),
            percent=_percent(patterns, seed),
            alpha=_alpha(patterns, seed),
            progress_share=yes / (yes + no),
        )


def _disagreements(items: Sequence[_Item]) -> list[Disagreement]:
    """Return them undecided first, then the latest first."""
    found = [_disagreement(item) for item in items if len(set(item.sure().values())) > 1]
    return sorted(found, key=lambda one: (one.decided, -one.at))


def _disagreement(item: _Item) -> Disagreement:
    label_set, run_id, step = item.key
    return Disagreement(
        label_set=label_set,
        run_id=run_id,
        step=step,
        answers={name: label.made_progress for name, label in item.ratings.items()},
        decision=item.decision.made_progress if item.decision else None,
        decided=item.decision is not None,
        at=max(label.at for label in item.ratings.values()),
    )
