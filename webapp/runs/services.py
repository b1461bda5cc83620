"""The only writers of runs outside a worker: submit, cancel, re-run, fork."""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import pydantic
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

import collab_core
from collab_core import events as ev
from collab_core.domain import Fork, Limits, Task
from collab_core.errors import InvalidInput
from collab_core.runtime.fork import inherit_parameters, prefix
from collab_core.strategies.registry import find, parse_parameters
from webapp.runs import fold, leases
from webapp.runs.journal import event_row
from webapp.runs.models import Collection, Run, RunEvent, SampleTask, Status
from webapp.runs.publisher import publisher
from webapp.runs.specs import limits_of
from webapp.runs.tasks import enqueue
from webapp.teams.access import require_may_run, role_in
from webapp.teams.models import User, Workspace
from webapp.tiers.models import Ladder, Rung

logger = logging.getLogger(__name__)
MAX_QUESTION_BYTES = 100_000
MAX_RACE = 6
MAX_SEED = 2**31 - 1
MAX_PARAMETERS_BYTES = 20_000


class QuotaReached(InvalidInput):
    """Too many runs of the workspace are waiting or running; later is fine."""

    code = "quota_reached"


class LimitsInput(pydantic.BaseModel):
    """What a run may spend, as a person enters it: forms and the REST schema are made of this."""

    model_config = pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)

    max_steps: int = pydantic.Field(
        40, ge=1, le=10_000, title="Steps", description="Think-act-observe steps at most."
    )
    max_tokens: int | None = pydantic.Field(
        2_000_000, ge=1, le=10**12, title="Tokens", description="Input and output, all calls."
    )
    max_cost_usd: float | None = pydantic.Field(
        None, gt=0, le=1e9, title="Cost (USD)", description="Empty = no limit."
    )
    max_wall_s: float | None = pydantic.Field(
        3_600.0, ge=1, le=31_536_000, title="Seconds", description="Of model and tool time."
    )
    max_output_tokens: int = pydantic.Field(
        2_048, ge=1, le=1_000_000, title="Output tokens a call", description="Of one model call."
    )


@dataclass(frozen=True, kw_only=True)
class Submission:
    """One task under one or several strategies; several are a race."""

    question: str
    strategies: Sequence[tuple[str, Mapping[str, Any]]]
    ladder: Ladder
    collection: Collection | None = None
    task_id: str = ""
    seed: int | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """A checked submission of one run, ready to be stored."""

    workspace: Workspace
    user: User
    question: str
    strategy: str
    parameters: dict[str, Any]
    ladder: Ladder
    rungs: Sequence[Rung]
    collection: Collection | None
    task_id: str
    gold: list[str]
    seed: int
    limits: Limits
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
        task_id=run.task_id,
        seed=run.seed,
        limits=run.limits,
    )
    return submit(run.workspace, user, submission)[0]


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
    accepted = list(find(strategy).parameters.model_fields)
    copied = prefix(leases.read_history(run.pk), after_step)
    rungs = _checked_ladder(run.workspace, ladder)
    highest = max((e.tier for e in copied if isinstance(e, ev.StepFinished)), default=0)
    if highest >= len(rungs):
        raise InvalidInput(
            f"The shared steps used tier {highest + 1}, but ladder {ladder.name} has {len(rungs)}.",
            field="ladder",
        )
    plan = _Plan(
        workspace=run.workspace,
        user=user,
        question=run.question,
        strategy=strategy,
        parameters=_checked_parameters(
            strategy, inherit_parameters(run.parameters, parameters, accepted=accepted)
        ),
        ladder=ladder,
        rungs=rungs,
        collection=run.collection,
        task_id=run.task_id,
        gold=run.gold,
        seed=run.seed,
        limits=limits_of(run.limits),
        idempotency_key=_checked_key(idempotency_key),
        parent=run,
        fork_step=after_step,
        copied=copied,
    )
    if earlier := _earlier([plan]):
        return earlier[0]
    return _store_all([plan])[0]


# --- checks -------------------------------------------------------------------------------------
def _plans(workspace: Workspace, user: User, submission: Submission) -> list[_Plan]:
    question = _checked_question(submission.question)
    strategies = list(submission.strategies)
    if not 1 <= len(strategies) <= MAX_RACE:
        raise InvalidInput(f"Choose 1 to {MAX_RACE} strategies.", field="strategy")
    collection = _checked_collection(workspace, submission.collection)
    key = _checked_key(submission.idempotency_key)
    task_id, gold = _known_task(collection, submission.task_id, question)
    common = _Plan(
        workspace=workspace,
        user=user,
        question=question,
        strategy="",
        parameters={},
        ladder=submission.ladder,
        rungs=_checked_ladder(workspace, submission.ladder),
        collection=collection,
        task_id=task_id,
        gold=gold,
        seed=_checked_seed(submission.seed),
        limits=_checked_limits(submission.limits),
        race=uuid.uuid4() if len(strategies) > 1 else None,
    )
    return [
        replace(
            common,
            strategy=name,
            parameters=_checked_parameters(name, raw),
            idempotency_key=key if key is None or number == 0 else f"{key}#{number}",
        )
        for number, (name, raw) in enumerate(strategies)
    ]


def _checked_question(question: str) -> str:
    text = question.replace("\r\n", "\n").strip()
    if not text:
        raise InvalidInput("The task is empty. Type a question.", field="question")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput("The task holds broken characters.", field="question") from None
    if size > MAX_QUESTION_BYTES:
        raise InvalidInput(
            f"The task is {size:,} bytes long; at most {MAX_QUESTION_BYTES:,} are allowed.",
            field="question",
            hint="Put long material into a document collection.",
        )
    bad = next((c for c in text if (c < " " and c not in "\n\t") or c == "\x7f"), None)
    if bad is not None:
        raise InvalidInput(
            f"The task holds the control character U+{ord(bad):04X}; it looks like binary data.",
            field="question",
        )
    return text


def _checked_parameters(strategy: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    if len(repr(raw)) > MAX_PARAMETERS_BYTES:
        raise InvalidInput("The parameters are too large.", field="parameters")
    return parse_parameters(strategy, raw).model_dump(mode="json")


def _checked_seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbelow(MAX_SEED)
    if isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise InvalidInput(f"The seed must be between 0 and {MAX_SEED}.", field="seed")
    return seed


def _checked_limits(raw: Mapping[str, Any]) -> Limits:
    try:
        return Limits(**LimitsInput.model_validate(dict(raw)).model_dump())
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{name}: {first['msg']}", field=name) from error


def _checked_key(key: str | None) -> str | None:
    if key is None:
        return None
    if not 1 <= len(key) <= 90 or not key.isprintable():
        raise InvalidInput(
            "An idempotency key has 1 to 90 printable characters.", field="idempotency_key"
        )
    return key


def _checked_ladder(workspace: Workspace, ladder: Ladder) -> list[Rung]:
    if ladder.workspace_id != workspace.pk or ladder.archived_at is not None:
        raise InvalidInput("There is no such ladder in this workspace.", field="ladder")
    rungs = ladder.ordered_rungs()
    if not rungs:
        raise InvalidInput(
            f"Ladder {ladder.name} has no tiers.",
            field="ladder",
            hint="Add at least one endpoint to it under Tiers.",
        )
    gone = next((rung for rung in rungs if rung.endpoint.archived_at is not None), None)
    if gone is not None:
        raise InvalidInput(
            f"Tier {gone.tier_name} of ladder {ladder.name} uses an archived endpoint.",
            field="ladder",
        )
    return rungs


def _checked_collection(workspace: Workspace, collection: Collection | None) -> Collection | None:
    if collection is not None and collection.workspace_id != workspace.pk:
        raise InvalidInput("There is no such collection in this workspace.", field="collection")
    return collection


def _known_task(
    collection: Collection | None, task_id: str, question: str
) -> tuple[str, list[str]]:
    """Return the sample task's id and gold answers: picked, or typed word for word."""
    tasks = SampleTask.objects.filter(collection=collection)
    if not task_id:
        typed = tasks.filter(question=question).first() if collection else None
        return (typed.task_id, list(typed.answers)) if typed else ("", [])
    task = tasks.filter(task_id=task_id).first()
    if collection is None or task is None:
        raise InvalidInput(f"There is no sample task {task_id[:80]!r}.", field="task_id")
    if task.question.strip() != question:
        return "", []
    return task.task_id, list(task.answers)


def _ladder_of(run: Run) -> Ladder:
    if run.ladder is None:
        raise InvalidInput(
            f"The ladder {run.ladder_name} of this run does not exist any more.",
            field="ladder",
            hint="Submit the task anew with another ladder.",
        )
    return run.ladder


def _earlier(plans: Sequence[_Plan]) -> list[Run]:
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
def _store_all(plans: Sequence[_Plan]) -> list[Run]:
    workspace = plans[0].workspace
    Workspace.objects.filter(pk=workspace.pk).update(
        last_run_number=F("last_run_number") + len(plans)
    )
    last = Workspace.objects.values_list("last_run_number", flat=True).get(pk=workspace.pk)
    _check_quota(workspace, len(plans))
    runs = [_store(plan, number) for number, plan in enumerate(plans, start=last - len(plans) + 1)]
    for run in runs:
        transaction.on_commit(partial(_wake, run.pk))
    return runs


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


def _store(plan: _Plan, number: int) -> Run:
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
        submitted_by=plan.user.username,
        code_version=collab_core.__version__,
        simulated=core.simulated,
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
        task_id=plan.task_id,
        gold=plan.gold,
        strategy=plan.strategy,
        parameters=plan.parameters,
        ladder=plan.ladder,
        ladder_name=plan.ladder.name,
        tiers=[
            {"name": r.tier_name, "endpoint": str(r.endpoint.uuid), "model": r.endpoint.model}
            for r in plan.rungs
        ],
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
