"""The trainer of OI-MAS's conductor: from logged runs, or live, to a weights folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from collab_core.errors import InvalidInput
from collab_core.learned.confidence import ConfidenceScale
from collab_core.learned.dataset import split_tasks
from collab_core.learned.logs import Logs
from collab_core.learned.oi_mas import KIND
from collab_core.learned.oi_mas_episodes import Episode, pack, penalty
from collab_core.learned.oi_mas_log import Unusable, read_episode
from collab_core.learned.oi_mas_options import OIMasOptions
from collab_core.learned.store import Figure
from collab_core.learned.trainer import Fitted, Job, Trainer
from collab_core.metrics import wilson

if TYPE_CHECKING:
    from collab_core.learned.oi_mas_training import TrainedConductor

LABEL = "which roles and tiers earn most: 1 for a correct answer, less weighted costs"
WELL_SCALED = (0.02, 1.0)
"""Cost terms a run outside of these drown in, or drown, the reward of 1."""


def fit(job: Job) -> Fitted:
    """Train on logged runs of the strategy ``oi-mas`` that drew their roles and tiers."""
    # autograd is for training only; the strategy and the forms import this module too
    from collab_core.learned.oi_mas_training import train_on_episodes  # noqa: PLC0415

    options: OIMasOptions = job.options
    logs = job.source.need_logs()
    read, left_out = read_all(logs, options)
    splits = split_tasks([task for task, _ in read], seed=job.seed)
    held_out = [e for task, e in read if splits.part_of[task] == "held_out"]
    train = [e for task, e in read if splits.part_of[task] != "held_out"]
    trained = train_on_episodes(
        train,
        encoder=job.encoding(),
        tiers=job.source.ladder,
        options=options,
        seed=job.seed,
        progress=lambda fraction, text: job.progress(0.95 * fraction, text),
    )
    report = _report(trained, held_out, options)
    return Fitted(
        tensors=tensors(trained),
        label=LABEL,
        report=report,
        splits={"train": len(train), "held_out": len(held_out)},
        tasks=len(splits.part_of),
        notes=[
            *(f"Left out: {count} {why}." for why, count in sorted(left_out.items())),
            *notes(trained, report["mean_penalty"].value),
        ],
    )


def read_all(logs: Logs, options: OIMasOptions) -> tuple[list[tuple[str, Episode]], Counter[str]]:
    """Return (task, episode) of the usable runs, and how many were left out, by reason.

    Raises:
        InvalidInput: none is usable.
    """
    read: list[tuple[str, Episode]] = []
    left_out: Counter[str] = Counter()
    for run in logs.runs:
        try:
            read.append((run.task_key, read_episode(run, options.rules)))
        except Unusable as reason:
            left_out[str(reason)] += 1
    if not read:
        said = "; ".join(f"{count} {why}" for why, count in sorted(left_out.items()))
        raise InvalidInput(
            f"None of the {len(logs.runs)} runs in {logs.source} can be learned from ({said}).",
            field="logs",
            hint="Run tasks with an accepted answer by the strategy oi-mas with explore on.",
        )
    return read, left_out


def tensors(trained: TrainedConductor) -> dict[str, np.ndarray]:
    """Return what a weights folder holds, in single precision."""
    named = {**trained.params, "roles": trained.roles}
    return {name: np.asarray(value, dtype=np.float32) for name, value in named.items()}


def notes(trained: TrainedConductor, mean_penalty: float | None) -> list[str]:
    """Return what a reader of the figures must know."""
    said = []
    if trained.unknown_confidence:
        said.append(
            f"{trained.unknown_confidence} activations came without log-probabilities; their "
            "confidence counts as 1."
        )
    if mean_penalty is not None and not WELL_SCALED[0] <= mean_penalty <= WELL_SCALED[1]:
        said.append(
            f"The cost term is {mean_penalty:.2g} a run beside a reward of 1 (the paper's: 0.1 to "
            "0.3): rescale cost_weight to your prices."
        )
    return said


def _report(
    trained: TrainedConductor, held_out: Sequence[Episode], options: OIMasOptions
) -> dict[str, Figure]:
    """What the held-out runs say of weights that did not draw them.

    ``estimated_accuracy`` weighs each run by how much likelier the new weights (drawing) make it, the
    weights summing to 1; it rests on ``effective_runs`` only.
    """
    rewards = np.array([episode.reward for episode in held_out])
    weights = _likelier(trained, held_out)
    interval = wilson(int(rewards.sum()), len(rewards))
    scale = ConfidenceScale(int(trained.params["tier_tier"].shape[1]))
    charged = [
        penalty(
            episode,
            scale,
            cost_weight=options.effective_cost_weight,
            confidence=options.confidence,
        )
        for episode in held_out
    ]
    costs = np.array([episode.cost_usd for episode in held_out])
    n = len(held_out)
    return {
        "logged_accuracy": Figure(
            value=float(rewards.mean()),
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=n,
        ),
        "estimated_accuracy": Figure(value=float(weights @ rewards), n=n),
        "logged_cost_usd": Figure(value=float(costs.mean()), n=n),
        "estimated_cost_usd": Figure(value=float(weights @ costs), n=n),
        "effective_runs": Figure(value=float(1.0 / np.sum(weights**2)), n=n),
        "mean_penalty": Figure(value=float(np.mean(charged)), n=n),
    }


def _likelier(trained: TrainedConductor, episodes: Sequence[Episode]) -> np.ndarray:
    # see fit
    from collab_core.learned.oi_mas_training import (  # noqa: PLC0415
        drawn_with,
        episode_log_probabilities,
    )

    batch = pack(episodes, trained.embeddings, trained.roles, trained.params["tier_tier"].shape[1])
    now = episode_log_probabilities(trained.params, batch, trained.roles, trained.rules)
    apart = now - np.array([drawn_with(episode) for episode in episodes])
    powers = np.exp(apart - apart.max())
    return np.asarray(powers / powers.sum())


TRAINER = Trainer(
    kind=KIND,
    title="OI-MAS conductor",
    summary="Which roles act in each turn and on which tier, by REINFORCE on explored runs.",
    options=OIMasOptions,
    fit=fit,
)
