"""The only writers of runs outside a worker: submit, cancel, re-run, fork."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

import collab_core
from collab_core import events as ev
from collab_core.domain import Fork, Limits, Task
from collab_core.errors import InvalidInput
from collab_core.runtime.fork import inherit_parameters, prefix
from collab_core.strategies.registry import check_fork, find, parse_parameters
from webapp.learning.weights import check as check_weights
from webapp.runs import checks, fold, leases
from webapp.runs.checks import MAX_SEED, LimitsInput
from webapp.runs.journal import event_row
from webapp.runs.models import Collection, Run, RunEvent, Status
from webapp.runs.publisher import publisher
from webapp.runs.specs import limits_of, stored_tiers
from webapp.runs.tasks import enqueue
from webapp.teams.access import require_may_run, role_in
from webapp.teams.audit import Action, Entry, record, record_all
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder, Rung

__all__ = ["MAX_SEED", "LimitsInput"]
logger = logging.getLogger(__name__)
MAX_RACE = 6
MAX_PARAMETERS_BYTES = 20_000


class QuotaReached(InvalidInput):
    """Too many runs of the workspace are waiting or running; later is fine."""

    code = "quota_reached"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One task under one or several strategies; several are a race."""

    question: str
    strategies: Sequence[tuple[str, Mapping[str, Any]]]
    ladder: Ladder
    collection: Collection | None = None
    tools: Sequence[str] | None = None
    """Names of ``webapp.runs.tools.offers``; None = the default ones."""
    task_id: str = ""
    seed: int | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A checked submission of one run, ready to be stored; whoever makes one has checked it."""

    workspace: Workspace
    user: User | None
    """None: the account of whoever began the experiment is gone."""
    question: str
    strategy: str
    parameters: dict[str, Any]
    ladder: Ladder
    rungs: Sequence[Rung]
    collection: Collection | None
    tools: list[str] | None
    task_id: str
    gold: list[str]
    seed: int
    limits: Limits
    scorer: str | None = None
    """Who grades the answer; None = the normalised match."""
    idempotency_key: str | None = None
    race: uuid.UUID | None = None
    parent: Run | None = None
    fork_step: int | None = None
    copied: Sequence[ev.AnyEvent] = ()


# --- the services -------------------------------------------------------------------------------
def submit(workspace: Workspace, user: User, submission: Submission) -> list[Run]:
    """Store one queued run a strategy and wake a worker up once they are durable.

    The same ``idempotency_key`` of the same user gives the runs of the first submission.

    Raises:
        InvalidInput: with the field at fault; QuotaReached: too many active runs.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, workspace.pk))
    plans = _plans(workspace, user, submission)
    if earlier := _earlier(plans):
        return earlier
    try:
        return _store_all(plans)
    except IntegrityError:
        # the same key arrived twice at once; the other one was first
        if earlier := _earlier(plans):
            return earlier
        raise


def cancel(run: Run, user: User) -> None:
    """Stop a run: at once if no worker has it, else within a second. An ended one stays as it is.

    Raises:
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, run.workspace_id))
    with transaction.atomic():
        locked = Run.objects.select_for_update().get(pk=run.pk)
        if locked.ended:
            return
        if locked.cancel_requested_at is None:
            Run.objects.filter(pk=run.pk).update(
                cancel_requested_at=Now(), cancelled_by=user.username
            )
            record(run.workspace_id, user, Action.RUN_CANCELLED, target=run.ref, url=_page(run))
        if locked.status == Status.QUEUED:
            _cancel_unowned(locked, user.username)


def rerun(run: Run, user: User) -> Run:
    """Submit the same task again: same strategy, parameters, ladder, limits and seed.

    Raises:
        InvalidInput: the ladder is gone. Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, run.workspace_id))
    submission = Submission(
        question=run.question,
        strategies=[(run.strategy, run.parameters)],
        ladder=_ladder_of(run),
        collection=run.collection,
        tools=run.tools,
        seed=run.seed,
        limits=run.limits,
    )
    # whoever graded the run grades the new one, also where its task is of no collection
    (plan,) = _plans(run.workspace, user, submission)
    plan = replace(plan, task_id=run.task_id, gold=run.gold, scorer=run.scorer)
    return _store_all([plan])[0]


def fork(
    run: Run,
    user: User,
    *,
    after_step: int,
    strategy: str,
    parameters: Mapping[str, Any],
    ladder: Ladder,
    idempotency_key: str | None = None,
) -> Run:
    """Submit a run that shares steps 1..``after_step`` and goes on with another strategy or ladder.

    Raises:
        InvalidInput: no such step, or strategy, parameters or ladder do not fit.
        Http404, PermissionDenied: a stranger, a viewer.
    """
    require_may_run(role_in(user, run.workspace_id))
    check_fork(run.strategy, strategy)
    accepted = list(find(strategy).parameters.model_fields)
    copied = prefix(leases.read_history(run.pk), after_step)
    rungs = checks.checked_ladder(run.workspace, ladder)
    highest = max((e.tier for e in copied if isinstance(e, ev.StepFinished)), default=0)
    if highest >= len(rungs):
        raise InvalidInput(
            f"The shared steps used tier {highest + 1}, but ladder {ladder.name} has {len(rungs)}.",
            field="ladder",
        )
    plan = Plan(
        workspace=run.workspace,
        user=user,
        question=run.question,
        strategy=strategy,
        parameters=checked_parameters(
            run.workspace,
            strategy,
            inherit_parameters(run.parameters, parameters, accepted=accepted),
            ladder,
        ),
        ladder=ladder,
        rungs=rungs,
        collection=run.collection,
        # the schemas are the head of the prompts that the fork shares
        tools=None if run.tools is None else checks.checked_tools(run.tools, run.collection),
        task_id=run.task_id,
        gold=run.gold,
        scorer=run.scorer,
        seed=run.seed,
        limits=limits_of(run.limits),
        idempotency_key=checks.checked_key(idempotency_key),
        parent=run,
        fork_step=after_step,
        copied=copied,
    )
    if earlier := _earlier([plan]):
        return earlier[0]
    return _store_all([plan])[0]


# --- checks -------------------------------------------------------------------------------------
def _plans(workspace: Workspace, user: User, submission: Submission) -> list[Plan]:
    question = checks.checked_question(submission.question)
    strategies = list(submission.strategies)
    if not 1 <= len(strategies) <= MAX_RACE:
        raise InvalidInput(f"Choose 1 to {MAX_RACE} strategies.", field="strategy")
    collection = checks.checked_collection(workspace, submission.collection)
    key = checks.checked_key(submission.idempotency_key)
    task_id, gold = checks.known_task(collection, submission.task_id, question)
    common = Plan(
        workspace=workspace,
        user=user,
        question=question,
        strategy="",
        parameters={},
        ladder=submission.ladder,
        rungs=checks.checked_ladder(workspace, submission.ladder),
        collection=collection,
        tools=checks.checked_tools(submission.tools, collection),
        task_id=task_id,
        gold=gold,
        seed=checks.checked_seed(submission.seed),
        limits=checks.checked_limits(submission.limits),
        race=uuid.uuid4() if len(strategies) > 1 else None,
    )
    return [
        replace(
            common,
            strategy=name,
            parameters=checked_parameters(workspace, name, raw, submission.ladder),
            idempotency_key=key if key is None or number == 0 else f"{key}#{number}",
        )
        for number, (name, raw) in enumerate(strategies)
    ]


def checked_parameters(
    workspace: Workspace, strategy: str, raw: Mapping[str, Any], ladder: Ladder
) -> dict[str, Any]:
    """Return the parameters, complete, of a run that could begin: what it loads is there and fits.

    Raises:
        InvalidInput: with the parameter at fault in ``field``.
    """
    if len(repr(raw)) > MAX_PARAMETERS_BYTES:
        raise InvalidInput("The parameters are too large.", field="parameters")
    values = parse_parameters(strategy, raw).model_dump(mode="json")
    check_weights(workspace.pk, find(strategy), values, ladder.to_core())
    return values


def _ladder_of(run: Run) -> Ladder:
    if run.ladder is None:
        raise InvalidInput(
            f"The ladder {run.ladder_name} of this run does not exist any more.",
            field="ladder",
            hint="Submit the task anew with another ladder.",
        )
    return run.ladder


def _earlier(plans: Sequence[Plan]) -> list[Run]:
    keys = [plan.idempotency_key for plan in plans if plan.idempotency_key is not None]
    if not keys:
        return []
    first = plans[0]
    runs = list(
        Run.objects.filter(submitted_by=first.user, idempotency_key__in=keys).order_by("number")
    )
    if not runs:
        return []
    asked = [(p.workspace.pk, p.question, p.strategy, p.ladder.pk, p.fork_step) for p in plans]
    known = [(r.workspace_id, r.question, r.strategy, r.ladder_id, r.fork_step) for r in runs]
    if asked != known:
        raise InvalidInput(
            "This idempotency key was used for another submission.", field="idempotency_key"
        )
    return runs


# --- storing ------------------------------------------------------------------------------------
@transaction.atomic
def _store_all(plans: Sequence[Plan]) -> list[Run]:
    last = _take_numbers(plans[0].workspace, len(plans))
    _check_quota(plans[0].workspace, len(plans))
    runs = _stored(plans, last)
    record_all(plans[0].workspace, plans[0].user, map(_submitted, runs))
    return runs


@transaction.atomic
def store_trials(plans: Sequence[Plan]) -> list[Run]:
    """Store runs of one workspace's experiment; how many at once is the experiment's own limit."""
    return _stored(plans, _take_numbers(plans[0].workspace, len(plans)))


def _take_numbers(workspace: Workspace, count: int) -> int:
    """Return the last of ``count`` fresh numbers; the row is locked until the transaction ends."""
    Workspace.objects.filter(pk=workspace.pk).update(last_run_number=F("last_run_number") + count)
    return Workspace.objects.values_list("last_run_number", flat=True).get(pk=workspace.pk)


def _stored(plans: Sequence[Plan], last: int) -> list[Run]:
    runs = [_store(plan, number) for number, plan in enumerate(plans, start=last - len(plans) + 1)]
    for run in runs:
        transaction.on_commit(partial(_wake, run.pk))
    return runs


def _submitted(run: Run) -> Entry:
    detail = {"strategy": run.strategy, "ladder": run.ladder_name, "question": run.question[:80]}
    if run.parent is None:
        return Entry(action=Action.RUN_SUBMITTED, target=run.ref, url=_page(run), detail=detail)
    detail["from"] = f"{run.parent.ref}, step {run.fork_step}"
    return Entry(action=Action.RUN_FORKED, target=run.ref, url=_page(run), detail=detail)


def _page(run: Run) -> str:
    return reverse("runs:detail", args=[run.uuid])


def _wake(run_id: int) -> None:
    if not enqueue(run_id):
        Run.objects.filter(pk=run_id, status=Status.QUEUED).update(enqueued_at=None)


def _check_quota(workspace: Workspace, more: int) -> None:
    most = settings.TANDEM["max_active_runs"]
    active = Run.objects.alive().filter(workspace=workspace).count()
    if active + more > most:
        raise QuotaReached(
            f"{active} runs of this workspace are waiting or running; at most {most} may.",
            hint="Wait for some to end, or stop some.",
        )


def _store(plan: Plan, number: int) -> Run:
    core = plan.ladder.to_core()
    run_uuid, now = uuid.uuid4(), timezone.now()
    queued = ev.RunQueued(
        task=Task(
            question=plan.question,
            collection=plan.collection.name if plan.collection else "",
            task_id=plan.task_id,
        ),
        strategy=plan.strategy,
        parameters=plan.parameters,
        ladder=core.snapshot(),
        ladder_name=plan.ladder.name,
        seed=plan.seed,
        limits=plan.limits,
        submitted_by=plan.user.username if plan.user else "",
        code_version=collab_core.__version__,
        simulated=core.simulated,
        tools=None if plan.tools is None else tuple(plan.tools),
        forked_from=Fork(run_id=str(plan.parent.uuid), after_step=plan.fork_step or 0)
        if plan.parent
        else None,
    )
    log = [queued, *plan.copied]
    folded = fold.Folded()
    for event in log:
        folded.add(now.timestamp(), event)
    run = Run.objects.create(
        uuid=run_uuid,
        workspace=plan.workspace,
        number=number,
        submitted_by=plan.user,
        created_at=now,
        idempotency_key=plan.idempotency_key,
        parent=plan.parent,
        fork_step=plan.fork_step,
        race=plan.race,
        question=plan.question,
        collection=plan.collection,
        tools=plan.tools,
        task_id=plan.task_id,
        gold=plan.gold,
        scorer=plan.scorer,
        strategy=plan.strategy,
        parameters=plan.parameters,
        ladder=plan.ladder,
        ladder_name=plan.ladder.name,
        tiers=stored_tiers(plan.rungs),
        seed=plan.seed,
        limits=asdict(plan.limits),
        simulated=core.simulated,
        enqueued_at=now,
        next_seq=len(log),
        **folded.columns(),
    )
    _insert(run.pk, 0, now.timestamp(), log)
    return run


def _insert(run_id: int, first_seq: int, at: float, events: Sequence[ev.AnyEvent]) -> None:
    rows = [event_row(run_id, first_seq + i, at, event) for i, event in enumerate(events)]
    RunEvent.objects.bulk_create(
        [
            RunEvent(run_id=r, seq=seq, at=at, type=kind, step=step, body=body)
            for r, seq, at, kind, step, body in rows
        ],
        batch_size=500,
    )


def _cancel_unowned(locked: Run, by: str) -> None:
    """End a run nobody works on; its row is locked, and a new fence shuts out late claimers."""
    history = leases.read_history(locked.pk)
    event = ev.RunCancelled(by=by, totals=fold.totals(history))
    at, seq = time.time(), len(history)
    folded = fold.fold(history)
    folded.add(at, event)
    stored = Run.objects.filter(pk=locked.pk, status=Status.QUEUED, fence=locked.fence).update(
        fence=F("fence") + 1, next_seq=seq + 1, lease_until=None, **folded.columns()
    )
    if not stored:
        return  # a worker was faster: it obeys the request
    _insert(locked.pk, seq, at, [event])
    frames = [(seq, ev.frame(seq, at, ev.encode_body(event)))]
    transaction.on_commit(lambda: publisher().ring(locked.pk, frames))
