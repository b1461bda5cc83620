"""Who may ask for what: every route of the site times every role; a new route needs a row here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.webapp.experiments.material import make_experiment
from tests.webapp.learning.material import make_training, make_weights
from tests.webapp.personas import Room, make_collection
from tests.webapp.review.material import make_queue
from tests.webapp.runs.test_fold import finished
from webapp.discussion import services as discussion
from webapp.discussion.models import Comment, Notification
from webapp.experiments.models import Experiment, TaskSet
from webapp.learning.models import Training, Weights
from webapp.review.models import Item, LabelSet, Queue, Reservation, Skip, StepLabel
from webapp.runs.models import Run
from webapp.runs.services import _insert
from webapp.teams.invitations import invite
from webapp.teams.models import AuditEntry, Invitation, Membership, Token, Workspace
from webapp.tiers.models import Endpoint, Ladder, Rung
from webapp.whatif.models import WhatIf

Kind = Literal[
    "open",
    "room",
    "worker",
    "reviewer",
    "run",
    "member",
    "label",
    "own",
    "owner",
    "own-room",
    "api",
    "api-run",
    "api-member",
    "api-label",
    "api-owner",
]
"""open: everybody. room: the signed-in, about their own workspace. worker: the same, but who may run;
reviewer: the same, but who may label; own-room: the same, but owners. run: who may see the run.
member: who may act on the run; label: who may label it. own: about oneself. owner: owners, about this workspace's things.
api-…: the same with a token."""


@dataclass(frozen=True)
class Row:
    kind: Kind
    method: str = "GET"
    body: Any = None


FORK = {
    "after_step": "1",
    "strategy": "large",
    "ladder": "LADDER",
    "large-check_mode": "inline",
    "large-missing_verdict": "progress",
    "large-temperature": "0.6",
    "large-top_p": "0.95",
}
PAGES: dict[str, Row] = {
    "healthz": Row("open"),
    "readyz": Row("open"),
    "login/": Row("open"),
    "logout/": Row("own", "POST"),
    "": Row("room"),
    "runs/new/": Row("worker"),
    "runs/new/parameters/": Row("worker"),
    "runs/tasks/": Row("room"),
    "compare/": Row("room"),
    "strategies/": Row("room"),
    "strategies/train/<slug:kind>/": Row("worker"),
    "strategies/trainings/<uuid:uuid>/": Row("run"),
    "strategies/trainings/<uuid:uuid>/progress/": Row("run"),
    "strategies/trainings/<uuid:uuid>/cancel/": Row("member", "POST"),
    "strategies/weights/<uuid:uuid>/": Row("run"),
    "strategies/weights/<uuid:uuid>/download/": Row("run"),
    "strategies/weights/<uuid:uuid>/delete/": Row("owner", "POST"),
    "review/": Row("room"),
    "review/queues/new/": Row("worker"),
    "review/queues/<uuid:uuid>/": Row("label"),
    "review/queues/<uuid:uuid>/close/": Row("member", "POST"),
    "review/queues/<uuid:uuid>/next/": Row("label", "POST"),
    "review/queues/<uuid:uuid>/items/<int:position>/": Row("label"),
    "review/queues/<uuid:uuid>/items/<int:position>/steps/": Row("label"),
    "review/queues/<uuid:uuid>/items/<int:position>/label/": Row("label", "POST"),
    "review/queues/<uuid:uuid>/items/<int:position>/undo/": Row("label", "POST"),
    "review/queues/<uuid:uuid>/items/<int:position>/skip/": Row("label", "POST"),
    "review/queues/<uuid:uuid>/items/<int:position>/reveal/": Row("label", "POST"),
    "review/sets/<uuid:uuid>/": Row("run"),
    "review/sets/<uuid:uuid>/numbers/": Row("run"),
    "review/sets/<uuid:uuid>/disagreements/": Row("run"),
    "review/sets/<uuid:uuid>/decide/": Row("owner", "POST"),
    "review/sets/<uuid:uuid>/adjudicator/": Row("owner", "POST"),
    "review/sets/<uuid:uuid>/files/<str:name>": Row("run"),
    "review/imports/new/": Row("owner", "POST"),
    "review/marks.json": Row("room"),
    "review/runs/<uuid:uuid>/": Row("run"),
    "review/runs/<uuid:uuid>/labels.json": Row("run"),
    "experiments/": Row("room"),
    "experiments/new/": Row("worker"),
    "experiments/new/arms/": Row("worker", "POST"),
    "experiments/new/selection/": Row("worker"),
    "experiments/new/file/": Row("worker", "POST"),
    "experiments/task-sets/": Row("room"),
    "experiments/task-sets/add/": Row("worker", "POST"),
    "experiments/task-sets/upload/": Row("worker", "POST"),
    "experiments/task-sets/<uuid:uuid>/": Row("run"),
    "experiments/task-sets/<uuid:uuid>/archive/": Row("member", "POST"),
    "experiments/<uuid:uuid>/": Row("run"),
    "experiments/<uuid:uuid>/results.json": Row("run"),
    "experiments/<uuid:uuid>/trials/": Row("run"),
    "experiments/<uuid:uuid>/failures/": Row("run"),
    "experiments/<uuid:uuid>/pause/": Row("member", "POST"),
    "experiments/<uuid:uuid>/resume/": Row("member", "POST"),
    "experiments/<uuid:uuid>/cancel/": Row("member", "POST"),
    "experiments/<uuid:uuid>/retry/": Row("member", "POST"),
    "experiments/<uuid:uuid>/judge/": Row("member", "POST"),
    "experiments/<uuid:uuid>/rerun/": Row("member", "POST"),
    "experiments/<uuid:uuid>/export/<slug:what>/": Row("run"),
    "what-if/new/": Row("member"),
    "what-if/new/parameters/": Row("worker"),
    "what-if/<uuid:uuid>/": Row("run"),
    "tiers/": Row("room"),
    "teams/": Row("room"),
    "runs/<uuid:uuid>/": Row("run"),
    "runs/<uuid:uuid>/snapshot.json": Row("run"),
    "runs/<uuid:uuid>/steps.json": Row("run"),
    "runs/<uuid:uuid>/export.jsonl": Row("run"),
    "runs/<uuid:uuid>/steps.csv": Row("run"),
    "runs/<uuid:uuid>/cancel/": Row("member", "POST"),
    "runs/<uuid:uuid>/rerun/": Row("member", "POST"),
    "runs/<uuid:uuid>/fork/": Row("member", "POST", FORK),
    "runs/<uuid:uuid>/fork/parameters/": Row("member"),
    "runs/<uuid:uuid>/comments.json": Row("run"),
    "runs/<uuid:uuid>/comments/add/": Row("label", "POST", {"text": "Look at this."}),
    "comments/<uuid:uuid>/edit/": Row("label", "POST", {"text": "Look again."}),
    "comments/<uuid:uuid>/delete/": Row("label", "POST"),
    "notifications/": Row("own"),
    "notifications/read/": Row("own", "POST"),
    "notifications/<int:pk>/open/": Row("own", "POST"),
    "teams/audit/": Row("own-room"),
    "teams/audit/export.csv": Row("own-room"),
    "teams/audit/export.jsonl": Row("own-room"),
    "teams/settings/": Row("own-room", "POST", {"name": "Renamed"}),
    "teams/invitations/add/": Row("own-room", "POST", {"role": "member", "days": "7"}),
    "teams/invitations/<uuid:uuid>/revoke/": Row("owner", "POST"),
    "invitations/<str:secret>/": Row("open"),
    "teams/switch/": Row("own", "POST"),
    "teams/members/add/": Row("owner", "POST"),
    "teams/members/<int:pk>/role/": Row("owner", "POST", {"role": "viewer"}),
    "teams/members/<int:pk>/remove/": Row("owner", "POST"),
    "teams/tokens/add/": Row("own", "POST", {"name": "t"}),
    "teams/tokens/<int:pk>/revoke/": Row("own", "POST"),
    "tiers/endpoints/new/": Row("owner"),
    "tiers/endpoints/<uuid:uuid>/": Row("owner"),
    "tiers/endpoints/<uuid:uuid>/check/": Row("owner", "POST"),
    "tiers/endpoints/<uuid:uuid>/archive/": Row("owner", "POST"),
    "tiers/ladders/new/": Row("owner"),
    "tiers/ladders/<uuid:uuid>/": Row("owner"),
    "tiers/ladders/<uuid:uuid>/archive/": Row("owner", "POST"),
    "tiers/ladders/<uuid:uuid>/rungs/add/": Row("owner", "POST"),
    "tiers/ladders/<uuid:uuid>/rungs/<int:position>/move/": Row("owner", "POST"),
    "tiers/ladders/<uuid:uuid>/rungs/<int:position>/remove/": Row("owner", "POST"),
}
API: dict[str, tuple[Row, ...]] = {
    "api/v1/": (),
    "api/v1/openapi.json": (Row("open"),),
    "api/v1/runs": (Row("api"), Row("api-member", "POST", {"question": "?", "ladder": "LADDER"})),
    "api/v1/runs/<uuidstr:uuid>": (Row("api-run"),),
    "api/v1/runs/<uuidstr:uuid>/events": (Row("api-run"),),
    "api/v1/runs/<uuidstr:uuid>/cancel": (Row("api-member", "POST"),),
    "api/v1/runs/<uuidstr:uuid>/fork": (
        Row("api-member", "POST", {"after_step": 1, "strategy": "large"}),
    ),
    "api/v1/runs/<uuidstr:uuid>/comments": (
        Row("api-run"),
        Row("api-label", "POST", {"text": "Look at this."}),
    ),
    "api/v1/comments/<uuidstr:uuid>": (
        Row("api-label", "PATCH", {"text": "Look again."}),
        Row("api-label", "DELETE"),
    ),
    "api/v1/strategies": (Row("api"),),
    "api/v1/trainings": (
        Row("api"),
        Row("api-member", "POST", {"kind": "isotonic", "ladder": "LADDER"}),
    ),
    "api/v1/trainings/<uuidstr:uuid>": (Row("api-run"),),
    "api/v1/trainings/<uuidstr:uuid>/cancel": (Row("api-member", "POST"),),
    "api/v1/task-sets": (Row("api"),),
    "api/v1/experiments": (Row("api"), Row("api-member", "POST", {"definition": {}})),
    "api/v1/experiments/<uuidstr:uuid>": (Row("api-run"),),
    "api/v1/experiments/<uuidstr:uuid>/results": (Row("api-run"),),
    "api/v1/experiments/<uuidstr:uuid>/archive": (Row("api-run"),),
    "api/v1/experiments/<uuidstr:uuid>/pause": (Row("api-member", "POST"),),
    "api/v1/experiments/<uuidstr:uuid>/resume": (Row("api-member", "POST"),),
    "api/v1/experiments/<uuidstr:uuid>/cancel": (Row("api-member", "POST"),),
    "api/v1/experiments/<uuidstr:uuid>/retry": (Row("api-member", "POST"),),
    "api/v1/weights": (Row("api"),),
    "api/v1/weights/kinds": (Row("api"),),
    "api/v1/label-sets": (Row("api"), Row("api-member", "POST", {"name": "x"})),
    "api/v1/label-sets/<uuidstr:uuid>": (Row("api-run"),),
    "api/v1/label-sets/<uuidstr:uuid>/queues": (
        Row("api-run"),
        Row("api-member", "POST", {"name": "x"}),
    ),
    "api/v1/label-sets/<uuidstr:uuid>/files/<name>": (Row("api-run"),),
    "api/v1/label-sets/import": (Row("api-owner", "POST", {}),),
    "api/v1/queues/<uuidstr:uuid>/next": (Row("api-label", "POST"),),
    "api/v1/queues/<uuidstr:uuid>/items/<position>/label": (
        Row("api-label", "POST", {"answer": "yes"}),
    ),
    "api/v1/queues/<uuidstr:uuid>/items/<position>/undo": (Row("api-label", "POST"),),
    "api/v1/queues/<uuidstr:uuid>/items/<position>/skip": (Row("api-label", "POST"),),
    "api/v1/ladders": (Row("api"),),
    "api/v1/tools": (Row("api"),),
    "api/v1/collections": (Row("api"),),
    "api/v1/tasks": (Row("api"),),
}


def routes(patterns: Any = None, prefix: str = "") -> Iterator[str]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        else:
            assert isinstance(pattern, URLPattern)
            yield path


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert set(routes()) == set(PAGES) | set(API)


# --- the matrix ---------------------------------------------------------------------------------
ROLES = ("anonymous", "charlie", "vera", "rita", "bob", "alice")


def allowed(kind: Kind, role: str) -> bool:
    insiders = {"vera", "rita", "bob", "alice"}
    labellers = insiders - {"vera"}
    return (
        role
        in {
            "open": set(ROLES),
            "room": {*insiders, "charlie"},
            "own": {*insiders, "charlie"},
            "worker": {"bob", "alice", "charlie"},
            "reviewer": {*labellers, "charlie"},
            "run": insiders,
            "member": {"bob", "alice"},
            "label": labellers,
            "owner": {"alice"},
            "own-room": {"alice", "charlie"},
            "api": {*insiders, "charlie"},
            "api-run": insiders,
            "api-member": {"bob", "alice"},
            "api-label": labellers,
            "api-owner": {"alice"},
        }[kind]
    )


@pytest.fixture
def run(room: Room) -> Run:
    run = room.submit()
    _insert(run.pk, 1, 1.0, [finished(1), finished(2)])
    Run.objects.filter(pk=run.pk).update(next_seq=3, steps=2)
    make_collection(room)
    make_weights(room)
    make_training(room)
    invite(room.workspace, room.users["alice"], role="member", days=7)
    experiment = make_experiment(room)
    WhatIf.objects.create(workspace=room.workspace, experiment=experiment, strategy="large")
    make_queue(room, runs=[run])
    return run


def filled(room: Room, run: Run, path: str, role: str) -> str:
    endpoint = room.ladder.ordered_rungs()[0].endpoint
    uuid = next(
        (
            thing.uuid
            for word, thing in (
                ("endpoints", endpoint),
                ("ladders", room.ladder),
                ("trainings", Training.objects.first()),
                ("weights", Weights.objects.first()),
                ("teams/invitations", Invitation.objects.first()),
                ("task-sets", TaskSet.objects.first()),
                ("what-if", WhatIf.objects.first()),
                ("experiments", Experiment.objects.first()),
                ("review/sets", LabelSet.objects.first()),
                ("label-sets", LabelSet.objects.first()),
                ("queues", Queue.objects.first()),
            )
            if word in path and thing is not None
        ),
        run.uuid,
    )
    pk = Membership.objects.get(user=room.users["vera"]).pk
    if "tokens" in path and role in room.users:
        pk = Token.objects.issue(room.users[role], "t")[0].pk
    if "notifications" in path and role in room.users:
        pk = _notification(room, run, role)
    if path.startswith(("comments/", "api/v1/comments/")):
        uuid = _comment(room, run, role if allowed("label", role) else "alice").uuid
    if path == "what-if/new/":
        path += f"?runs={run.uuid}"
    path = (
        path.replace("/parameters/", "/parameters/?strategy=large")
        .replace("<uuid:uuid>", str(uuid))
        .replace("<uuidstr:uuid>", str(uuid))
        .replace("<slug:kind>", "isotonic")
        .replace("<str:name>", "labels.csv")
        .replace("<name>", "labels.csv")
        .replace("<position>", "1")
        .replace("<slug:what>", "definition")
        .replace("/new/arms/", "/new/arms/?do=add&strategy=large")
        .replace("<int:pk>", str(pk))
        .replace("<str:secret>", _link(room) if "<str:secret>" in path else "")
    )
    return "/" + path.replace("<int:position>", "1" if path.startswith("review/") else "0")


def _link(room: Room) -> str:
    return invite(room.workspace, room.users["alice"], role="member", days=7)


def _comment(room: Room, run: Run, author: str) -> Comment:
    return discussion.add(run, room.users[author], f"By {author}", uuid=uuid4())


def _notification(room: Room, run: Run, reader: str) -> int:
    """Return a notification of the reader's; also of a stranger's, about his own run."""
    comment = _comment(room, run, "bob")
    if reader == "charlie":
        Comment.objects.filter(pk=comment.pk).update(workspace=room.other)
    told, _ = Notification.objects.get_or_create(user=room.users[reader], comment=comment)
    return told.pk


def ask(room: Room, url: str, row: Row, role: str) -> Any:
    client = Client() if role == "anonymous" or row.kind.startswith("api") else room.client(role)
    extra: dict[str, Any] = {}
    if row.kind.startswith("api"):
        extra = room.bearer(role) if role != "anonymous" else {}
        url += "?collection=docs" if url.endswith("/tasks") else ""
        text = json.dumps(row.body).replace("LADDER", str(room.ladder.uuid))
        if row.body is not None or row.method == "POST":
            return client.generic(row.method, url, text, "application/json", **extra)
    if row.body is None:
        return client.generic(row.method, url, **extra)
    ladder = str(room.ladder.uuid)
    return client.post(
        url, {key: value.replace("LADDER", ladder) for key, value in row.body.items()}
    )


CASES = list(PAGES.items()) + [(path, row) for path, rows in API.items() for row in rows]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("path", "row"), CASES, ids=[f"{r.method}-{p or 'root'}" for p, r in CASES]
)
def test_a_route_lets_in_who_may(room: Room, run: Run, path: str, row: Row, role: str) -> None:
    url = filled(room, run, path, role)
    before = state()
    answer = ask(room, url, row, role)
    status = answer.status_code
    if not allowed(row.kind, role) and status >= 400:
        assert state() == before, "it was refused but it did something"
    if role == "anonymous" and row.kind != "open":
        signed_out = status == 401 or (status == 302 and "/login/" in answer.headers["Location"])
        assert signed_out, f"anonymous got {status}"
    elif allowed(row.kind, role):
        assert status < 400 or status in (405, 422, 503) or _only_needs_input(path, status), status
    elif role == "charlie" and path in ("api/v1/runs", "api/v1/trainings", "api/v1/experiments"):
        assert status == 422  # the ladder is not his to see
    elif path == "api/v1/label-sets/import":
        assert status == 422  # the file is looked at first; test_exchange.py asks with one
    elif role == "charlie" and path == "api/v1/label-sets":
        assert status == 201  # in his own workspace
    elif role == "charlie" and "new/" not in path and "add/" not in path:
        assert status == 404, f"a stranger got {status}"
    else:
        assert status in (403, 404) or role == "charlie", f"{role} got {status}"


def state() -> list[Any]:
    """Everything that somebody without the right to must not change."""
    models: tuple[Any, ...] = (
        Run,
        Membership,
        Endpoint,
        Ladder,
        Rung,
        Training,
        Weights,
        AuditEntry,
    )
    models += (Workspace, Invitation, Experiment, TaskSet, Comment)
    models += (LabelSet, Queue, Item, StepLabel, Reservation, Skip)
    return [list(model.objects.order_by("pk").values()) for model in models]


def _only_needs_input(path: str, status: int) -> bool:
    """These were asked without a form's fields; that they looked at them means they let in."""
    return status in (400, 404) and path in ("teams/switch/", "api/v1/tasks")


@pytest.mark.parametrize("path", [p for p, row in PAGES.items() if row.method == "POST"])
def test_an_unsafe_route_needs_a_csrf_token(room: Room, run: Run, path: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(room.users["alice"], backend="django.contrib.auth.backends.ModelBackend")
    assert client.post(filled(room, run, path, "alice")).status_code == 403


@pytest.mark.parametrize("path", [p for p, row in PAGES.items() if row.method == "POST"])
def test_a_get_changes_nothing(room: Room, run: Run, path: str) -> None:
    assert room.client("alice").get(filled(room, run, path, "alice")).status_code == 405


@pytest.mark.parametrize("path", sorted(set(PAGES) - {"readyz"}))
def test_every_answer_carries_the_security_headers(room: Room, run: Run, path: str) -> None:
    headers = room.client("alice").get(filled(room, run, path, "alice")).headers
    policy = [part.strip() for part in headers["Content-Security-Policy"].split(";")]
    assert "script-src 'self'" in policy
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Cache-Control" in headers
    assert "Access-Control-Allow-Origin" not in headers


def test_no_view_is_exempt_from_csrf_but_the_tokens() -> None:
    exempt = [
        path
        for path, callback in _callbacks()
        if getattr(callback, "csrf_exempt", False) and not path.startswith("api/v1/")
    ]
    assert exempt == []


def _callbacks(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _callbacks(pattern.url_patterns, path)
        else:
            yield path, pattern.callback


def test_pages_are_for_the_signed_in_by_default() -> None:
    assert "django.contrib.auth.middleware.LoginRequiredMiddleware" in django_settings.MIDDLEWARE
    opened = {
        path
        for path, callback in _callbacks()
        if not getattr(callback, "login_required", True) and not path.startswith("api/v1/")
    }
    assert opened == {"healthz", "readyz", "login/", "invitations/<str:secret>/"}
