"""Which trials begin next: as many as may run at the same time, fair between people.

One feeder at a time (its row is locked), so that no limit is passed however many processes feed. A
trial begins only when every tier that it may call has a free place: a tier's limit holds over all
workers, and no run waits in a worker for a slot, where the wait would be measured as its latency.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import InterfaceError, transaction
from django.db import OperationalError as DatabaseDown
from django.db.models import Count, F, Q
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from collab_core.errors import InvalidInput
from collab_core.experiments.definition import trial_seed
from webapp.experiments.models import (
    Experiment,
    ExperimentArm,
    ExperimentStatus,
    Feeder,
    Trial,
    TrialState,
)
from webapp.experiments.progress import trials_changed
from webapp.runs import checks
from webapp.runs.services import Plan, store_trials
from webapp.runs.specs import stored_tiers
from webapp.tiers.models import Endpoint, Rung

logger = logging.getLogger(__name__)
LOOK_AHEAD = 200
"""Waiting trials of an experiment that are looked at for one whose tiers have a free place."""


def wake() -> None:
    """Ask for a turn of the feeder; without a broker the next tick does it."""
    try:
        current_app.send_task("experiments.feed", expires=30)
    except (OperationalError, OSError) as error:
        logger.warning("experiments wait for the next tick, the broker is down: %s", error)


def lock() -> None:
    """Be the only one who begins, pauses, stops or retries trials until the transaction ends."""
    Feeder.objects.get_or_create(pk=1)
    Feeder.objects.select_for_update().get(pk=1)
    Feeder.objects.filter(pk=1).update(fed_at=Now())


def feed() -> int:
    """Begin what may begin; return how many runs were stored."""
    if not Experiment.objects.filter(status=ExperimentStatus.RUNNING).exists():
        return 0
    return _feed()


@transaction.atomic
def _feed() -> int:
    lock()
    state = _State.read()
    for experiment in state.held():
        _pause_held(experiment)
    chosen: dict[int, list[Trial]] = {}
    while state.free > 0 and (trial := state.take()) is not None:
        chosen.setdefault(trial.experiment_id, []).append(trial)
    return sum(_begun(state.experiments[pk], trials) for pk, trials in chosen.items())


# --- choosing -----------------------------------------------------------------------------------
@dataclass(kw_only=True)
class _State:
    """What runs now, and who waits. ``take`` counts each trial that it gives as running."""

    experiments: dict[int, Experiment]
    free: int
    by_experiment: Counter[int] = field(default_factory=Counter)
    by_user: Counter[int | None] = field(default_factory=Counter)
    by_endpoint: Counter[str] = field(default_factory=Counter)
    places: dict[str, int] = field(default_factory=dict)
    waiting: dict[int, list[Trial]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> _State:
        running = Experiment.objects.filter(status=ExperimentStatus.RUNNING)
        with_work = running.filter(trials__state=TrialState.PENDING).distinct()
        state = cls(
            experiments={
                one.pk: one for one in with_work.select_related("workspace", "created_by")
            },
            free=int(settings.TANDEM["experiment_concurrency"]),
        )
        counts = (
            Trial.objects.filter(state=TrialState.RUNNING)
            .values_list("experiment_id", "experiment__created_by_id", "arm__uses")
            .annotate(count=Count("pk"))
        )
        for experiment, user, uses, count in counts:
            state.count(experiment, user, uses, count)
        ids = {uuid for one in state.experiments.values() for uuid in _endpoints(one)}
        rows = Endpoint.objects.filter(uuid__in=ids).values_list("uuid", "max_concurrency")
        state.places = {str(uuid): most for uuid, most in rows}
        return state

    def count(self, experiment: int, user: int | None, uses: Sequence[str], count: int = 1) -> None:
        self.free -= count
        self.by_experiment[experiment] += count
        self.by_user[user] += count
        for endpoint in uses:
            self.by_endpoint[endpoint] += count

    def take(self) -> Trial | None:
        """Return the next trial: of the person with the least running, and of that person's
        experiment with the least running."""
        for experiment in self._in_turn():
            trial = self._next_of(experiment)
            if trial is not None:
                self.count(experiment.pk, experiment.created_by_id, trial.arm.uses)
                return trial
        return None

    def held(self) -> list[Experiment]:
        """Return the experiments in which nothing runs and only held arms have trials left."""
        return [
            one
            for one in self.experiments.values()
            if not self.by_experiment[one.pk] and not self._waiting_of(one)
        ]

    def _in_turn(self) -> list[Experiment]:
        def turn(one: Experiment) -> tuple[int, int, int]:
            return self.by_user[one.created_by_id], self.by_experiment[one.pk], one.pk

        return sorted(self.experiments.values(), key=turn)

    def _next_of(self, experiment: Experiment) -> Trial | None:
        most = experiment.max_parallel
        if most is not None and self.by_experiment[experiment.pk] >= most:
            return None
        waiting = self._waiting_of(experiment)
        for place, trial in enumerate(waiting):
            if all(self._has_place(endpoint) for endpoint in trial.arm.uses):
                return waiting.pop(place)
        return None

    def _waiting_of(self, experiment: Experiment) -> list[Trial]:
        if experiment.pk not in self.waiting:
            pending = Trial.objects.filter(
                experiment=experiment, state=TrialState.PENDING, arm__held=False
            )
            rows = pending.select_related("arm__ladder", "task").order_by("position")
            self.waiting[experiment.pk] = list(rows[:LOOK_AHEAD])
        return self.waiting[experiment.pk]

    def _has_place(self, endpoint: str) -> bool:
        # one that is gone has no limit: the trial then fails with words that say so
        most = self.places.get(endpoint)
        return most is None or self.by_endpoint[endpoint] < most


def _endpoints(experiment: Experiment) -> Iterator[str]:
    for uses in experiment.arms.values_list("uses", flat=True):
        yield from uses


def _pause_held(experiment: Experiment) -> None:
    Experiment.objects.filter(pk=experiment.pk, status=ExperimentStatus.RUNNING).update(
        status=ExperimentStatus.PAUSED, revision=F("revision") + 1
    )


# --- beginning ----------------------------------------------------------------------------------
def _begun(experiment: Experiment, trials: Sequence[Trial]) -> int:
    """Begin these trials; an experiment that cannot begin any must not keep the others waiting."""
    try:
        with transaction.atomic():
            return _begin(experiment, trials)
    except (DatabaseDown, InterfaceError):
        raise
    except Exception as error:
        logger.exception("%s of workspace %s cannot begin", experiment, experiment.workspace_id)
        Experiment.objects.filter(pk=experiment.pk, status=ExperimentStatus.RUNNING).update(
            status=ExperimentStatus.PAUSED,
            notice=f"Its runs cannot begin ({type(error).__name__}); the server's log says more.",
            revision=F("revision") + 1,
        )
        return 0


def _begin(experiment: Experiment, trials: Sequence[Trial]) -> int:
    """Store the runs of these trials; those that miss their ladder or tools as they were fail."""
    rungs: dict[int, list[Rung]] = {}
    broken: dict[int, str] = {}
    for arm in {trial.arm_id: trial.arm for trial in trials}.values():
        try:
            rungs[arm.pk] = _unchanged(experiment, arm)
        except InvalidInput as error:
            broken[arm.pk] = f"{error.message} {error.hint}".strip()
    for arm_id, message in broken.items():
        _fail_waiting(experiment, Q(arm_id=arm_id), "ladder_changed", message)
    good = [trial for trial in trials if trial.arm_id in rungs]
    if not good:
        return 0
    try:
        plan = _planner(experiment)
    except InvalidInput as error:
        # a tool that is switched off, a collection that was deleted: the same for all that wait
        _fail_waiting(experiment, Q(), "cannot_begin", f"{error.message} {error.hint}".strip())
        return 0
    runs = store_trials([plan(trial, rungs[trial.arm_id]) for trial in good])
    for trial, run in zip(good, runs, strict=True):
        trial.run, trial.state = run, TrialState.RUNNING
    Trial.objects.bulk_update(good, ["run", "state"])
    trials_changed(experiment.pk)
    return len(runs)


def _planner(experiment: Experiment) -> Any:
    definition, user = experiment.defined, experiment.created_by
    limits = checks.checked_limits(definition.limits)
    tools = checks.checked_tools(definition.tools, experiment.collection)

    def plan(trial: Trial, rungs: Sequence[Rung]) -> Plan:
        arm, task = trial.arm, trial.task
        assert arm.ladder is not None  # _unchanged has seen it
        return Plan(
            workspace=experiment.workspace,
            user=user,
            question=task.question,
            strategy=arm.strategy,
            parameters=arm.parameters,
            ladder=arm.ladder,
            rungs=rungs,
            collection=experiment.collection,
            tools=tools,
            task_id=task.task_id,
            gold=task.answers,
            scorer=task.scorer,
            seed=trial_seed(trial.seed, task.task_id),
            limits=limits,
        )

    return plan


def _unchanged(experiment: Experiment, arm: ExperimentArm) -> list[Rung]:
    """Return the arm's rungs.

    Raises:
        InvalidInput: the ladder is gone, or has other tiers than when the experiment was made.
    """
    if arm.ladder is None:
        raise InvalidInput(f"The ladder {arm.ladder_name} does not exist any more.")
    rungs = checks.checked_ladder(experiment.workspace, arm.ladder)
    if stored_tiers(rungs) != arm.tiers:
        raise InvalidInput(
            f"The ladder {arm.ladder_name} has other tiers than when the experiment began.",
            hint="Put it back as it was and retry what failed, or run the experiment again.",
        )
    return rungs


def _fail_waiting(experiment: Experiment, which: Q, code: str, message: str) -> None:
    waiting = Trial.objects.filter(which, experiment=experiment, state=TrialState.PENDING)
    failed = waiting.update(
        state=TrialState.FAILED, error_code=code, error_message=message, finished_at=Now()
    )
    trials_changed(experiment.pk, done=failed, failed=failed)
