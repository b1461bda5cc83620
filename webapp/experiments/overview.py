"""The list of a workspace's experiments: newest first, with how far they are and who leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Avg, Count, Q

from webapp.experiments import reads
from webapp.experiments.models import Experiment, Trial, TrialState
from webapp.teams.models import Workspace

PAGE_SIZE = 25
SCORED = Q(outcome__in=("correct", "incorrect"))


class Row(NamedTuple):
    """An experiment as the list shows it."""

    experiment: Experiment
    progress: reads.Progress
    tasks: int
    arms: int
    seeds: int
    best: str
    """Which arm leads and by what, in words; "" = nothing to say yet."""


class Page(NamedTuple):
    rows: list[Row]
    following: int | None
    """Number of the last one shown; None = there are no more."""


def listed(workspace: Workspace, *, before: int | None = None) -> Page:
    """Return a page of experiments, those with numbers below ``before``; five queries."""
    found = Experiment.objects.filter(workspace=workspace)
    if before is not None:
        found = found.filter(number__lt=before)
    rows = list(
        found.select_related("task_set", "created_by", "parent").order_by("-id")[: PAGE_SIZE + 1]
    )
    shown = rows[:PAGE_SIZE]
    states = reads.progress(one.pk for one in shown)
    best = leaders(shown)
    return Page(
        [_row(one, states[one.pk], best.get(one.pk, "")) for one in shown],
        shown[-1].number if len(rows) > PAGE_SIZE else None,
    )


def _row(experiment: Experiment, progress: reads.Progress, best: str) -> Row:
    arms, seeds = len(experiment.definition["arms"]), len(experiment.definition["seeds"])
    tasks = experiment.trials_total // (arms * seeds)
    return Row(experiment, progress, tasks, arms, seeds, best)


def leaders(experiments: Sequence[Experiment]) -> dict[int, str]:
    """Return in words which arm is ahead, by the share of correct answers, else by the score."""
    sums = (
        Trial.objects.filter(experiment__in=[e.pk for e in experiments], state=TrialState.DONE)
        .values_list("experiment_id", "arm__label")
        .annotate(
            correct=Count("pk", filter=Q(outcome="correct")),
            scored=Count("pk", filter=SCORED),
            score=Avg("score"),
        )
        .order_by("experiment_id", "arm__position")
    )
    best: dict[int, tuple[float, str]] = {}
    for experiment, label, correct, scored, score in sums:
        if scored:
            value, words = correct / scored, f"{label}, {100 * correct / scored:.1f} % of {scored}"
        elif score is not None:
            value, words = float(score), f"{label}, score {score:.2f}"
        else:
            continue
        if experiment not in best or value > best[experiment][0]:
            best[experiment] = (value, words)
    return {experiment: words for experiment, (_, words) in best.items()}
