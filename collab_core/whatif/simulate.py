"""Continuations behind the divergence: steps drawn from the model, tiers decided by the real policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from collab_core.domain import TierSnapshot
from collab_core.whatif.driving import Flags, Happened, Start, driver
from collab_core.whatif.logistic import sigmoid
from collab_core.whatif.model import Model
from collab_core.whatif.situation import Floats, Ints, Situation, for_correct, for_end, joined

FIGURES = ("correct", "chance", "latency_s", "steps", "large_steps", "switches", "cost_usd")
"""correct is drawn, 0 or 1, with ``chance``; nan = nobody can say, or the price is unknown."""


class Drawn(NamedTuple):
    """Whole runs, the exact prefix included."""

    figures: dict[str, Floats]
    """By the names of ``FIGURES``: (run, continuation)."""
    near: Ints
    """(tier, stalls, late): estimated steps in that situation, as in ``Model.near``."""


def simulate(starts: Sequence[Start], model: Model, *, each: int, seed: int) -> Drawn:
    """Return ``each`` continuations of every run for every set of the model's coefficients."""
    return _Simulation(starts, model, each * model.sets, seed).go()


class _Simulation:
    """All continuations, one step of each at the same time."""

    def __init__(self, starts: Sequence[Start], model: Model, each: int, seed: int) -> None:
        self.model = model
        self.chance = np.random.default_rng(seed)
        self.driver = driver(starts, each)
        count = len(starts) * each
        first = [start.resume.step for start in starts]
        prefix = [start.replayed.report.prefix for start in starts]
        tiers = starts[0].replayed.run.tiers

        def tiled(values: Sequence[float | None]) -> Floats:
            known = [np.nan if value is None else value for value in values]
            return np.repeat(np.asarray(known, dtype=np.float64), each)

        self.place = np.arange(count)
        self.which = np.tile(np.arange(model.sets), count // model.sets)
        limits = [start.replayed.run.queued.limits for start in starts]
        self.max_steps = tiled([limit.max_steps for limit in limits])
        self.max_output = tiled([limit.max_output_tokens for limit in limits])
        self.latency = tiled([one.latency_s for one in prefix])
        self.cost = tiled([one.cost_usd for one in prefix])
        self.switches = tiled([one.switches for one in prefix])
        self.prompt = tiled([step.prompt_tokens for step in first])
        known = [[float(state.prefix_tokens) for state in step.before.cache] for step in first]
        self.prefix_tokens = np.repeat(np.asarray(known), each, axis=0)
        seen = [start.resume.seen for start in starts]
        self.before = tiled([s[-1].decision.tier if s else -1 for s in seen])
        self.situation = joined([_situation(start, len(tiers)) for start in starts], each)
        self.prices = _prices(tiers)
        self.context = np.asarray([float(tier.context_tokens) for tier in tiers])
        self.done = {name: np.full(count, np.nan) for name in FIGURES}
        self.near = np.zeros_like(model.near)
        self.shape = (len(starts), each)

    def go(self) -> Drawn:
        while len(self.place):
            self._step()
        figures = {name: part.reshape(self.shape) for name, part in self.done.items()}
        return Drawn(figures, self.near)

    def _step(self) -> None:
        model, situation, tier = self.model, self.situation, self.driver.tiers()
        self._count_near(tier)
        linear = (situation.for_verdict(tier) * model.verdict[self.which]).sum(axis=1)
        progress = self.chance.random(len(tier)) < sigmoid(linear)
        after = situation.after(tier, progress)
        forced = self._forced(tier)
        linear = (for_end(after, tier, progress) * model.end[self.which]).sum(axis=1)
        last = forced | (self.chance.random(len(tier)) < sigmoid(linear))
        band = model.band(situation.index)
        row = model.draw(self.chance, self.which, tier, last, progress, band)
        happened = self._spend(tier, row, progress)
        self.switches += (self.before >= 0) & (self.before != tier)
        self._finish(last, tier, progress, forced, after)
        self.driver.advance(~last, happened)
        self.before, self.situation = tier.astype(np.float64), after
        self._keep(~last)

    def _forced(self, tier: Ints) -> Flags:
        """Tell where the steps or the context are used up, by the loop's own rule."""
        index = self.situation.index
        room = np.maximum(self.context[tier] / 2, self.context[tier] - 3 * self.max_output)
        return np.asarray((index >= self.max_steps) | ((index > 1) & (self.prompt > room)))

    def _spend(self, tier: Ints, row: Ints, progress: Flags) -> Happened:
        model, pool, place = self.model, self.model.pool, np.arange(len(tier))
        uncached = np.maximum(0.0, self.prompt - self.prefix_tokens[place, tier])
        uncached = np.clip(uncached + model.uncached_rest[row], 0.0, self.prompt)
        prefill = model.prefill[tier, 0] + model.prefill[tier, 1] * uncached
        latency = np.maximum(0.0, prefill + model.prefill_rest_s[row]) + pool.rest_s[row]
        total, output = self.prompt * pool.ratio[row], pool.output[row]
        whole = np.where(model.tells_cached[tier], np.minimum(uncached, total), total)
        cost = (
            whole * self.prices[tier, 0]
            + (total - whole) * self.prices[tier, 1]
            + output * self.prices[tier, 2]
        ) / 1e6
        self.latency += latency
        self.cost += cost
        self.prefix_tokens[place, tier] = self.prompt + output
        prompt, growth = self.prompt, pool.growth[row]
        self.prompt = prompt + np.where(np.isnan(growth), output, growth)
        return Happened(
            donors=pool.records,
            row=row,
            progress=progress,
            latency_s=latency,
            cost_usd=cost,
            input_tokens=total,
            cached_tokens=total - whole,
            output_tokens=output,
            prompt_tokens=prompt,
            total_s=self.latency,
            total_usd=self.cost,
        )

    def _finish(
        self, last: Flags, tier: Ints, progress: Flags, forced: Flags, after: Situation
    ) -> None:
        """Write down the continuations that end with this step."""
        place, done, ended = self.place[last], self.done, after.take(last)
        done["latency_s"][place] = self.latency[last]
        done["cost_usd"][place] = self.cost[last]
        done["switches"][place] = self.switches[last]
        done["steps"][place] = ended.index - 1.0
        done["large_steps"][place] = ended.large
        if self.model.correct is None:
            return
        x = for_correct(ended, tier[last], progress[last], forced[last])
        chance = sigmoid((x * self.model.correct[self.which[last]]).sum(axis=1))
        done["chance"][place] = chance
        done["correct"][place] = self.chance.random(len(chance)) < chance

    def _count_near(self, tier: Ints) -> None:
        np.add.at(self.near, self.model.nearby(self.situation, tier), 1)

    def _keep(self, kept: NDArray[np.bool_]) -> None:
        for name in (
            *("place", "which", "max_steps", "max_output", "latency", "cost"),
            *("switches", "prompt", "prefix_tokens", "before"),
        ):
            setattr(self, name, getattr(self, name)[kept])
        self.situation = self.situation.take(kept)


def _situation(start: Start, tiers: int) -> Situation:
    """Return the situation at the divergence, by the steps as the policy was shown them."""
    now = Situation.first(tiers)
    for record in start.resume.seen:
        tier = np.asarray([record.decision.tier])
        now = now.after(tier, np.asarray([record.check.made_progress]))
    return now


def _prices(tiers: Sequence[TierSnapshot]) -> Floats:
    """Return (tier, 3): prices of input, cached and output tokens; nan = unknown."""
    rows = []
    for tier in tiers:
        whole, out = tier.price_input_usd, tier.price_output_usd
        cached = whole if tier.price_cached_usd is None else tier.price_cached_usd
        rows.append([np.nan if price is None else price for price in (whole, cached, out)])
    return np.asarray(rows)
