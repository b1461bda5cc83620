from __future__ import annotations

import io

from rich.console import Console

from collab_core import events as ev
from collab_core.terminal import LiveView
from tests.collab_core.agents.team import Round, Team, work
from tests.collab_core.replies import spec

PLAN = [Round([(1, 1), (1,)])]


def picture(view: LiveView) -> str:
    out = io.StringIO()
    Console(width=140, file=out).print(view.render())
    return out.getvalue()


def seeker(number: int, step: int) -> ev.Recorded:
    event = ev.StepStarted(
        step=step, scope=f"seeker-1.{number}", role="seeker", tier=0, tier_name="small", reason="x"
    )
    return ev.Recorded(seq=step, at=0.0, event=event)


def planner() -> ev.Recorded:
    event = ev.StepStarted(step=1, role="planner", tier=1, tier_name="large", reason="x")
    return ev.Recorded(seq=1, at=0.0, event=event)


async def test_every_step_says_which_agent_made_it() -> None:
    _, journal = await work(Team(PLAN))
    view = LiveView(spec(), plain=False)
    for record in journal.records:
        view.event(record)
    shown = picture(view)
    assert "seeker-1.1" in shown
    assert "planner" in shown
    assert "Paris" in shown


def test_agents_at_work_have_a_panel_each_and_who_waits_has_none() -> None:
    view = LiveView(spec(), plain=False)
    for record in (planner(), seeker(1, 2), seeker(2, 3)):
        view.event(record)
    assert view.delta is not None
    for number in (1, 2):
        view.delta(
            ev.ModelDelta(
                step=1 + number, scope=f"seeker-1.{number}", offset=0, text=f"I am {number}"
            )
        )
    shown = picture(view)
    assert "step 2, seeker-1.1, small" in shown
    assert "I am 1" in shown
    assert "I am 2" in shown
    assert "step 1," not in shown


def test_an_agent_alone_has_no_column_for_its_name() -> None:
    view = LiveView(spec(), plain=False)
    event = ev.StepStarted(step=1, tier=0, tier_name="small", reason="x")
    view.event(ev.Recorded(seq=1, at=0.0, event=event))
    shown = picture(view)
    assert "verdict" in shown
    assert "agent " not in shown


def test_a_discarded_draft_is_told() -> None:
    view = LiveView(spec(), plain=False)
    discarded = ev.DraftDiscarded(
        step=1, tier=0, tier_name="small", to_tier=1, to_name="large", reason="x"
    )
    view.event(ev.Recorded(seq=1, at=0.0, event=discarded))
    assert view._notes(1) == ["draft of small discarded, anew on large"]
