"""The model behind an estimate, fitted on a pool many times: once for each bootstrap sample of tasks.

Verdicts, ends and correct answers are ridge logistic regressions on the run's situation; durations
and tokens are drawn from recorded steps of the same tier, verdict, kind and part of the run. The
prefill is linear in the tokens that the tier's cache does not hold, so that a cold cache costs what
it has to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collab_core.whatif.logistic import fit
from collab_core.whatif.pool import Pool
from collab_core.whatif.situation import Floats, Ints, Situation, for_correct, for_end

RIDGE = 1.0
BANDS = 3
LEAST_DONORS = 8
"""A group of recorded steps smaller than this is joined with its neighbours."""
STALLS = (1, 3, 6)
"""Where a row of stalls begins to be another situation."""
LEAST_NEAR = 10
"""Steps of the pool that a situation needs; fewer = thin."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """``sets`` fits of one pool. Coefficients have one row a set."""

    pool: Pool
    verdict: Floats
    end: Floats
    correct: Floats | None
    """None = too few scored runs."""
    prefill: Floats
    """(tier, 2): seconds, seconds a token that is not cached."""
    prefill_rest_s: Floats
    """One entry a row of the pool: what the line leaves over."""
    uncached_rest: Floats
    """The same of tokens: told by the server less what was expected; 0 where it tells nothing."""
    tells_cached: NDArray[np.bool_]
    """By tier."""
    edges: Floats
    """Step indexes that part the run into bands."""
    donors: Ints
    """Rows of the pool, all groups one behind the other."""
    first: Ints
    """(set, tier, last, progress, band): where the group begins in ``donors``."""
    size: Ints
    near: Ints
    """(tier, stalls in a row by ``STALLS``, late): steps of the pool."""

    @property
    def sets(self) -> int:
        return len(self.verdict)

    def band(self, index: Floats) -> Ints:
        """Return the part of the run that steps of that number belong to."""
        return np.asarray(np.searchsorted(self.edges, index, side="left"))

    def nearby(self, situation: Situation, tier: Ints) -> tuple[Ints, Ints, Ints]:
        """Return the place in ``near`` of each step."""
        return nearby(situation, tier, self.edges)

    def draw(
        self,
        chance: np.random.Generator,
        which: Ints,
        tier: Ints,
        last: NDArray[np.bool_],
        progress: NDArray[np.bool_],
        band: Ints,
    ) -> Ints:
        """Return a recorded step (row of the pool) for each continuation; ``which``: its set."""
        place = (which, tier, last.astype(np.int64), progress.astype(np.int64), band)
        size = self.size[place]
        return self.donors[self.first[place] + (chance.random(len(tier)) * size).astype(np.int64)]


def fit_model(pool: Pool, *, sets: int, seed: int) -> Model:
    """Fit the model on ``sets`` bootstrap samples of the pool's tasks; the first is the pool itself."""
    chance = np.random.default_rng(seed)
    weights = _run_weights(pool, sets, chance)
    rows = weights[:, pool.run]
    after = pool.situation.after(pool.tier, pool.progress)
    free = ~pool.forced
    x_verdict = pool.situation.for_verdict(pool.tier)
    x_end = for_end(after, pool.tier, pool.progress)
    verdict = fit(x_verdict, pool.progress.astype(np.float64), rows, ridge=RIDGE)
    ended = pool.last[free].astype(np.float64)
    end = fit(x_end[free], ended, rows[:, free], ridge=RIDGE)
    edges = np.quantile(pool.situation.index, [n / BANDS for n in range(1, BANDS)])
    donors, first, size = _groups(pool, rows, edges)
    line, prefill_rest = _prefill(pool)
    told = ~np.isnan(pool.really_uncached)
    tiers = range(len(pool.tiers))
    return Model(
        pool=pool,
        verdict=verdict,
        end=end,
        correct=_correct(pool, weights),
        prefill=line,
        prefill_rest_s=prefill_rest,
        uncached_rest=np.where(told, pool.really_uncached - pool.uncached, 0.0),
        tells_cached=np.asarray([bool(told[pool.tier == tier].any()) for tier in tiers]),
        edges=edges,
        donors=donors,
        first=first,
        size=size,
        near=_near(pool, edges),
    )


def _run_weights(pool: Pool, sets: int, chance: np.random.Generator) -> Floats:
    """Return how often each run is in each sample; runs of a task go together."""
    tasks = int(pool.cluster.max()) + 1
    drawn = chance.multinomial(tasks, [1.0 / tasks] * tasks, size=sets)
    drawn[0] = 1
    return drawn[:, pool.cluster].astype(np.float64)


def _correct(pool: Pool, weights: Floats) -> Floats | None:
    rows = np.flatnonzero(pool.last)
    y = pool.correct[pool.run[rows]]
    scored = ~np.isnan(y)
    if scored.sum() < LEAST_NEAR:
        return None
    rows = rows[scored]
    after = pool.situation.after(pool.tier, pool.progress)
    kept = np.zeros(len(pool.tier), dtype=bool)
    kept[rows] = True
    x = for_correct(after.take(kept), pool.tier[rows], pool.progress[rows], pool.forced[rows])
    return fit(x, y[scored], weights[:, pool.run[rows]], ridge=RIDGE)


def _prefill(pool: Pool) -> tuple[Floats, Floats]:
    """Fit seconds = a + b * uncached tokens, neither below 0, for each tier."""
    tokens = np.where(np.isnan(pool.really_uncached), pool.uncached, pool.really_uncached)
    line = np.zeros((len(pool.tiers), 2))
    for tier in range(len(pool.tiers)):
        own = pool.tier == tier
        if not own.any():
            continue
        x, y = tokens[own], pool.prefill_s[own]
        spread = float(x.var())
        slope = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 0 else 0.0
        slope = max(0.0, slope)
        line[tier] = max(0.0, float(y.mean()) - slope * float(x.mean())), slope
    return line, pool.prefill_s - line[pool.tier, 0] - line[pool.tier, 1] * tokens


def _groups(pool: Pool, rows: Floats, edges: Floats) -> tuple[Ints, Ints, Ints]:
    """Return each set's recorded steps by group; one that is too small is widened until it is not."""
    tiers, sets = len(pool.tiers), len(rows)
    band = np.searchsorted(edges, pool.situation.index, side="left")
    shape = (sets, tiers, 2, 2, BANDS)
    first, size = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    parts: list[Ints] = []
    begin = 0
    for key in np.ndindex(tiers, 2, 2, BANDS):
        tier, last, progress, part = key
        narrowing = (
            (pool.tier == tier)
            & (pool.last == last)
            & (pool.progress == progress)
            & (band == part),
            (pool.tier == tier) & (pool.last == last) & (pool.progress == progress),
            (pool.tier == tier) & (pool.last == last),
            pool.tier == tier,
            np.ones(len(pool.tier), dtype=bool),
        )
        chosen = next(np.flatnonzero(m) for m in narrowing if m.sum() >= LEAST_DONORS)
        for number in range(sets):
            repeated = np.repeat(chosen, rows[number, chosen].astype(np.int64))
            drawn = repeated if len(repeated) else chosen
            first[(number, *key)], size[(number, *key)] = begin, len(drawn)
            parts.append(drawn)
            begin += len(drawn)
    return np.concatenate(parts), first, size


def nearby(situation: Situation, tier: Ints, edges: Floats) -> tuple[Ints, Ints, Ints]:
    stalled = np.searchsorted(STALLS, situation.stalled, side="right")
    return tier, np.asarray(stalled), (situation.index > edges[0]).astype(np.int64)


def _near(pool: Pool, edges: Floats) -> Ints:
    near = np.zeros((len(pool.tiers), len(STALLS) + 1, 2), dtype=np.int64)
    np.add.at(near, nearby(pool.situation, pool.tier, edges), 1)
    return near
