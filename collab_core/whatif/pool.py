"""The pool: finished runs on one ladder, as the rows that an estimate is fitted on and drawn from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from collab_core.domain import StepRecord, TierSnapshot
from collab_core.errors import InvalidInput
from collab_core.learned.store import ladder_used
from collab_core.whatif.recorded import RecordedRun, RecordedStep
from collab_core.whatif.situation import Floats, Ints, Situation

LEAST_RUNS = 20
"""Of a pool: with fewer, nothing is estimated."""
LEAST_STEPS = 30
"""On a tier that the other policy needs."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """One row a step, in the order of the runs; see :meth:`of`."""

    tiers: tuple[TierSnapshot, ...]
    runs: tuple[RecordedRun, ...]
    left_out: int
    """Runs of several agents, or with shortened hand-overs: their steps are not comparable."""
    records: tuple[StepRecord, ...]
    run: Ints
    """The row's run, by its place in ``runs``."""
    cluster: Ints
    """The row's task, numbered: what the bootstrap draws."""
    situation: Situation
    tier: Ints
    progress: NDArray[np.bool_]
    """As a policy under ``missing_verdict`` is told."""
    last: NDArray[np.bool_]
    forced: NDArray[np.bool_]
    prefill_s: Floats
    rest_s: Floats
    """Latency without the prefill and without scorers."""
    prompt: Floats
    """Tokens of the first thought's prompt."""
    uncached: Floats
    """Of these, by what was sent to the tier before."""
    really_uncached: Floats
    """As the server told; nan = it did not."""
    ratio: Floats
    """Input tokens of the whole step, in prompts."""
    output: Floats
    growth: Floats
    """Tokens by which the next prompt was longer; nan = there was none."""
    correct: Floats = field(default_factory=lambda: np.zeros(0))
    """One entry a run: 1, 0, or nan = unscored."""

    @classmethod
    def of(cls, runs: Sequence[RecordedRun], *, missing_progress: bool = True) -> Pool:
        """Return the pool of the runs that can be compared step by step.

        Raises:
            InvalidInput: there are fewer than ``LEAST_RUNS`` of them, or their ladders differ.
        """
        kept = tuple(run for run in runs if comparable(run))
        if len(kept) < LEAST_RUNS:
            raise InvalidInput(
                f"The pool holds {len(kept)} finished runs of one agent with whole hand-overs; an "
                f"estimate needs {LEAST_RUNS}.",
                field="pool",
                hint="Add more runs on this ladder, of any strategy that decides step by step.",
            )
        if any(ladder_used(run.tiers) != ladder_used(kept[0].tiers) for run in kept):
            raise InvalidInput(
                "The pool's runs have different ladders.",
                field="pool",
                hint="Take runs of one ladder only.",
            )
        return _rows(kept, len(runs) - len(kept), missing_progress)


def comparable(run: RecordedRun) -> bool:
    """Tell whether the run is of one agent that always saw its whole prompt."""
    whole = run.queued.parameters.get("hand_over", "full") == "full"
    return whole and len(run.instances) == 1 and run.instances[0].role == "agent"


def _rows(runs: tuple[RecordedRun, ...], left_out: int, missing_progress: bool) -> Pool:  # noqa: FBT001
    steps: list[RecordedStep] = []
    places: list[int] = []
    lasts: list[bool] = []
    growths: list[float] = []
    for place, run in enumerate(runs):
        own = run.instances[0].steps
        steps += own
        places += [place] * len(own)
        lasts += [step is own[-1] for step in own]
        prompts = [step.prompt_tokens for step in own]
        growths += [float(b - a) for a, b in itertools.pairwise(prompts)]
        growths.append(float("nan"))
    run_of = np.asarray(places, dtype=np.int64)
    tier = np.asarray([step.tier for step in steps], dtype=np.int64)
    progress = np.asarray([told(step.record, missing_progress) for step in steps])
    usage = [step.finished.usage for step in steps]
    prompt = np.maximum(1.0, [float(step.prompt_tokens) for step in steps])
    known = np.asarray([step.before.cache[step.tier].prefix_tokens for step in steps])
    cached = np.asarray([np.nan if u.cached_tokens is None else u.cached_tokens for u in usage])
    split = [step.finished.latency for step in steps]
    keys = {run.logged.task_key: 0 for run in runs}
    numbers = {key: number for number, key in enumerate(keys)}
    clusters = np.asarray([numbers[run.logged.task_key] for run in runs], dtype=np.int64)
    return Pool(
        tiers=runs[0].tiers,
        runs=runs,
        left_out=left_out,
        records=tuple(step.record for step in steps),
        run=run_of,
        cluster=clusters,
        situation=_situations(run_of, tier, progress, len(runs[0].tiers)),
        tier=tier,
        progress=progress,
        last=np.asarray(lasts),
        forced=np.asarray([step.forced for step in steps]),
        prefill_s=np.asarray([s.prefill_s for s in split]),
        rest_s=np.asarray([s.total_s - s.prefill_s - s.route_s for s in split]),
        prompt=prompt,
        uncached=np.maximum(0.0, prompt - known),
        really_uncached=np.asarray([float(u.input_tokens) for u in usage]) - cached,
        ratio=np.asarray([float(u.input_tokens) for u in usage]) / prompt,
        output=np.asarray([float(u.output_tokens) for u in usage]),
        growth=np.asarray(growths),
        correct=np.asarray(
            [np.nan if r.logged.correct is None else r.logged.correct for r in runs]
        ),
    )


def told(record: StepRecord, missing_progress: bool) -> bool:  # noqa: FBT001
    """Return the verdict as a policy is told it."""
    if record.check.status in ("missing", "malformed"):
        return missing_progress
    return record.check.made_progress


def _situations(run: Ints, tier: Ints, progress: NDArray[np.bool_], tiers: int) -> Situation:
    """Return the situation before each row."""
    rows = len(run)
    streak = np.zeros((rows, tiers))
    counts = np.zeros((rows, 4))
    for row in range(1, rows):
        if run[row] != run[row - 1]:
            continue
        counts[row] = counts[row - 1]
        streak[row] = streak[row - 1]
        counts[row, 0] += 1
        counts[row, 3] += tier[row - 1] == tiers - 1
        if progress[row - 1]:
            counts[row, 1] += 1
            streak[row] = 0.0
        else:
            counts[row, 2] += 1
            streak[row, tier[row - 1]] += 1
    return Situation(
        index=counts[:, 0] + 1.0,
        progress=counts[:, 1],
        streak=streak,
        stalls=counts[:, 2],
        large=counts[:, 3],
    )
