"""From a definition to a stored experiment: every name resolved, every arm checked, every trial a row."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.errors import InvalidInput
from collab_core.experiments.definition import Arm, Definition, digest
from collab_core.experiments.selection import select
from webapp.experiments import feeding
from webapp.experiments.models import (
    Experiment,
    ExperimentArm,
    TaskItem,
    TaskSet,
    Trial,
)
from webapp.runs import checks
from webapp.runs.models import Collection
from webapp.runs.services import checked_parameters
from webapp.runs.specs import stored_tiers
from webapp.teams import audit
from webapp.teams.access import require_may_run, role_in
from webapp.teams.audit import Action
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Endpoint, Ladder, Rung

MAX_TRIALS = 100_000
FIXED = {"small": 0, "large": -1}
"""Strategies that call one tier only, and which."""


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """A definition with its names resolved."""

    definition: Definition
    task_set: TaskSet
    tasks: Sequence[int]
    """Primary keys, in order."""
    arms: Sequence[ExperimentArm]
    collection: Collection | None
    judge: Endpoint | None
    simulated: bool


def create(
    workspace: Workspace,
    user: User,
    definition: Definition,
    *,
    max_parallel: int | None = None,
    idempotency_key: str | None = None,
    parent: Experiment | None = None,
) -> Experiment:
    """Store an experiment and begin it.

    The same ``idempotency_key`` of the same user gives the experiment of the first call.

    Raises:
        InvalidInput: with the field at fault: ``arms.2.strategy``, ``tasks.name`` …; the key was used
            for another experiment.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, workspace.pk))
    key = checks.checked_key(idempotency_key)
    if earlier := _earlier(workspace, user, key, definition):
        return earlier
    checked = check(workspace, definition)
    try:
        made = _store(workspace, user, checked, max_parallel, key, parent)
    except IntegrityError:
        # the same key arrived twice at once; the other one was first
        if earlier := _earlier(workspace, user, key, definition):
            return earlier
        raise
    return made


def check(workspace: Workspace, definition: Definition) -> _Checked:
    """Resolve the names of a definition and check all that can be checked before anything runs.

    Raises:
        InvalidInput: with the field at fault.
    """
    task_set = _task_set(workspace, definition)
    tasks = _tasks(task_set, definition)
    trials = len(tasks) * len(definition.arms) * len(definition.seeds)
    if trials > MAX_TRIALS:
        raise InvalidInput(
            f"{len(tasks):,} tasks x {len(definition.arms)} arms x {len(definition.seeds)} seeds are "
            f"{trials:,} runs; at most {MAX_TRIALS:,} are allowed.",
            field="tasks.count",
        )
    collection = _collection(workspace, definition, task_set)
    checks.checked_limits(definition.limits)
    checks.checked_tools(definition.tools, collection)
    ladders: dict[str, tuple[Ladder, list[Rung]]] = {}
    arms = [_arm(workspace, arm, place, ladders) for place, arm in enumerate(definition.arms)]
    return _Checked(
        definition=definition,
        task_set=task_set,
        tasks=tasks,
        arms=arms,
        collection=collection,
        judge=_judge(workspace, definition, task_set),
        simulated=any(rung.endpoint.simulated for _, rungs in ladders.values() for rung in rungs),
    )


def _earlier(
    workspace: Workspace, user: User, key: str | None, definition: Definition
) -> Experiment | None:
    if key is None:
        return None
    found = Experiment.objects.filter(created_by=user, idempotency_key=key).first()
    if found is None:
        return None
    kept = found.defined
    tasks = definition.tasks
    if not tasks.digest:  # it was filled in when the experiment was stored
        tasks = tasks.model_copy(update={"digest": kept.tasks.digest})
    asked = definition.model_copy(update={"tasks": tasks})
    if found.workspace_id != workspace.pk or asked != kept:
        raise InvalidInput(
            "This idempotency key was used for another experiment.", field="idempotency_key"
        )
    return found


# --- names --------------------------------------------------------------------------------------
def _task_set(workspace: Workspace, definition: Definition) -> TaskSet:
    wanted = definition.tasks
    found = TaskSet.objects.live().filter(workspace=workspace, name=wanted.name).first()
    if found is None:
        raise InvalidInput(
            f"There is no task set {wanted.name!r} in this workspace.",
            field="tasks.name",
            hint="Add it under Experiments, Task sets.",
        )
    if wanted.digest and wanted.digest != found.digest:
        raise InvalidInput(
            f"The task set {wanted.name!r} of this workspace holds other tasks than the one the "
            "experiment was made with.",
            field="tasks.digest",
            hint="Add the original file under another name, or remove the digest.",
        )
    return found


def _tasks(task_set: TaskSet, definition: Definition) -> list[int]:
    rows = list(
        TaskItem.objects.filter(task_set=task_set)
        .order_by("position")
        .values_list("pk", "task_id", "difficulty", "category")
    )
    keys = {task_id: pk for pk, task_id, _, _ in rows}
    known = [
        BenchmarkTask(id=task_id, question="", difficulty=difficulty, category=category)
        for _, task_id, difficulty, category in rows
    ]
    return [keys[task.id] for task in select(known, definition.tasks)]


def _collection(
    workspace: Workspace, definition: Definition, task_set: TaskSet
) -> Collection | None:
    if not definition.collection:
        return task_set.collection
    found = Collection.objects.filter(workspace=workspace, name=definition.collection).first()
    if found is None:
        raise InvalidInput(
            f"There is no collection {definition.collection!r} in this workspace.",
            field="collection",
        )
    return found


def _judge(workspace: Workspace, definition: Definition, task_set: TaskSet) -> Endpoint | None:
    if task_set.needs not in ("judge", "critic"):
        return None
    if definition.judge is None:
        raise InvalidInput(
            f"The answers of {task_set.title} are graded by a model.",
            field="judge.endpoint",
            hint="Choose the endpoint that judges them.",
        )
    live = Endpoint.objects.live().filter(workspace=workspace, name=definition.judge.endpoint)
    found = live.first()
    if found is None:
        raise InvalidInput(
            f"There is no endpoint {definition.judge.endpoint!r} in this workspace.",
            field="judge.endpoint",
        )
    return found


def _arm(
    workspace: Workspace, arm: Arm, place: int, ladders: dict[str, tuple[Ladder, list[Rung]]]
) -> ExperimentArm:
    try:
        ladder, rungs = ladders.get(arm.ladder) or _ladder(workspace, arm.ladder)
        ladders[arm.ladder] = (ladder, rungs)
        parameters = checked_parameters(workspace, arm.strategy, arm.parameters, ladder)
    except InvalidInput as error:
        raise InvalidInput(
            f"Arm {arm.label}: {error.message}",
            field=f"arms.{place}.{error.field or 'strategy'}",
            hint=error.hint,
        ) from error
    tiers = stored_tiers(rungs)
    only = FIXED.get(arm.strategy)
    return ExperimentArm(
        position=place,
        label=arm.label,
        strategy=arm.strategy,
        parameters=parameters,
        ladder=ladder,
        ladder_name=ladder.name,
        tiers=tiers,
        uses=[tiers[only]["endpoint"]] if only is not None else [t["endpoint"] for t in tiers],
    )


def _ladder(workspace: Workspace, name: str) -> tuple[Ladder, list[Rung]]:
    found = Ladder.objects.live().filter(workspace=workspace, name=name).first()
    if found is None:
        raise InvalidInput(f"there is no ladder {name[:80]!r} in this workspace.", field="ladder")
    return found, checks.checked_ladder(workspace, found)


# --- storing ------------------------------------------------------------------------------------
@transaction.atomic
def _store(
    workspace: Workspace,
    user: User,
    checked: _Checked,
    max_parallel: int | None,
    key: str | None,
    parent: Experiment | None,
) -> Experiment:
    Workspace.objects.select_for_update().get(pk=workspace.pk)  # numbers are given one by one
    last = Experiment.objects.filter(workspace=workspace).aggregate(last=Max("number"))["last"]
    definition = checked.definition.model_copy(
        update={
            "tasks": checked.definition.tasks.model_copy(update={"digest": checked.task_set.digest})
        }
    )
    made = Experiment.objects.create(
        workspace=workspace,
        number=(last or 0) + 1,
        name=definition.name,
        created_by=user,
        idempotency_key=key,
        parent=parent,
        definition=definition.model_dump(mode="json"),
        digest=digest(definition),
        task_set=checked.task_set,
        collection=checked.collection,
        judge=checked.judge,
        max_parallel=max_parallel,
        started_at=timezone.now(),
        trials_total=len(checked.tasks) * len(checked.arms) * len(definition.seeds),
        simulated=checked.simulated,
    )
    for arm in checked.arms:
        arm.experiment = made
    ExperimentArm.objects.bulk_create(checked.arms)
    arms = list(made.arms.order_by("position"))
    Trial.objects.bulk_create(_trials(made, checked.tasks, arms), batch_size=2_000)
    audit.record(workspace, user, Action.EXPERIMENT_SUBMITTED, target=f"{made.ref}: {made.name}")
    transaction.on_commit(feeding.wake)
    return made


def _trials(
    made: Experiment, tasks: Sequence[int], arms: Sequence[ExperimentArm]
) -> Iterator[Trial]:
    """Yield the trials in the order in which they begin: all arms of a task side by side, so that a
    table of a part is as fair as that of the whole."""
    cells = itertools.product(made.defined.seeds, tasks, arms)
    for position, (seed, task, arm) in enumerate(cells):
        yield Trial(experiment=made, position=position, arm=arm, task_id=task, seed=seed)
