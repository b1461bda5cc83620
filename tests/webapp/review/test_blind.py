"""A blind reviewer's pages and answers are searched for everything they must not hold."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from hypothesis import given as examples
from hypothesis import strategies as st

from collab_core import events as ev
from tests.e2e.gardener import _run
from tests.e2e.stories import Story, Turn
from tests.webapp.personas import Room
from tests.webapp.review.material import given, item, make_queue, make_set
from webapp.review import blind, labelling
from webapp.review.models import Queue
from webapp.runs.models import Run, RunEvent
from webapp.teams.models import Workspace

TIERS = ("tinycanary", "hugecanary")
HIDDEN = (
    "tinycanary",
    "hugecanary",
    "canarymodel",
    "WHYCANARY",
    "OTHERCANARY",
    "777.25",
    "agentcollab",
)
"""Tier names, models, rationale, another one's comment, a latency, the strategy."""
FIELDS = ("indicator", "rationale", "tier", "latency", "output_tokens", "level", "cost", "check")


def block(verdict: int, tag: str = "progress") -> str:
    return f"<{tag}><rationale>WHYCANARY</rationale><indicator>{verdict}</indicator></{tag}>"


TEXTS = [
    f"I look at the ship. {block(1)}",
    f"{block(0)} Then the yard.",
    f"As hugecanary I know better than canarymodel-tinycanary. {block(1, 'Progress')}",
    f"Two blocks {block(1)} and {block(0)} and an open one <progress><rationale>WHYCANARY",
    "Only <rationale>WHYCANARY</rationale> here, <indicator>0",
    "Chosen by agentcollab on TinyCanary.",
]


@pytest.fixture
def queue(room: Room) -> Queue:
    """A queue over one run whose every hidden field is a canary; Alice has labelled its steps."""
    turns = [
        Turn(tier=number % 2, text=text, rationale="WHYCANARY", indicator=number % 2)  # type: ignore[arg-type]
        for number, text in enumerate(TEXTS)
    ]
    story = Story(
        question="Who built it?", turns=turns, end="finished", tiers=TIERS, submitted_by="alice"
    )
    run = Run.objects.get(uuid=_run(room.workspace, story))
    run.tiers = [{**tier, "model": f"canarymodel-{tier['name']}"} for tier in run.tiers]
    run.save()
    queue = make_queue(
        room, make_set(room, overlap=2), [run], words="runs with strategy agentcollab"
    )
    for position in range(1, len(TEXTS) + 1):
        labelling.save(
            item(queue, position), room.users["alice"], given("no", comment="OTHERCANARY")
        )
    return queue


def everything(client: Client, queue: Queue) -> str:
    """Return all that a reviewer can read about the queue and its items, in one text."""
    base = f"/review/queues/{queue.uuid}/"
    answers: list[Any] = [
        client.get("/review/"),
        client.get(f"/review/sets/{queue.label_set.uuid}/"),
        client.get(base),
        client.post(f"{base}next/", {"want": 3}, content_type="application/json"),
    ]
    for position in range(1, len(TEXTS) + 1):
        answers.append(client.get(f"{base}items/{position}/"))
        answers.append(client.get(f"{base}items/{position}/steps/?after=0"))
        answers.append(client.get(f"{base}items/{position}/steps/?before=99"))
        answers.append(client.post(f"{base}items/{position}/reveal/"))
        answers.append(client.post(f"{base}items/{position}/undo/"))
        answers.append(client.post(f"{base}items/{position}/skip/"))
    return "\n".join(answer.content.decode() for answer in answers)


def test_nothing_that_is_hidden_reaches_a_blind_reviewer(rita: Client, queue: Queue) -> None:
    told = everything(rita, queue)
    assert "I look at the ship." in told
    assert "Then the yard." in told
    for canary in HIDDEN:
        assert canary.lower() not in told.lower(), canary
    assert "<indicator>" not in told
    assert '"seen"' not in told


def test_a_blind_answer_has_no_field_that_could_tell(rita: Client, queue: Queue) -> None:
    answer = rita.post(
        f"/review/queues/{queue.uuid}/next/", {}, content_type="application/json"
    ).json()
    names = set(_keys(answer))
    assert not [name for name in names if any(field in name for field in FIELDS)], names


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for part in value.values() for key in _keys(part))]
    return [key for part in value for key in _keys(part)] if isinstance(value, list) else []


def save(client: Client, queue: Queue, position: int, **body: Any) -> Any:
    return client.post(
        f"/review/queues/{queue.uuid}/items/{position}/label/",
        {"answer": "yes", **body},
        content_type="application/json",
    )


def test_saving_tells_nothing_and_the_reveal_only_the_own_item(
    rita: Client, room: Room, queue: Queue
) -> None:
    answer = save(rita, queue, 1)
    assert answer.status_code == 200
    assert not [canary for canary in HIDDEN if canary in answer.content.decode()]
    revealed = rita.post(f"/review/queues/{queue.uuid}/items/1/reveal/").json()
    assert revealed["step"]["seen"]["rationale"] == "WHYCANARY"
    assert {label["reviewer"] for label in revealed["labels"]} == {"alice", "rita"}
    assert revealed["kind"] in ("correct", "missed_progress")
    for position in range(2, len(TEXTS) + 1):
        refused = rita.post(f"/review/queues/{queue.uuid}/items/{position}/reveal/")
        assert refused.status_code == 422
    context = rita.get(f"/review/queues/{queue.uuid}/items/1/").content.decode()
    assert not [canary for canary in HIDDEN if canary.lower() in context.lower()]


def test_without_blind_review_everything_is_shown(rita: Client, room: Room, queue: Queue) -> None:
    Workspace.objects.filter(pk=room.workspace.pk).update(blind_review=False)
    room.workspace.refresh_from_db()
    run = Run.objects.get(uuid=item(queue).run_uuid)
    open_queue = make_queue(room, make_set(room), [run])
    shown = rita.get(f"/review/queues/{open_queue.uuid}/items/1/").json()
    assert shown["blind"] is False
    assert {step["seen"]["rationale"] for step in shown["context"]} == {"WHYCANARY"}
    assert save(rita, open_queue, 1).json()["label"]["blind"] is False


def test_discarded_drafts_and_calls_aside_are_left_out(room: Room, queue: Queue) -> None:
    run = Run.objects.get(uuid=item(queue).run_uuid)
    first = RunEvent.objects.filter(run=run, type="model.replied", step=1).get()
    reply = ev.decode_body(first.body)
    assert isinstance(reply, ev.ModelReplied)
    draft = {**json.loads(first.body), "text": "DRAFTED"}
    aside = {**draft, "text": "ASIDE", "scope": "~warm"}
    discarded = ev.DraftDiscarded(
        step=1, tier=0, tier_name="t", to_tier=1, to_name="h", reason="rejected"
    )
    bodies = [json.dumps(draft), ev.encode_body(discarded).decode(), json.dumps(aside)]
    _put_before(run, first.seq, bodies)
    told = json.dumps(blind.steps(run, [1], hide=True))
    assert "I look at the ship." in told
    assert "DRAFTED" not in told
    assert "ASIDE" not in told


def _put_before(run: Run, seq: int, bodies: list[str]) -> None:
    """Write a log anew with some events in front of another one."""
    rows = list(RunEvent.objects.filter(run=run).order_by("seq").values("type", "step", "body"))
    new = [{"type": json.loads(body)["type"], "step": 1, "body": body} for body in bodies]
    rows[seq:seq] = new
    copy = Run.objects.get(pk=run.pk)
    copy.pk, copy.uuid, copy.number = None, None, copy.number + 100
    run.delete()
    copy.uuid = run.uuid
    copy.save()
    RunEvent.objects.bulk_create(
        RunEvent(run=copy, seq=number, at=1.0, **row) for number, row in enumerate(rows)
    )
    run.pk = copy.pk


PIECES = ["<progress>", "</progress>", "<rationale>", "</rationale>", "<indicator>", "</indicator>",
          "<PROGRESS>", "</Rationale >", "1", "0", "why", "\u0130", " "]  # fmt: skip


@examples(st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_text_keeps_a_tag_of_the_block(text: str) -> None:
    assert not re.search(
        r"</?(progress|rationale|indicator)\s*>", blind.without_verdicts(text), re.I
    )


@examples(st.text(alphabet="ab<>/ \n"))
def test_ordinary_text_stays(text: str) -> None:
    assert blind.without_verdicts(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tier-x says hi", "[hidden] says hi"),
        ("TIER-X, then Qwen-7B.", "[hidden], then [hidden]."),
        ("a small step, a large one", "a small step, a large one"),
        ("subtier-xy is a word", "subtier-xy is a word"),
    ],
)
def test_names_that_tell_are_masked_and_ordinary_words_are_not(text: str, shown: str) -> None:
    run = Run(strategy="none", tiers=[
        {"name": "tier-x", "model": "org/Qwen-7B"}, {"name": "small", "model": "large"}
    ])  # fmt: skip
    assert blind.clean(text, blind.mask_of(run)) == shown


def test_a_long_trajectory_comes_in_parts(room: Room, rita: Client) -> None:
    turns = [Turn(text=f"thought {number}") for number in range(150)]
    story = Story(question="Long", turns=turns, end="finished", submitted_by="alice")
    run = Run.objects.get(uuid=_run(room.workspace, story))
    queue = make_queue(room, runs=[run])
    place = queue.items.get(step=100)
    base = f"/review/queues/{queue.uuid}/items/{place.position}/"
    told = rita.get(base).json()
    shown = [step["step"] for step in told["context"]]
    assert (shown[0], shown[-1], told["before"], told["after"]) == (60, 119, 59, 31)
    more = rita.get(f"{base}steps/?before=60").json()
    assert ([s["step"] for s in more["context"]], more["left"]) == (list(range(1, 60)), 0)
    more = rita.get(f"{base}steps/?after=119").json()
    assert ([s["step"] for s in more["context"]][-1], more["left"]) == (150, 0)
    assert rita.get(f"{base}steps/?after=x").status_code == 422
