"""A new policy is one file and one registry line: this one is both, and it is everywhere at once."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client
from pydantic import Field

from collab_core import events as ev
from collab_core.cli import main
from collab_core.domain import Decision, Ladder, StepRecord
from collab_core.policies.base import Policy, StepContext
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.strategies.base import AgentParameters, Resources, Strategy
from collab_core.strategies.registry import STRATEGIES
from collab_core.tools.registry import build_tools
from tests.webapp.personas import Room, Script, answer_reply, step_reply
from webapp.runs.models import Run
from webapp.runs.specs import run_spec


# --- the one new file ---------------------------------------------------------------------------
class PendulumParameters(AgentParameters):
    """Up and down the ladder."""

    swing: int = Field(default=2, ge=1, le=9, title="Swing", description="Steps before it turns.")
    note: str = Field(default="", max_length=20, title="Note", description="Any words.")
    upper: float | None = Field(default=None, ge=0, title="Upper", description="Empty = none.")
    eager: bool = Field(default=True, title="Eager", description="Begin at the top.")


@dataclass(kw_only=True)
class Pendulum(Policy):
    """Every ``swing`` steps the other end of the ladder."""

    swing: int
    eager: bool
    done: int = field(default=0)

    def before_step(self, context: StepContext) -> Decision:
        top = (self.done // self.swing) % 2 == (0 if self.eager else 1)
        return Decision(
            tier=len(context.tiers) - 1 if top else 0, reason="pendulum", why="It swings."
        )

    def after_observation(self, context: StepContext, step: StepRecord) -> None:
        self.done += 1


def build(parameters: PendulumParameters, ladder: Ladder, resources: Resources) -> Policy:
    return Pendulum(swing=parameters.swing, eager=parameters.eager)


TOY = Strategy(
    name="pendulum",
    title="Pendulum",
    summary="Swings between the ends of the ladder.",
    family="Blind switching",
    label="native",
    source="this test",
    parameters=PendulumParameters,
    doc="pendulum.md",
    policy=build,
)


# --- the one registry line ----------------------------------------------------------------------
@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRATEGIES, "pendulum", TOY)


# --- and it is everywhere -----------------------------------------------------------------------
def posted(room: Room, **changes: str) -> dict[str, Any]:
    return {
        "question": "Why?", "ladder": str(room.ladder.uuid), "strategies": ["pendulum"], "max_steps": "9",
        "max_output_tokens": "64", **changes,
    }  # fmt: skip


def test_the_form_offers_it_with_its_parameters(bob: Client) -> None:
    assert 'value="pendulum"' in bob.get("/runs/new/").content.decode()
    page = bob.get("/runs/new/parameters/", {"strategy": "pendulum"}).content.decode()
    for name in ("swing", "note", "upper", "eager"):
        assert f'name="pendulum-{name}"' in page


def test_a_form_that_says_nothing_of_it_means_its_defaults(bob: Client, room: Room) -> None:
    assert bob.post("/runs/new/", posted(room)).status_code == 302
    assert Run.objects.get().parameters == PendulumParameters().model_dump(mode="json")


def test_what_the_form_says_is_what_it_gets(bob: Client, room: Room) -> None:
    sent = {"swing": "3", "note": "left", "upper": "0.5", "eager": "false", "temperature": "0.1"}
    bob.post("/runs/new/", posted(room, **{f"pendulum-{k}": v for k, v in sent.items()}))
    stored = Run.objects.get().parameters
    assert {k: stored[k] for k in sent} == {
        "swing": 3, "note": "left", "upper": 0.5, "eager": False, "temperature": 0.1,
    }  # fmt: skip


def test_the_form_refuses_what_its_model_refuses(bob: Client, room: Room) -> None:
    answer = bob.post("/runs/new/", posted(room, **{"pendulum-swing": "10"}))
    assert answer.status_code == 422
    assert not Run.objects.exists()


def test_rest_lists_and_runs_it(room: Room) -> None:
    client, token = Client(), room.bearer("bob")
    listed = {one["name"]: one for one in client.get("/api/v1/strategies", **token).json()}
    assert listed["pendulum"]["parameters"]["properties"]["swing"]["maximum"] == 9
    body = {"question": "?", "ladder": room.ladder.name, "strategy": "pendulum", "parameters": {"swing": 4}}  # fmt: skip
    made = client.post("/api/v1/runs", json.dumps(body), content_type="application/json", **token)
    assert (made.status_code, made.json()["parameters"]["swing"]) == (201, 4)


def test_the_strategies_page_and_the_filters_show_it(vera: Client) -> None:
    page = vera.get("/strategies/").content.decode()
    assert "Swings between the ends" in page
    assert "Steps before it turns." in page
    assert '<option value="pendulum"' in vera.get("/").content.decode()


def test_the_command_line_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", "Why?", "--strategy", "pendulum", "--tier", "a=http://127.0.0.1:9/v1#m"]
    assert main([*line, "--param", "swing=10"]) == 2
    assert "swing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert "pendulum" in capsys.readouterr().out


def test_the_engine_follows_it_and_resumes_it(room: Room) -> None:
    run = room.submit(strategies=[("pendulum", {"swing": 1})])
    spec = run_spec(Run.objects.get(pk=run.pk))
    script = Script([step_reply(), step_reply(), step_reply(), answer_reply()])

    def tiers(journal: MemoryJournal) -> list[int]:
        asyncio.run(execute(spec, journal, backend=script, tools=build_tools(None)))
        starts = (record.event for record in journal.records)
        return [event.tier for event in starts if isinstance(event, ev.StepStarted)]

    whole = MemoryJournal()
    assert tiers(whole) == [1, 0, 1, 0]
    assert tiers(MemoryJournal(whole.records[: len(whole.records) // 2])) == [1, 0, 1, 0]
