"""What the trainers of whole methods share: picking out runs that explored, and their report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from collab_core.errors import InvalidInput
from collab_core.learned.dataset import split_tasks
from collab_core.learned.logs import LoggedRun, Logs
from collab_core.learned.store import Figure
from collab_core.metrics import wilson

E = TypeVar("E")
Numbers = NDArray[np.float64]
WELL_SCALED = (0.02, 1.0)
"""Cost terms a run below these drown in the reward of 1; above, they drown it."""


class Unusable(Exception):
    """A run cannot be learned from; the text says why, in words that are counted."""


@dataclass(frozen=True, kw_only=True)
class Explored(Generic[E]):
    """Episodes by split; no task is in both."""

    train: tuple[E, ...]
    held_out: tuple[E, ...]
    tasks: int
    run_ids: tuple[str, ...]
    left_out: Mapping[str, int]
    """Runs that were not used, by reason."""

    @property
    def splits(self) -> dict[str, int]:
        return {"train": len(self.train), "held_out": len(self.held_out)}

    @property
    def notes(self) -> list[str]:
        return left_out_notes(self)


def explored(
    logs: Logs, read: Callable[[LoggedRun], E], *, seed: int, strategy: str
) -> Explored[E]:
    """Return the usable runs; four tasks in five are trained on, as in OI-MAS's appendix A.

    ``read`` raises :class:`Unusable`.

    Raises:
        InvalidInput: no run is usable, or they are of fewer than five tasks.
    """
    found: list[tuple[LoggedRun, E]] = []
    left_out: Counter[str] = Counter()
    for run in logs.runs:
        try:
            found.append((run, read(run)))
        except Unusable as reason:
            left_out[str(reason)] += 1
    if not found:
        said = "; ".join(f"{count} {why}" for why, count in sorted(left_out.items()))
        raise InvalidInput(
            f"None of the {len(logs.runs)} runs in {logs.source} can be learned from ({said}).",
            field="logs",
            hint=f"Run tasks with an accepted answer by the strategy {strategy} with explore on.",
        )
    part_of = split_tasks([run.task_key for run, _ in found], seed=seed).part_of
    return Explored(
        train=tuple(one for run, one in found if part_of[run.task_key] != "held_out"),
        held_out=tuple(one for run, one in found if part_of[run.task_key] == "held_out"),
        tasks=len(part_of),
        run_ids=tuple(run.run_id for run, _ in found),
        left_out=left_out,
    )


def left_out_notes(counted: object) -> list[str]:
    """Return what was not used, from the ``left_out`` of ``counted``; worlds need not have one."""
    left_out: Mapping[str, int] = getattr(counted, "left_out", {})
    return [f"Left out: {count} {why}." for why, count in sorted(left_out.items())]


def logged_report(
    rewards: Sequence[float], costs_usd: Sequence[float], penalties: Sequence[float], apart: Numbers
) -> dict[str, Figure]:
    """Return what held-out runs say of weights that did not draw them.

    ``apart`` = log-probability of each run under the new weights (drawing) less that under its own.
    The estimates weigh each run by exp(apart), the weights summing to 1; they rest on
    ``effective_runs`` runs only.
    """
    weights = np.exp(apart - apart.max())
    weights /= weights.sum()
    n = len(rewards)
    estimates = {
        "estimated_accuracy": float(weights @ np.asarray(rewards)),
        "estimated_cost_usd": float(weights @ np.asarray(costs_usd)),
        "effective_runs": float(1.0 / np.sum(weights**2)),
    }
    return {
        **_seen("logged_", rewards, costs_usd, penalties),
        **{name: Figure(value=value, n=n) for name, value in estimates.items()},
    }


def live_report(
    rewards: Sequence[float], costs_usd: Sequence[float], penalties: Sequence[float]
) -> dict[str, Figure]:
    """Return what held-out questions gave when the trained weights played them, without drawing."""
    return _seen("", rewards, costs_usd, penalties)


def _seen(
    prefix: str, rewards: Sequence[float], costs_usd: Sequence[float], penalties: Sequence[float]
) -> dict[str, Figure]:
    n = len(rewards)
    interval = wilson(int(sum(rewards)), n)
    return {
        f"{prefix}accuracy": Figure(
            value=float(np.mean(rewards)),
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=n,
        ),
        f"{prefix}cost_usd": Figure(value=float(np.mean(costs_usd)), n=n),
        "mean_penalty": Figure(value=float(np.mean(penalties)), n=n),
    }


def scale_notes(mean_penalty: float | None, *, option: str) -> list[str]:
    """Return a warning if the cost term is out of proportion to the reward."""
    if mean_penalty is None or WELL_SCALED[0] <= mean_penalty <= WELL_SCALED[1]:
        return []
    words = (
        f"The cost term is {mean_penalty:.2g} a run beside a reward of 1 (OI-MAS's own: 0.1 to 0.3): "
        f"rescale {option} to your prices."
    )
    return [words]
