"""The trials of an experiment as a page shows them: a few tasks by all arms, or what failed.

An experiment may have 100,000 trials; each look reads one page of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from webapp.experiments.models import Experiment, ExperimentArm, TaskItem, Trial, TrialState

TASKS_A_PAGE = 20
FAILURES_A_PAGE = 50
SHOWS = (("all", "All tasks"), ("different", "Where arms differ"), ("failed", "With failures"))
LOST = (TrialState.FAILED, TrialState.CANCELLED)


class Look(NamedTuple):
    """How a trial is shown: by a sign and a word, never by colour alone."""

    words: str
    icon: str
    kind: str
    """good, bad or plain: the chip's look."""


_BY_OUTCOME = {
    "correct": Look("Correct", "circle-check", "good"),
    "incorrect": Look("Incorrect", "circle-x", "bad"),
}
_BY_STATE = {
    TrialState.PENDING: Look("Waiting", "circle-dashed", "plain"),
    TrialState.RUNNING: Look("Running", "loader-circle", "plain"),
    TrialState.GRADING: Look("Being graded", "loader-circle", "plain"),
    TrialState.FAILED: Look("Failed", "triangle-alert", "bad"),
    TrialState.CANCELLED: Look("Stopped", "square", "plain"),
}
_UNSCORED = Look("Not scored", "circle-question-mark", "plain")


class Cell(NamedTuple):
    """One trial."""

    seed: int
    look: Look
    score: float | None
    """Where the task set has more than right and wrong."""
    run: str
    """UUID of its run; "" = it has none yet."""
    why: str
    """What went wrong."""


class GridRow(NamedTuple):
    """A task with its trials, arm by arm."""

    task: TaskItem
    cells: list[list[Cell]]


class Page(NamedTuple):
    """Part of a list. Pages count from 1."""

    rows: list[GridRow] | list[Trial]
    number: int
    pages: int
    total: int


def tasks(experiment: Experiment, *, show: str = "all", number: int = 1) -> Page:
    """Return a page of tasks with all their trials; four queries."""
    arms = list(experiment.arms.order_by("position"))
    found = _shown(experiment, arms, show)
    total, pages, start = _cut(found.count(), number, TASKS_A_PAGE)
    chosen = [trial.task_id for trial in found[start : start + TASKS_A_PAGE]]
    items = TaskItem.objects.in_bulk(chosen)
    cells = _cells(experiment, arms, chosen)
    rows = [GridRow(items[pk], cells[pk]) for pk in chosen]
    return Page(rows, start // TASKS_A_PAGE + 1, pages, total)


def failures(experiment: Experiment, number: int = 1) -> Page:
    """Return a page of the trials that failed, with their reasons."""
    found = Trial.objects.filter(experiment=experiment, state=TrialState.FAILED)
    total, pages, start = _cut(found.count(), number, FAILURES_A_PAGE)
    rows = found.select_related("arm", "task", "run").defer("facts", "trace", "task__question")
    chosen = list(rows.order_by("position")[start : start + FAILURES_A_PAGE])
    return Page(chosen, start // FAILURES_A_PAGE + 1, pages, total)


def _cut(total: int, number: int, size: int) -> tuple[int, int, int]:
    """Return the total, the number of pages, and where the wanted one begins."""
    pages = max(1, -(-total // size))
    return total, pages, (min(max(1, number), pages) - 1) * size


def _shown(experiment: Experiment, arms: Sequence[ExperimentArm], show: str) -> QuerySet[Trial]:
    """Return one trial of each task to be shown, in the order of the experiment."""
    seed = experiment.definition["seeds"][0]
    found = Trial.objects.filter(experiment=experiment, arm=arms[0], seed=seed)
    if show == "failed":
        lost = Trial.objects.filter(experiment=experiment, task=OuterRef("task"), state__in=LOST)
        found = found.filter(Exists(lost))
    if show == "different":
        done = Trial.objects.filter(experiment=experiment, state=TrialState.DONE)
        both = done.values("task").annotate(
            right=Count("pk", filter=Q(outcome="correct")),
            wrong=Count("pk", filter=Q(outcome="incorrect")),
        )
        found = found.filter(task__in=both.filter(right__gt=0, wrong__gt=0).values("task"))
    return found.order_by("position").only("task_id", "position")


def _cells(
    experiment: Experiment, arms: Sequence[ExperimentArm], chosen: Sequence[int]
) -> dict[int, list[list[Cell]]]:
    places = {arm.pk: place for place, arm in enumerate(arms)}
    cells: dict[int, list[list[Cell]]] = defaultdict(lambda: [[] for _ in arms])
    rows = (
        Trial.objects.filter(experiment=experiment, task__in=chosen)
        .order_by("position")
        .values_list(
            "task_id", "arm_id", "seed", "state", "outcome", "score", "run__uuid", "error_message"
        )
    )
    for task, arm, seed, state, outcome, score, run, why in rows:
        look = look_of(state, outcome)
        shown = score if outcome not in _BY_OUTCOME else None
        cells[task][places[arm]].append(Cell(seed, look, shown, str(run or ""), why))
    return cells


def look_of(state: str, outcome: str) -> Look:
    if state == TrialState.DONE:
        return _BY_OUTCOME.get(outcome, _UNSCORED)
    return _BY_STATE[TrialState(state)]
