"""The figures of an experiment, computed from its trials and kept until one of them changes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from django.db import IntegrityError
from django.utils import timezone

import collab_core
from collab_core.experiments.columns import COLUMNS
from collab_core.experiments.table import table
from webapp.experiments import reads
from webapp.experiments.models import Experiment, ResultCache

VERSION = f"{collab_core.__version__}/1"
"""Of what computes the figures: what an older one has kept is not shown."""
FRESH_S = 2.0


def body(experiment: Experiment, baseline: str = "") -> bytes:
    """Return the figures as JSON, against the definition's baseline or another arm.

    What was computed for the definition's own baseline is kept, with the revision of which it is.
    While trials end one after another it may be up to ``FRESH_S`` old: many who watch cost no more
    than one.

    Raises:
        InvalidInput: the baseline is no arm.
    """
    own = experiment.defined.baseline
    if baseline and baseline != own:
        return _compute(experiment, baseline)
    revision = experiment.revision
    kept = ResultCache.objects.filter(experiment=experiment, version=VERSION).first()
    if kept is not None and (kept.revision == revision or _fresh(kept)):
        return bytes(kept.body)
    computed = _compute(experiment, own)
    _keep(experiment, revision, computed)
    return computed


def _fresh(kept: ResultCache) -> bool:
    return timedelta() <= timezone.now() - kept.computed_at < timedelta(seconds=FRESH_S)


def _keep(experiment: Experiment, revision: int, computed: bytes) -> None:
    values = {"revision": revision, "version": VERSION, "body": computed}
    try:
        ResultCache.objects.update_or_create(experiment=experiment, defaults=values)
    except IntegrityError:
        # another request has just kept the same figures
        return


def _compute(experiment: Experiment, baseline: str) -> bytes:
    trials = reads.trials(experiment)
    arms = [arm.label for arm in experiment.defined.arms]
    figures: dict[str, Any] = {
        "revision": experiment.revision,
        "table": table(trials, arms=arms, baseline=baseline),
        "columns": list(COLUMNS.values()),
    }
    return msgspec.json.encode(figures)
