"""Fills the product's database: people with roles, ladders, runs in every state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from collab_core.events import AnyEvent, RunQueued
from collab_core.simulator.presets import ladder as preset_ladder
from tests.e2e.ground import LONG, PASSWORD, QUESTION, STEPS, Ground
from tests.e2e.labels import plant_hostile_review, plant_review
from tests.e2e.learned import plant_learned
from tests.e2e.payloads import HUGE, NAME, PAYLOADS
from tests.e2e.stories import ENDS, Story, Turn, turns
from tests.e2e.trialled import plant_experiments
from webapp.runs import fold
from webapp.runs.journal import event_row
from webapp.runs.models import Run, RunEvent
from webapp.teams.models import Membership, User, Workspace
from webapp.tiers.models import Endpoint, Ladder, Rung


def plant(servers: Mapping[str, str]) -> Ground:
    """Plant everything and return where it is."""
    ground = Ground()
    demo = Workspace.objects.get(name="Demo")
    _people(demo)
    for name, url in servers.items():
        _ladder(demo, name, url)
    for end in ENDS:
        told = Story(question=QUESTION, turns=turns(STEPS), end=end, submitted_by="alice")
        ground.runs[end] = _run(demo, told)
    for number in LONG:
        told = Story(
            question=f"A task of {number} steps",
            turns=turns(number),
            end="finished",
            submitted_by="alice",
        )
        ground.runs[f"long-{number}"] = _run(demo, told)
    _hostile(ground)
    ground.review = plant_review(demo, ground.runs)
    alice = User.objects.get(username="alice")
    ground.learned = plant_learned(demo, name="probe-1", by=alice)
    ground.trialled = plant_experiments(demo, by=alice)
    return ground


def _people(demo: Workspace) -> None:
    """Alice owns, Bob is a member, Vera looks on, Rob will be removed; Charlie is elsewhere."""
    elsewhere = Workspace.objects.create(name="Elsewhere")
    hostile = Workspace.objects.create(name=NAME)
    rooms = {
        "alice": (demo, "owner"),
        "bob": (demo, "member"),
        "vera": (demo, "viewer"),
        "rob": (demo, "member"),
        "charlie": (elsewhere, "owner"),
        NAME: (hostile, "owner"),
    }
    hashed = make_password(PASSWORD)
    for name, (room, role) in rooms.items():
        user = User.objects.create(username=name, password=hashed)
        Membership.objects.create(workspace=room, user=user, role=role)


def _ladder(demo: Workspace, name: str, url: str) -> None:
    kept = Ladder.objects.create(workspace=demo, name=name)
    for position, tier in enumerate(preset_ladder("ddv2-7b-38b", url).tiers):
        endpoint = Endpoint.objects.create(
            workspace=demo,
            name=f"{name} {tier.model}",
            base_url=url,
            model=tier.model,
            price_input_usd=tier.price_input_usd,
            price_output_usd=tier.price_output_usd,
            simulated=True,
            structured_output=True,
        )
        Rung.objects.create(ladder=kept, endpoint=endpoint, position=position, tier_name=tier.name)


def _hostile(ground: Ground) -> None:
    """A workspace in which every name, question, reply and result attacks the page."""
    room = Workspace.objects.get(name=NAME)
    ladder = Ladder.objects.create(workspace=room, name=NAME)
    for position in (0, 1):
        endpoint = Endpoint.objects.create(
            workspace=room,
            name=f"{NAME}{position}",
            base_url="http://127.0.0.1:1/v1",
            model=NAME,
            last_check={"works": False, "error": PAYLOADS[0], "hint": PAYLOADS[8]},
            checked_at=timezone.now(),
        )
        Rung.objects.create(
            ladder=ladder, endpoint=endpoint, position=position, tier_name=f"{NAME[:28]}{position}"
        )
    ground.hostile_ladder, ground.hostile_endpoint = str(ladder.uuid), str(endpoint.uuid)
    tiers = tuple(rung.tier_name for rung in ladder.ordered_rungs())
    everything = "\n".join(PAYLOADS[:-1])
    failed = Story(
        question=everything,
        turns=[_attack(number, text) for number, text in enumerate(PAYLOADS)],
        end="failed",
        tiers=tiers,
        ladder_name=NAME,
        submitted_by=NAME,
        error=(everything, everything),
    )
    finished = Story(
        question=PAYLOADS[0],
        turns=failed.turns[:6],
        end="finished",
        tiers=tiers,
        ladder_name=NAME,
        submitted_by=NAME,
        answer=f"{everything}\n{HUGE}",
    )
    ground.hostile_learned = plant_learned(
        room, name=NAME, by=User.objects.get(username=NAME), hostile="\n".join(PAYLOADS[:4])
    )
    ground.runs["hostile-failed"] = _run(room, failed)
    ground.runs["hostile-finished"] = _run(room, finished)
    ground.hostile_review = plant_hostile_review(
        room, User.objects.get(username=NAME), [ground.runs["hostile-failed"]]
    )
    ground.hostile_trialled = plant_experiments(
        room, by=User.objects.get(username=NAME), hostile=" ".join(PAYLOADS[:4])
    )


def _attack(number: int, text: str) -> Turn:
    return Turn(
        tier=number % 2,
        text=text,
        rationale=text,
        arguments=text,
        observation=text,
        attempt=text,
        error=number % 3 == 0,
    )


def _run(room: Workspace, story: Story) -> str:
    """Store a run with its log, as ``services`` does; nobody will ever work on it."""
    log, now = story.events(), timezone.now()
    queued = log[0]
    assert isinstance(queued, RunQueued)
    folded = fold.Folded()
    for event in log:
        folded.add(now.timestamp(), event)
    room.refresh_from_db()
    room.last_run_number += 1
    room.save(update_fields=["last_run_number"])
    run = Run.objects.create(
        workspace=room,
        number=room.last_run_number,
        submitted_by=User.objects.get(username=story.submitted_by),
        created_at=now,
        question=story.question,
        strategy=queued.strategy,
        parameters=queued.parameters,
        ladder=Ladder.objects.filter(workspace=room, name=story.ladder_name).first(),
        ladder_name=queued.ladder_name,
        tiers=[{"name": tier.name, "endpoint": "", "model": tier.model} for tier in queued.ladder],
        seed=queued.seed,
        limits=asdict(queued.limits),
        simulated=True,
        next_seq=len(log),
        owner="planted",
        lease_until=now + timedelta(seconds=1_800),
        enqueued_at=now,
        **folded.columns(),
    )
    _store(run, now.timestamp(), log)
    return str(run.uuid)


def _store(run: Run, at: float, log: list[AnyEvent]) -> None:
    rows = [event_row(run.pk, seq, at, event) for seq, event in enumerate(log)]
    RunEvent.objects.bulk_create(
        [
            RunEvent(run_id=r, seq=seq, at=at, type=kind, step=step, body=body)
            for r, seq, at, kind, step, body in rows
        ],
        batch_size=500,
    )
