"""The figures of an experiment, computed from its trials and kept until one of them changes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from django.db import IntegrityError
from django.utils import timezone

import collab_core
from collab_core.errors import InvalidInput
from collab_core.experiments import published
from collab_core.experiments.columns import COLUMNS
from collab_core.experiments.frontier import Frontier, frontier
from collab_core.experiments.inference import Comparison, compare
from collab_core.experiments.records import Trial
from collab_core.experiments.sweep import Series, sweeps
from collab_core.experiments.table import Table, table, with_retried
from collab_core.experiments.trajectories import (
    DifficultyBy,
    by_difficulty,
    curves,
    solved_and_unsolved,
)
from collab_core.strategies.registry import STRATEGIES
from webapp.experiments import labels, reads
from webapp.experiments.models import Experiment, ExperimentStatus, ResultCache

VERSION = f"{collab_core.__version__}/2"
"""Of what computes the figures: what an older one has kept is not shown."""
TESTED = ("accuracy", "score", "latency_s", "cost_usd")
ACROSS = ("speedup", "cost_usd")
"""What accuracy is drawn against."""
PATIENCE = 10
WARMED = 20


class _Part(NamedTuple):
    """A part of the figures that is computed and kept by itself."""

    compute: Callable[[Experiment, Sequence[Trial], str], dict[str, Any]]
    fresh_s: float
    """While trials end one after another it may be so old, or ``PATIENCE`` times what it takes: many
    who watch cost no more than one, and a large experiment no more than a small one."""


def body(experiment: Experiment, baseline: str = "", *, only: str = "") -> bytes:
    """Return the figures as JSON, against the definition's baseline or another arm.

    ``revision`` says of which state the table is. What takes longer (tests, curves, splits) may be
    some seconds older than the table while trials end. ``only`` asks for one of the parts ``table``
    and ``details``, so that nobody waits for both.

    Raises:
        InvalidInput: the baseline is no arm.
    """
    chosen = baseline or experiment.defined.baseline
    own = chosen == experiment.defined.baseline
    trials = _Trials(experiment)
    wanted = [only] if only in _PARTS else list(_PARTS)
    parts = [_known(experiment, name, _PARTS[name]) if own else None for name in wanted]
    made = [
        known if known is not None else _computed(experiment, name, trials, chosen, keep=own)
        for (name, known) in zip(wanted, parts, strict=True)
    ]
    return b"{" + b",".join(part[1:-1] for part in made) + b"}"


def own_table(experiment: Experiment, baseline: str = "", *, beside: bool = False) -> Table:
    """Return the table itself, for exports; ``beside`` adds the published rows.

    Raises:
        InvalidInput: the baseline is no arm.
    """
    definition = experiment.defined
    made = _table(experiment, reads.trials(experiment), baseline or definition.baseline)
    if beside and definition.published:
        return published.beside(made, definition.published)
    return made


def warm() -> None:
    """Compute what ended experiments show, so that whoever opens one does not wait."""
    ended = Experiment.objects.filter(
        status=ExperimentStatus.FINISHED, finished_at__gt=timezone.now() - timedelta(hours=1)
    )
    for experiment in ended.order_by("-finished_at")[:WARMED]:
        kept = ResultCache.objects.filter(
            experiment=experiment, revision=experiment.revision, version=VERSION
        )
        if kept.count() < len(_PARTS):
            body(experiment)


# --- keeping ------------------------------------------------------------------------------------
class _Trials:
    """The trials, read when first needed."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._read: list[Trial] | None = None

    def read(self) -> list[Trial]:
        if self._read is None:
            self._read = reads.trials(self._experiment)
        return self._read


def _known(experiment: Experiment, name: str, part: _Part) -> bytes | None:
    kept = ResultCache.objects.filter(experiment=experiment, part=name, version=VERSION).first()
    if kept is None:
        return None
    age = timezone.now() - kept.computed_at
    may_be = timedelta(seconds=max(part.fresh_s, PATIENCE * kept.took_s))
    fresh = timedelta() <= age < may_be and not experiment.ended
    return bytes(kept.body) if fresh or kept.revision == experiment.revision else None


def _computed(
    experiment: Experiment, name: str, trials: _Trials, baseline: str, *, keep: bool
) -> bytes:
    began = time.perf_counter()
    computed = msgspec.json.encode(_PARTS[name].compute(experiment, trials.read(), baseline))
    if keep:
        values = {
            "revision": experiment.revision,
            "version": VERSION,
            "body": computed,
            "took_s": time.perf_counter() - began,
        }
        try:
            ResultCache.objects.update_or_create(experiment=experiment, part=name, defaults=values)
        except IntegrityError:
            # another request has just kept the same figures
            return computed
    return computed


# --- computing ----------------------------------------------------------------------------------
def _labels(experiment: Experiment) -> list[str]:
    return [arm.label for arm in experiment.defined.arms]


def _table(experiment: Experiment, trials: Sequence[Trial], baseline: str) -> Table:
    made = table(trials, arms=_labels(experiment), baseline=baseline)
    retried: Counter[str] = Counter()
    again = experiment.trials.exclude(earlier_runs=[]).values_list("arm__label", "earlier_runs")
    for arm, earlier in again:
        retried[arm] += len(earlier)
    made = with_retried(made, retried)
    if "false_progress" not in made.columns or labels.drawn_alike(experiment):
        return made
    note = (
        "False progress counts every labelled step alike, but some were likelier to be drawn for "
        "labelling than others; the figures of the label set weigh them by that."
    )
    return msgspec.structs.replace(made, notes=(*made.notes, note))


def _first(experiment: Experiment, trials: Sequence[Trial], baseline: str) -> dict[str, Any]:
    definition = experiment.defined
    made = _table(experiment, trials, baseline)
    theirs = published.find(definition.published).table if definition.published else None
    return {
        "revision": experiment.revision,
        "table": made,
        "columns": list(COLUMNS.values()),
        "published": theirs,
        "frontiers": _frontiers(made),
        "sweeps": _sweeps(experiment, made),
    }


def _frontiers(made: Table) -> dict[str, Frontier]:
    up = "accuracy" if "accuracy" in made.columns else "score"
    if up not in made.columns:
        return {}
    return {
        across: frontier(made.rows, x=across, y=up) for across in ACROSS if across in made.columns
    }


def _sweeps(experiment: Experiment, made: Table) -> tuple[Series, ...]:
    known = [arm for arm in experiment.defined.arms if arm.strategy in STRATEGIES]
    try:
        return sweeps(known, made.rows)
    except InvalidInput:
        # a parameter that this version of its strategy does not have any more
        return ()


def _details(experiment: Experiment, trials: Sequence[Trial], baseline: str) -> dict[str, Any]:
    runs = reads.with_traces(experiment, trials)
    arms = _labels(experiment)
    known = {trial.difficulty for trial in trials} - {""}
    ways: tuple[DifficultyBy, ...] = (
        ("label", "latency_s", "steps") if known else ("latency_s", "steps")
    )
    return {
        "tests": _tests(trials, arms),
        "curves": {along: curves(runs, along=along) for along in ("step", "share")},
        "splits": solved_and_unsolved(trials, arms=arms),
        "difficulty": {
            by: by_difficulty(trials, baseline=baseline, arms=arms, by=by) for by in ways
        }
        if baseline
        else {},
    }


def _tests(trials: Sequence[Trial], arms: Sequence[str]) -> list[Comparison]:
    if len(arms) < 2:
        return []
    made = [compare(trials, measure=measure, arms=arms) for measure in TESTED]
    return [one for one in made if any(effect.difference is not None for effect in one.effects)]


_PARTS = {"table": _Part(_first, 2.0), "details": _Part(_details, 20.0)}
