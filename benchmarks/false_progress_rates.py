"""Does the 95 % interval of the false-progress rate cover the truth, however the steps were drawn?

``python -m benchmarks.false_progress_rates``: planted runs whose true rate is known, labelled from a
random, a stratified and a most-suspicious-first draw, many times over. No model, no clock.
"""

from __future__ import annotations

import argparse
import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import write_result
from collab_core.review.rates import weighted_rate
from collab_core.review.sampling import Drawn, draw_random, draw_stratified, draw_suspicious

Numbers = NDArray[np.float64]
DESIGNS = ("random", "stratified", "suspicious")


class Planted(NamedTuple):
    """Checks of many runs: is it a false "progress", how suspicious is it, whose is it."""

    wrong: NDArray[np.bool_]
    scores: Numbers
    runs: NDArray[np.int64]
    strata: list[str]


def plant(*, rate: float, runs: int, between: float, seed: int) -> Planted:
    """Return runs of 5 to 30 checks; each run has a rate of its own around ``rate`` (a Beta
    distribution whose intra-run correlation is ``between``).

    A false "progress" looks suspicious two times out of three; a right verdict one time out of six.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(5, 31, runs)
    spread = 1.0 / between - 1.0
    own = rng.beta(rate * spread, (1 - rate) * spread, runs)
    places = np.repeat(np.arange(runs), lengths)
    wrong = rng.random(len(places)) < own[places]
    looks = rng.random(len(places)) < np.where(wrong, 2 / 3, 1 / 6)
    scores = np.where(looks, rng.integers(2, 10, len(places)), rng.integers(0, 2, len(places)))
    strata = ["late" if late else "early" for late in rng.random(len(places)) < 0.3]
    return Planted(wrong, scores.astype(np.float64), places, strata)


def draw(planted: Planted, design: str, size: int, *, seed: int) -> Drawn:
    """Return the steps that a reviewer would be given."""
    if design == "random":
        return draw_random(len(planted.wrong), size, seed=seed)
    if design == "stratified":
        return draw_stratified(planted.strata, size, seed=seed)
    return draw_suspicious(planted.scores.tolist(), size, seed=seed)


def coverage(
    design: str, *, rate: float, size: int, runs: int, between: float, trials: int
) -> dict[str, float]:
    """Return how often the interval held the true rate, its mean width, and the bias."""
    weighted: list[tuple[float | None, ...]] = []
    plain: list[tuple[float | None, ...]] = []
    for seed in range(trials):
        planted = plant(rate=rate, runs=runs, between=between, seed=seed)
        drawn = draw(planted, design, size, seed=10**6 + seed)
        found = weighted_rate(
            planted.wrong[drawn.places].tolist(),
            (1 / drawn.probability).tolist(),
            planted.runs[drawn.places].tolist(),
        )
        weighted.append((found.value, found.low, found.high))
        plain.append((found.unweighted, found.unweighted_low, found.unweighted_high))
    value, low, high = np.array(weighted, dtype=np.float64).T
    unweighted, plain_low, plain_high = np.array(plain, dtype=np.float64).T
    return {
        "coverage": float(np.mean((low <= rate) & (rate <= high))),
        "coverage_unweighted": float(np.mean((plain_low <= rate) & (rate <= plain_high))),
        "mean_width": float(np.mean(high - low)),
        "mean_estimate": float(np.mean(value)),
        "mean_unweighted": float(np.mean(unweighted)),
    }


def campaign(trials: int) -> list[dict[str, object]]:
    """Return a row for every design, rate, size and correlation within runs."""
    rows: list[dict[str, object]] = []
    for design, rate, size, between in itertools.product(
        DESIGNS, (0.03, 0.07), (100, 300), (0.001, 0.1)
    ):
        found = coverage(design, rate=rate, size=size, runs=200, between=between, trials=trials)
        row = {"design": design, "rate": rate, "labels": size, "correlation": between}
        rows.append(row | {name: round(value, 4) for name, value in found.items()})
        print(rows[-1])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    trials = parser.parse_args().trials
    rows = campaign(trials)
    print(write_result("false_progress_rates", {"trials": trials, "rows": rows}))


if __name__ == "__main__":
    main()
