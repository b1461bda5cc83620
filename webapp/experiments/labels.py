"""What people have said of the verdicts in an experiment's runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple
from uuid import UUID

from django.db.models import F

from webapp.experiments.models import Experiment
from webapp.review.models import Answer, Decision, StepLabel
from webapp.runs.models import Run

Place = tuple[UUID, int]
"""Run and step."""


class Labelled(NamedTuple):
    """Of one run."""

    labels: int = 0
    """Steps whose verdict people agree on: by majority, or as it was decided."""
    false_progress: int = 0
    """Of these, verdicts of progress where there was none."""


NOTHING = Labelled()


def labelled(experiment: Experiment) -> dict[UUID, Labelled]:
    """Return the labels of each run that has some; two queries, over all label sets.

    A step on which people are divided, or all unsure, counts as not labelled until it is decided, and
    one without a usable verdict not at all.
    """
    runs = Run.objects.filter(trial__experiment=experiment).values("uuid")
    mine = {"run_uuid__in": runs, "label_set__workspace": experiment.workspace_id}
    answers: dict[Place, Counter[str]] = defaultdict(Counter)
    verdicts: dict[Place, int | None] = {}
    rows = StepLabel.objects.current().filter(**mine)
    for run, step, answer, verdict in rows.values_list(
        "run_uuid", "step", "answer", "item__verdict"
    ):
        answers[run, step][answer] += 1
        verdicts[run, step] = verdict
    decided = Decision.objects.filter(**mine).order_by("number")
    last = {
        (run, step): answer
        for run, step, answer in decided.values_list("run_uuid", "step", "answer")
    }
    sums: dict[UUID, Labelled] = {}
    for place, given in answers.items():
        made_progress = _said(last.get(place, ""), given)
        if made_progress is None or verdicts[place] is None:
            continue
        wrong = verdicts[place] == 1 and not made_progress
        before = sums.get(place[0], NOTHING)
        sums[place[0]] = Labelled(before.labels + 1, before.false_progress + wrong)
    return sums


def _said(decision: str, given: Counter[str]) -> bool | None:
    """Return whether the step made progress; None = people do not say, or it was decided so."""
    if decision:
        return None if decision == Answer.UNSURE else decision == Answer.YES
    yes, no = given[Answer.YES], given[Answer.NO]
    return None if yes == no else yes > no


def drawn_alike(experiment: Experiment) -> bool:
    """Return whether every labelled step had the same chance of being drawn for its queue."""
    runs = Run.objects.filter(trial__experiment=experiment).values("uuid")
    mine = StepLabel.objects.current().filter(
        run_uuid__in=runs, label_set__workspace=experiment.workspace_id
    )
    chances = mine.order_by().values_list("item__probability", flat=True).distinct()
    return len(chances[:2]) < 2


def changed(run_uuid: UUID) -> None:
    """Have the figures of the run's experiment computed anew: a label of it has changed."""
    mine = Experiment.objects.filter(trials__run__uuid=run_uuid)
    mine.update(revision=F("revision") + 1)
