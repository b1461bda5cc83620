"""The trainer of OI-MAS's conductor: from explored runs, or live, to a weights folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from collab_core.learned.confidence import ConfidenceScale
from collab_core.learned.explored import (
    explored,
    left_out_notes,
    live_report,
    logged_report,
    scale_notes,
)
from collab_core.learned.oi_mas import KIND
from collab_core.learned.oi_mas_episodes import Episode, OIMasWorld, pack, penalty
from collab_core.learned.oi_mas_log import STRATEGY, read_episode
from collab_core.learned.oi_mas_options import OIMasOptions
from collab_core.learned.store import Figure
from collab_core.learned.trainer import Fitted, Job, Trainer, deal

if TYPE_CHECKING:
    from collab_core.learned.oi_mas_training import TrainedConductor

LABEL = "which roles and tiers earn most: 1 for a correct answer, less weighted costs"


def fit(job: Job) -> Fitted:
    """Train on logged runs of the strategy ``oi-mas`` that explored, or in ``job.source.world``."""
    return _live(job, job.source.world) if job.source.world is not None else _logged(job)


def _logged(job: Job) -> Fitted:
    # autograd is for training only; the strategy and the forms import this module too
    from collab_core.learned.oi_mas_training import train_on_episodes  # noqa: PLC0415

    options: OIMasOptions = job.options
    runs = explored(
        job.source.need_logs(),
        lambda run: read_episode(run, options.rules, need_costs=options.effective_cost_weight > 0),
        seed=job.seed,
        strategy=STRATEGY,
    )
    trained = train_on_episodes(
        runs.train,
        encoder=job.encoding(),
        tiers=job.source.ladder,
        options=options,
        seed=job.seed,
        progress=lambda fraction, text: job.progress(0.95 * fraction, text),
    )
    report = _logged_report(trained, runs.held_out, options)
    fitted = _fitted(trained, report, runs.splits, runs.tasks)
    return replace(fitted, run_ids=runs.run_ids, notes=[*runs.notes, *fitted.notes])


def _live(job: Job, world: OIMasWorld) -> Fitted:
    # see _logged
    from collab_core.learned.oi_mas_training import train_in_world  # noqa: PLC0415

    options: OIMasOptions = job.options
    train, held_out = deal(len(world.questions), job.seed)
    trained = train_in_world(
        world,
        train,
        encoder=job.encoding(),
        tiers=job.source.ladder,
        options=options,
        seed=job.seed,
        progress=lambda fraction, text: job.progress(0.9 * fraction, text),
    )
    played = world.play(held_out, trained.player(), seed=job.seed)
    report = live_report(
        [episode.reward for episode in played],
        [episode.cost_usd for episode in played],
        _penalties(played, trained, options),
    )
    splits = {"train": len(train), "held_out": len(held_out)}
    fitted = _fitted(trained, report, splits, len(world.questions))
    return replace(fitted, notes=[*left_out_notes(world), *fitted.notes])


def _fitted(
    trained: TrainedConductor, report: dict[str, Figure], splits: dict[str, int], tasks: int
) -> Fitted:
    notes = scale_notes(report["mean_penalty"].value, option="cost_weight")
    if trained.unknown_confidence:
        notes.append(
            f"{trained.unknown_confidence} activations came without log-probabilities; their "
            "confidence counts as 1."
        )
    named = {**trained.params, "roles": trained.roles}
    return Fitted(
        tensors={name: np.asarray(value, dtype=np.float32) for name, value in named.items()},
        label=LABEL,
        report=report,
        splits=splits,
        tasks=tasks,
        notes=notes,
    )


def _penalties(
    episodes: Sequence[Episode], trained: TrainedConductor, options: OIMasOptions
) -> list[float]:
    scale = ConfidenceScale(int(trained.params["tier_tier"].shape[1]))
    return [
        penalty(
            episode,
            scale,
            cost_weight=options.effective_cost_weight,
            confidence=options.confidence,
        )
        for episode in episodes
    ]


def _logged_report(
    trained: TrainedConductor, held_out: Sequence[Episode], options: OIMasOptions
) -> dict[str, Figure]:
    # see _logged
    from collab_core.learned.oi_mas_training import (  # noqa: PLC0415
        drawn_with,
        episode_log_probabilities,
    )

    batch = pack(held_out, trained.embeddings, trained.roles, trained.params["tier_tier"].shape[1])
    now = episode_log_probabilities(trained.params, batch, trained.roles, trained.rules)
    return logged_report(
        [episode.reward for episode in held_out],
        [episode.cost_usd for episode in held_out],
        _penalties(held_out, trained, options),
        now - np.array([drawn_with(episode) for episode in held_out]),
    )


TRAINER = Trainer(
    kind=KIND,
    title="OI-MAS conductor",
    summary="Which roles act in each turn and on which tier, by REINFORCE on explored runs.",
    options=OIMasOptions,
    fit=fit,
)
