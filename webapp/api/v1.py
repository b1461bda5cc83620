"""REST v1: the same services and queries as the pages, with a personal token."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import NinjaAPI, Query, Status
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from collab_core.errors import InvalidInput
from collab_core.strategies.registry import STRATEGIES
from webapp.api import discussion, experiments, learning, review
from webapp.api.access import ERRORS, IDEMPOTENCY_KEY, membership_of, named, user_of
from webapp.api.schemas import (
    CollectionOut,
    ErrorBody,
    ForkInput,
    LadderOut,
    RunDetailOut,
    RunInput,
    RunOut,
    RunPage,
    StrategyOut,
    TaskOut,
    ToolOut,
)
from webapp.review.labelling import Refused
from webapp.review.labels import note_opened
from webapp.runs import queries, reads, services, tools
from webapp.runs.models import Collection, Run, SampleTask
from webapp.runs.warm import warm_account
from webapp.teams.models import Token, User
from webapp.tiers.models import Ladder

MAX_EVENTS = 1_000
FILTERS: Any = Query(...)  # type: ignore[type-arg]


class PersonalToken(HttpBearer):
    """``Authorization: Bearer tandem_…``; cookies are not looked at, so CSRF cannot happen."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        found = Token.objects.find(token)
        if found is None:
            return None
        now = timezone.now()
        if found.last_used_at is None or now - found.last_used_at > timedelta(minutes=1):
            Token.objects.filter(pk=found.pk).update(last_used_at=now)
        request.user = found.user
        return found.user


api = NinjaAPI(
    title="Tandem",
    version="1",
    urls_namespace="api-v1",
    auth=PersonalToken(),
    docs_url=None,
    openapi_url="/openapi.json",
    description="Submit runs, follow their logs, stop and fork them.",
)


def _open_routes(patterns: Iterable[Any]) -> None:
    """The API has its own authentication: keep the login redirect of the pages away from it."""
    for pattern in patterns:
        pattern.callback = login_not_required(pattern.callback)


_STATUS = {services.QuotaReached: 429, Refused: 409}
"""Of inputs that are wrong only now; all others are 422."""


# --- errors -------------------------------------------------------------------------------------
def _problem(
    request: HttpRequest, status: int, *, code: str, message: str, field: str = "", hint: str = ""
) -> HttpResponse:
    body = {"code": code, "message": message, "field": field, "hint": hint}
    response = api.create_response(request, body, status=status)
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 429:
        response["Retry-After"] = "30"
    return response


@api.exception_handler(InvalidInput)
def _invalid(request: HttpRequest, error: InvalidInput) -> HttpResponse:
    status = _STATUS.get(type(error), 422)
    return _problem(
        request,
        status,
        code=error.code,
        message=error.message,
        field=error.field,
        hint=error.hint,
    )


@api.exception_handler(ValidationError)
def _malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    parts = [str(part) for part in first["loc"] if part not in ("body", "body_params", "query")]
    field = ".".join(part for part in parts if part not in ("body_input", "payload"))
    message = f"{field}: {first['msg']}" if field else str(first["msg"])
    return _problem(request, 422, code="invalid_input", message=message, field=field)


@api.exception_handler(AuthenticationError)
def _anonymous(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return _problem(
        request,
        401,
        code="unauthorised",
        message="A valid personal token is needed.",
        hint="Send Authorization: Bearer <token>; make one under Team, or with issue_token.",
    )


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return _problem(request, 403, code="forbidden", message=str(error) or "Not allowed.")


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return _problem(request, 404, code="not_found", message="There is no such thing here.")


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return _problem(request, error.status_code, code="bad_request", message=str(error))


# --- runs ---------------------------------------------------------------------------------------
def _run(request: HttpRequest, uuid: UUID) -> Run:
    runs = Run.objects.for_user(user_of(request)).select_related(
        "workspace", "submitted_by", "parent"
    )
    run = get_object_or_404(runs, uuid=uuid)
    note_opened(user_of(request), [run.uuid])
    return run


@api.post("/runs", response={201: RunOut, 200: RunOut, 429: ErrorBody, **ERRORS}, tags=["runs"])
def create_run(
    request: HttpRequest,
    payload: RunInput,
    idempotency_key: str | None = IDEMPOTENCY_KEY,
) -> Status[dict[str, Any]]:
    """Submit one run. The same `Idempotency-Key` gives the same run again, with status 200."""
    membership = membership_of(request, payload.workspace)
    workspace = membership.workspace
    before = workspace.last_run_number
    ladders = Ladder.objects.live().filter(workspace=workspace)
    collections = Collection.objects.filter(workspace=workspace)
    submission = services.Submission(
        question=payload.question,
        strategies=[(payload.strategy, payload.parameters)],
        ladder=named(ladders, payload.ladder, "ladder"),
        collection=named(collections, payload.collection, "collection")
        if payload.collection
        else None,
        tools=payload.tools,
        task_id=payload.task_id,
        seed=payload.seed,
        limits=payload.limits.model_dump(),
        idempotency_key=idempotency_key,
    )
    run = services.submit(workspace, membership.user, submission)[0]
    return Status(201 if run.number > before else 200, reads.run_dict(run))


@api.get("/runs", response={200: RunPage, **ERRORS}, tags=["runs"])
def list_runs(
    request: HttpRequest,
    workspace: UUID | None = None,
    filters: queries.RunFilters = FILTERS,
    order: str = queries.DEFAULT_ORDER,
    cursor: str | None = None,
) -> dict[str, Any]:
    """List runs, 50 a page; the filters and orders of the list page."""
    membership = membership_of(request, workspace)
    page = queries.list_runs(membership.workspace, filters, order, cursor)
    if page.mistakes:
        raise InvalidInput(f"{page.mistakes[0]} cannot be used.")
    note_opened(membership.user, [run.uuid for run in page.rows])  # they tell each step's verdict
    return {
        "runs": reads.run_dicts(page.rows),
        "next_cursor": page.next_cursor,
    }


@api.get("/runs/{uuid:uuid}", response={200: RunDetailOut, **ERRORS}, tags=["runs"])
def get_run(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """Return one run with its totals."""
    run = _run(request, uuid)
    return {**reads.run_dict(run), "warm_prefill": warm_account(run)}


@api.get("/runs/{uuid:uuid}/events", tags=["runs"])
def get_events(
    request: HttpRequest,
    uuid: UUID,
    since: Annotated[int, Query(ge=-1, le=2**31 - 1)] = -1,
    limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = 200,
) -> HttpResponse:
    """Return the events after `since`, in order, as they are stored."""
    run = _run(request, uuid)
    tail = reads.events_since(run.pk, since, limit)
    body = b'{"events":[%s],"more":%s}' % (
        b",".join(text for _, text in tail.frames),
        b"true" if tail.more else b"false",
    )
    return HttpResponse(body, content_type="application/json")


@api.post("/runs/{uuid:uuid}/cancel", response={202: RunOut, **ERRORS}, tags=["runs"])
def cancel_run(request: HttpRequest, uuid: UUID) -> Status[dict[str, Any]]:
    """Ask a run to stop; it does within a second. An ended run stays as it is."""
    run = _run(request, uuid)
    services.cancel(run, user_of(request))
    return Status(202, reads.run_dict(_run(request, uuid)))


@api.post("/runs/{uuid:uuid}/fork", response={201: RunOut, 429: ErrorBody, **ERRORS}, tags=["runs"])
def fork_run(
    request: HttpRequest,
    uuid: UUID,
    payload: ForkInput,
    idempotency_key: str | None = IDEMPOTENCY_KEY,
) -> Status[dict[str, Any]]:
    """Submit a run that shares the first steps and goes on with another strategy or ladder."""
    run = _run(request, uuid)
    ladders = Ladder.objects.live().filter(workspace=run.workspace)
    wanted = payload.ladder or (str(run.ladder.uuid) if run.ladder else run.ladder_name)
    forked = services.fork(
        run,
        user_of(request),
        after_step=payload.after_step,
        strategy=payload.strategy,
        parameters=payload.parameters,
        ladder=named(ladders, wanted, "ladder"),
        idempotency_key=idempotency_key,
    )
    return Status(201, reads.run_dict(forked))


# --- what there is to run on --------------------------------------------------------------------
@api.get("/strategies", response=list[StrategyOut], tags=["catalogue"])
def list_strategies(request: HttpRequest) -> list[dict[str, Any]]:
    """Return every strategy with the JSON schema of its parameters."""
    return [
        {
            "name": s.name,
            "title": s.title,
            "summary": s.summary,
            "family": s.family,
            "label": s.label,
            "source": s.source,
            "parameters": s.parameters.model_json_schema(),
        }
        for s in STRATEGIES.values()
    ]


@api.get("/tools", response=list[ToolOut], tags=["catalogue"])
def list_tools(request: HttpRequest) -> list[dict[str, Any]]:
    """Return what `tools` of a run may name, in the order of the prompt."""
    return [offer._asdict() for offer in tools.offers()]


@api.get("/ladders", response={200: list[LadderOut], **ERRORS}, tags=["catalogue"])
def list_ladders(request: HttpRequest, workspace: UUID | None = None) -> list[dict[str, Any]]:
    """Return the ladders, cheapest tier first."""
    membership = membership_of(request, workspace)
    found = Ladder.objects.live().filter(workspace=membership.workspace).order_by("name")
    return [
        {
            "uuid": ladder.uuid,
            "name": ladder.name,
            "simulated": any(rung.endpoint.simulated for rung in rungs),
            "tiers": [{"name": r.tier_name, "model": r.endpoint.model} for r in rungs],
        }
        for ladder in found
        for rungs in [ladder.ordered_rungs()]
    ]


@api.get("/collections", response={200: list[CollectionOut], **ERRORS}, tags=["catalogue"])
def list_collections(request: HttpRequest, workspace: UUID | None = None) -> list[Collection]:
    """Return the document collections."""
    membership = membership_of(request, workspace)
    return list(Collection.objects.filter(workspace=membership.workspace).order_by("name"))


@api.get("/tasks", response={200: list[TaskOut], **ERRORS}, tags=["catalogue"])
def list_tasks(
    request: HttpRequest,
    collection: str,
    workspace: UUID | None = None,
    offset: Annotated[int, Query(ge=0, le=10**6)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[SampleTask]:
    """Return sample tasks of a collection, without their answers."""
    membership = membership_of(request, workspace)
    collections = Collection.objects.filter(workspace=membership.workspace)
    chosen = named(collections, collection, "collection")
    tasks = SampleTask.objects.filter(collection=chosen).order_by("id")
    return list(tasks[offset : offset + limit])


api.add_router("", learning.router)
api.add_router("", review.router)
api.add_router("", experiments.router)
api.add_router("", discussion.router)
urls = api.urls
_open_routes(urls[0])
