"""What happens along the runs, in those that fail, and on harder tasks.

Source: AgentCollab Figures 4, 6 and 7. The paper draws single runs in Figure 4; here they are means
over runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from collab_core.errors import InvalidInput
from collab_core.experiments.records import Trace, Trial
from collab_core.experiments.resampling import (
    LEAST_TASKS,
    LEVEL,
    SAMPLES,
    SEED,
    Numbers,
    percentiles,
    ratio,
    resampled_sums,
)
from collab_core.experiments.table import Measured, Row, Table, table

Along = Literal["step", "share"]
Measure = Literal["latency_s", "tokens_per_s", "large_share", "stall_share"]
MEASURES: tuple[Measure, ...] = ("latency_s", "tokens_per_s", "large_share", "stall_share")
DifficultyBy = Literal["label", "latency_s", "steps"]


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's means along its runs; all lists have one entry a position."""

    arm: str
    positions: tuple[float, ...]
    """Step numbers from 1, or shares of the run's steps in 0..1 (the end of each bin)."""
    latency_s: tuple[Measured, ...]
    """Since the run began, along the longest path."""
    tokens_per_s: tuple[Measured, ...]
    """Generated tokens over seconds of decoding, both summed over runs."""
    large_share: tuple[Measured, ...]
    """Steps there on the top tier."""
    stall_share: tuple[Measured, ...]
    """Usable verdicts there that said no progress."""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """One arm's solved runs beside those that ended with a wrong answer (Figure 6)."""

    arm: str
    solved: Row
    unsolved: Row


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The tasks of one difficulty, and their table."""

    name: str
    tasks: int
    low: float | None = None
    """The least and the greatest of what the tasks were ordered by; None for labels."""
    high: float | None = None
    table: Table


class Difficulty(msgspec.Struct, frozen=True, kw_only=True):
    """Tables from easy to hard (Figure 7)."""

    by: DifficultyBy
    how: str
    """What difficulty means here, and what to beware of: whole sentences."""
    levels: tuple[Level, ...]


def curves(
    runs: Sequence[tuple[Trial, Trace]],
    *,
    along: Along = "step",
    bins: int = 20,
    level: float = LEVEL,
    samples: int = SAMPLES,
    seed: int = SEED,
) -> tuple[Curve, ...]:
    """Return each arm's means over its finished runs, step by step or by share of the run.

    ``along`` "step": a position counts the runs that came so far, fewer and fewer; ``n`` says how
    many. "share": every run counts at all ``bins`` positions, with the step that it was at.
    """
    found: dict[str, list[tuple[Trial, Trace]]] = {}
    for trial, trace in runs:
        if trial.status == "finished" and trace.tiers:
            found.setdefault(trial.arm, []).append((trial, trace))
    options = {"level": level, "samples": samples, "seed": seed}
    return tuple(
        _curve(arm, own, bins if along == "share" else 0, options) for arm, own in found.items()
    )


def solved_and_unsolved(trials: Sequence[Trial], *, arms: Sequence[str] = ()) -> tuple[Split, ...]:
    """Return each arm's correct and incorrect runs as two rows, with the columns of the table.

    Unscored and failed runs are in neither. Accuracy columns say nothing here and are left out.
    """
    names = arms or tuple(dict.fromkeys(trial.arm for trial in trials))
    scored = [t for t in trials if t.status == "finished" and t.outcome != "unscored"]
    marked = [msgspec.structs.replace(t, arm=_marked(t.arm, t.outcome)) for t in scored]
    order = [_marked(arm, outcome) for arm in names for outcome in ("correct", "incorrect")]
    rows = table(marked, arms=order).rows
    return tuple(
        Split(arm=arm, solved=_plain(solved, arm), unsolved=_plain(unsolved, arm))
        for arm, solved, unsolved in zip(names, rows[::2], rows[1::2], strict=True)
    )


def by_difficulty(
    trials: Sequence[Trial],
    *,
    baseline: str,
    arms: Sequence[str] = (),
    by: DifficultyBy = "latency_s",
    groups: int = 3,
) -> Difficulty:
    """Return a table for each level of difficulty.

    ``by`` "label": the tasks' own difficulty: easy, medium, hard, then by name. Else: ``groups``
    parts of equal size by the baseline's mean latency (the paper's proxy, Appendix A) or steps on the
    task; tasks that it did not finish are left out.

    Raises:
        InvalidInput: the baseline is no arm.
    """
    parts = _labelled(trials) if by == "label" else _ordered(trials, baseline, by, groups)
    chosen = arms or tuple(dict.fromkeys(trial.arm for trial in trials))
    levels = []
    for name, tasks, bounds in parts:
        own = [trial for trial in trials if trial.task_id in tasks]
        levels.append(
            Level(
                name=name,
                tasks=len(tasks),
                low=bounds[0] if bounds else None,
                high=bounds[1] if bounds else None,
                table=table(own, arms=chosen, baseline=baseline),
            )
        )
    return Difficulty(by=by, how=_HOW[by].format(baseline=baseline), levels=tuple(levels))


_HOW: dict[DifficultyBy, str] = {
    "label": "Difficulty is the label of the task.",
    "latency_s": "Difficulty is the mean latency of {baseline} on the task, as in the paper. Its own "
    "latencies are also what speedups divide: where they were long by chance, the speedup is too large.",
    "steps": "Difficulty is the mean number of steps of {baseline} on the task.",
}


def _curve(
    arm: str,
    own: Sequence[tuple[Trial, Trace]],
    bins: int,
    options: Mapping[str, float],
) -> Curve:
    tasks = {name: n for n, name in enumerate(dict.fromkeys(t.task_id for t, _ in own))}
    width = bins or max(len(trace.tiers) for _, trace in own)
    sums = np.zeros((len(MEASURES), 2, width, len(tasks)))
    runs = np.zeros((width, len(tasks)))
    for trial, trace in own:
        steps = _steps_at(len(trace.tiers), bins)
        place = tasks[trial.task_id]
        sums[:, :, : len(steps), place] += _terms(trace)[:, :, steps]
        runs[: len(steps), place] += 1
    measured = _measured(sums, runs, options)
    return Curve(
        arm=arm,
        positions=tuple((n + 1) / bins if bins else float(n + 1) for n in range(width)),
        **{name: measured[n] for n, name in enumerate(MEASURES)},
    )


def _steps_at(steps: int, bins: int) -> list[int]:
    """Return the index of the step at each position.

    Of a run of 4 steps, 6 bins see the steps 1 2 2 3 4 4 (0 1 1 2 3 3).
    """
    if not bins:
        return list(range(steps))
    return [-(-(n + 1) * steps // bins) - 1 for n in range(bins)]


def _terms(trace: Trace) -> Numbers:
    """Return numerators and denominators, (measures, 2, steps)."""
    ones = np.ones(len(trace.tiers))
    verdicts = np.array([np.nan if v is None else v for v in trace.verdicts], dtype=float)
    usable = np.isfinite(verdicts)
    decode_s = np.array(trace.decode_s, dtype=float)
    # a step of which no server told the seconds has no speed
    tokens = np.where(decode_s > 0, np.array(trace.output_tokens, dtype=float), 0.0)
    # agents side by side finish out of order
    latency_s = np.maximum.accumulate(np.array(trace.cumulative_s, dtype=float))
    large = np.array(trace.tiers) == trace.top
    told = ones if trace.top is not None else 0.0 * ones
    stalls = usable & (verdicts == 0)
    return np.array(
        [[latency_s, ones], [tokens, decode_s], [large, told], [stalls, usable]], dtype=float
    )


def _measured(
    sums: Numbers, runs: Numbers, options: Mapping[str, float]
) -> list[tuple[Measured, ...]]:
    """Return the figures of each measure along the positions."""
    width, tasks = runs.shape
    above, below = (sums[:, part].reshape(-1, tasks) for part in (0, 1))
    values = ratio(above.sum(axis=1), below.sum(axis=1))
    low, high = np.full(len(values), np.nan), np.full(len(values), np.nan)
    if tasks >= LEAST_TASKS:
        draws = resampled_sums(
            np.concatenate([above, below]),
            samples=int(options["samples"]),
            seed=int(options["seed"]),
        )
        drawn = ratio(draws[: len(above)], draws[len(above) :])
        low, high = percentiles(drawn, level=options["level"])
    with_data = (below.reshape(len(sums), width, tasks) > 0).sum(axis=2).reshape(-1)
    figures = [
        _figure(values[n], low[n], high[n], runs=runs[n % width].sum(), tasks=with_data[n])
        for n in range(len(values))
    ]
    return [tuple(figures[n * width : (n + 1) * width]) for n in range(len(sums))]


def _figure(value: float, low: float, high: float, *, runs: float, tasks: int) -> Measured:
    if not np.isfinite(value):
        return Measured(n=int(runs), tasks=int(tasks))
    if tasks < LEAST_TASKS or not np.isfinite(low):
        return Measured(value=float(value), n=int(runs), tasks=int(tasks))
    return Measured(
        value=float(value),
        low=min(float(low), float(value)),
        high=max(float(high), float(value)),
        n=int(runs),
        tasks=int(tasks),
        method="bootstrap",
    )


def _marked(arm: str, outcome: str) -> str:
    return f"{arm}\0{outcome}"


def _plain(row: Row, arm: str) -> Row:
    silent = ("accuracy", "accuracy_all")
    figures = {name: figure for name, figure in row.figures.items() if name not in silent}
    return msgspec.structs.replace(row, arm=arm, figures=figures, missing_tasks=0)


Part = tuple[str, set[str], tuple[float, float] | None]


def _labelled(trials: Sequence[Trial]) -> list[Part]:
    found: dict[str, set[str]] = {}
    for trial in trials:
        found.setdefault(trial.difficulty, set()).add(trial.task_id)
    known = ("easy", "medium", "hard")
    order = sorted(found, key=lambda name: (known.index(name) if name in known else 3, name))
    return [(label or "not labelled", found[label], None) for label in order]


def _ordered(trials: Sequence[Trial], baseline: str, by: DifficultyBy, groups: int) -> list[Part]:
    """Return the baseline's finished tasks in parts of equal size, easiest first."""
    if not any(trial.arm == baseline for trial in trials):
        raise InvalidInput(
            f"The baseline {baseline!r} is not among the arms.",
            field="baseline",
            hint="Difficulty is read from the baseline's runs; choose an arm that has some.",
        )
    seen: dict[str, list[float]] = {}
    for trial in trials:
        if trial.arm == baseline and trial.status == "finished" and trial.facts is not None:
            seen.setdefault(trial.task_id, []).append(float(getattr(trial.facts, by)))
    means = sorted((sum(values) / len(values), task) for task, values in seen.items())
    parts = [part for part in np.array_split(np.arange(len(means)), groups) if len(part)]
    return [
        (
            f"{n + 1} of {len(parts)}",
            {means[k][1] for k in part},
            (means[part[0]][0], means[part[-1]][0]),
        )
        for n, part in enumerate(parts)
    ]
