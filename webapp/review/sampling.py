"""From a population of steps to the drawn ones, by the draws of ``collab_core/review/sampling.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np

from collab_core.errors import InvalidInput
from collab_core.learned.logs import read_run
from collab_core.review import sampling
from collab_core.review.suspicion import suspicions
from webapp.review.frame import Candidate
from webapp.review.models import Method
from webapp.runs.leases import read_history

MAX_ITEMS = 100_000
MAX_SUSPICIOUS = 5_000
"""Runs whose whole logs are read for a draw by suspicion."""


class Drawn(NamedTuple):
    step: Candidate
    probability: float
    stratum: str = ""
    suspicion: float | None = None


def _position(step: Candidate) -> str:
    """1 to 3, 4 to 6, 7 to 12, 13 to 24 …: the first steps of a run differ most."""
    low, high = 1, 3
    while step.step_position > high:
        low, high = high + 1, 2 * high
    return f"step {low} to {high}"


STRATA: dict[str, Callable[[Candidate], str]] = {
    "tier": lambda step: step.tier_name or f"tier {step.tier + 1}",
    "verdict": lambda step: "said progress" if step.verdict else "said none",
    "position": _position,
    "strategy": lambda step: step.strategy,
}


def draw(
    population: Sequence[Candidate], *, method: str, size: int, strata: Sequence[str], seed: int
) -> list[Drawn]:
    """Return the drawn steps in random order, each with the probability that it had.

    Raises:
        InvalidInput: with the field at fault.
    """
    if method == Method.ALL:
        return _everything(population, seed)
    if method == Method.RANDOM:
        return _drawn(population, sampling.draw_random(len(population), size, seed=seed))
    if method == Method.STRATIFIED:
        names = [stratum_of(step, strata) for step in population]
        drawn = sampling.draw_stratified(names, size, seed=seed)
        return _drawn(population, drawn, strata=names)
    if method == Method.SUSPICIOUS:
        scores = suspicion_scores(population)
        drawn = sampling.draw_suspicious(scores, size, seed=seed)
        return _drawn(population, drawn, scores=scores)
    raise InvalidInput(f"There is no draw {method[:40]!r}.", field="method")


def stratum_of(step: Candidate, names: Sequence[str]) -> str:
    """Return the stratum in words: "small, said progress".

    Raises:
        InvalidInput: no names, or unknown ones.
    """
    unknown = [name for name in names if name not in STRATA]
    if unknown or not names:
        raise InvalidInput(
            f"Strata are made of {', '.join(STRATA)}; not of {', '.join(unknown) or 'nothing'}.",
            field="strata",
        )
    return ", ".join(STRATA[name](step) for name in names)


def suspicion_scores(population: Sequence[Candidate]) -> list[float]:
    """Return one score a step; steps of runs that did not finish score 0, like unsuspicious ones.

    Raises:
        InvalidInput: too many runs.
    """
    runs = {step.run_id: step.run_uuid for step in population}
    if len(runs) > MAX_SUSPICIOUS:
        raise InvalidInput(
            f"A draw by suspicion reads the whole logs of at most {MAX_SUSPICIOUS:,} runs; these are "
            f"{len(runs):,}.",
            field="runs",
            hint="Narrow the filters, or draw at random.",
        )
    found = {(run_id, step): score for run_id, step, score in _scores(runs)}
    return [found.get((step.run_id, step.step), 0.0) for step in population]


def _scores(runs: dict[int, UUID]) -> Iterator[tuple[int, int, float]]:
    for run_id, uuid in runs.items():
        run = read_run(str(uuid), read_history(run_id))
        if isinstance(run, str):
            continue
        for branch in run.branches:
            records = [step.record for step in branch]
            for record, found in zip(records, suspicions(records), strict=True):
                yield run_id, record.index, found.score


def _everything(population: Sequence[Candidate], seed: int) -> list[Drawn]:
    if len(population) > MAX_ITEMS:
        raise InvalidInput(
            f"These runs have {len(population):,} steps; a queue holds {MAX_ITEMS:,}.",
            field="method",
            hint="Draw some of them.",
        )
    order = np.random.default_rng(seed).permutation(len(population))
    return [Drawn(population[place], 1.0) for place in order.tolist()]


def _drawn(
    population: Sequence[Candidate],
    drawn: sampling.Drawn,
    *,
    strata: Sequence[str] | None = None,
    scores: Sequence[float] | None = None,
) -> list[Drawn]:
    places, probabilities = drawn.places.tolist(), drawn.probability.tolist()
    return [
        Drawn(
            population[place],
            probability,
            strata[place] if strata else "",
            scores[place] if scores else None,
        )
        for place, probability in zip(places, probabilities, strict=True)
    ]
