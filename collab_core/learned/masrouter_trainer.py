"""The trainer of MasRouter's cascade: from explored runs, or live, to a weights folder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from collab_core.learned.explored import (
    explored,
    left_out_notes,
    live_report,
    logged_report,
    scale_notes,
)
from collab_core.learned.masrouter import KIND
from collab_core.learned.masrouter_episodes import TeamEpisode, TeamWorld
from collab_core.learned.masrouter_log import STRATEGY, read_episode
from collab_core.learned.masrouter_options import MasRouterOptions
from collab_core.learned.store import Figure
from collab_core.learned.trainer import Fitted, Job, Trainer, deal

if TYPE_CHECKING:
    from collab_core.learned.masrouter_training import TrainedCascade

LABEL = "which team earns most: 1 for a correct answer, less weighted costs"


def fit(job: Job) -> Fitted:
    """Train on logged runs of ``masrouter`` that explored, or in ``job.source.world``."""
    return _live(job, job.source.world) if job.source.world is not None else _logged(job)


def _logged(job: Job) -> Fitted:
    # autograd is for training only; the strategy and the forms import this module too
    from collab_core.learned.masrouter_training import (  # noqa: PLC0415
        pack,
        team_terms,
        train_on_episodes,
    )

    options: MasRouterOptions = job.options
    runs = explored(
        job.source.need_logs(),
        lambda run: read_episode(run, need_costs=options.cost_rate > 0),
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
    batch = pack(runs.held_out, trained.embeddings, trained.experts, len(job.source.ladder))
    now, _ = team_terms(trained.params, batch, trained.modes, trained.experts, np)
    report = logged_report(
        *_figures(runs.held_out, options),
        now - np.array([episode.drawn_with for episode in runs.held_out], dtype=np.float64),
    )
    fitted = _fitted(trained, report, runs.splits, runs.tasks, runs.notes)
    return replace(fitted, run_ids=runs.run_ids)


def _live(job: Job, world: TeamWorld) -> Fitted:
    # see _logged
    from collab_core.learned.masrouter_training import train_in_world  # noqa: PLC0415

    options: MasRouterOptions = job.options
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
    played = tuple(world.play(held_out, trained.chooser(), seed=job.seed))
    report = live_report(*_figures(played, options))
    splits = {"train": len(train), "held_out": len(held_out)}
    return _fitted(trained, report, splits, len(world.questions), left_out_notes(world))


def _figures(
    episodes: tuple[TeamEpisode, ...], options: MasRouterOptions
) -> tuple[list[float], list[float], list[float]]:
    """Return rewards, costs and cost terms."""
    costs = [episode.cost_usd for episode in episodes]
    return [episode.reward for episode in episodes], costs, [options.cost_rate * c for c in costs]


def _fitted(
    trained: TrainedCascade,
    report: dict[str, Figure],
    splits: dict[str, int],
    tasks: int,
    notes: list[str],
) -> Fitted:
    named = {**trained.params, "modes": trained.modes, "experts": trained.experts}
    return Fitted(
        tensors={name: np.asarray(value, dtype=np.float32) for name, value in named.items()},
        label=LABEL,
        report=report,
        splits=splits,
        tasks=tasks,
        notes=[*notes, *scale_notes(report["mean_penalty"].value, option="cost_rate")],
    )


TRAINER = Trainer(
    kind=KIND,
    title="MasRouter cascade",
    summary="Mode, team and tiers for a question, by REINFORCE on explored runs.",
    options=MasRouterOptions,
    fit=fit,
)
