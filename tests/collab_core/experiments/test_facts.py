from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab_core import events as ev
from collab_core.backends.scripted import ScriptedBackend
from collab_core.benchmarks.world import World
from collab_core.domain import Limits, Task, TierSnapshot, Totals
from collab_core.errors import EndpointFailed, InvalidInput
from collab_core.experiments.facts import FACT_TYPES, facts_of
from collab_core.runtime.engine import RunControl, execute
from collab_core.runtime.journal import MemoryJournal
from collab_core.tools.base import Tool
from tests.collab_core.agents.team import Note, Plan, Round, Team, work
from tests.collab_core.experiments.independent import added_up, read
from tests.collab_core.replies import acts, answers, spec
from tests.collab_core.strategies.play import play
from tests.collab_core.strategies.test_replay import Case, prepared

PLAYED = [
    Case("agentcollab", {}),
    Case("agentcollab", {"warm_up_steps": 0}, seed=9),
    Case("frugalgpt", {}),
    Case("random", {"agent": "planner-executor", "seeker_steps": 3, "writer_steps": 3}),
    Case("cope", {"samples": 3, "tau1": 1.0, "tau2": 1.0}, seed=6),
    Case("probe", {}),
]
SECOND_OPINION = (
    "steps",
    "large_steps",
    "switches",
    "escalations",
    "moves",
    "latency_s",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "large_output_tokens",
    "model_calls",
    "checks",
    "stalls",
    "drafts_discarded",
)


def agrees(records: Sequence[ev.Recorded], *, broken: bool = False) -> None:
    """The facts are the run's totals, a plain sum of its effects, and need only ``FACT_TYPES``."""
    facts, trace = facts_of(records)
    totals: Totals = records[-1].event.totals  # type: ignore[union-attr]
    assert (facts.steps, facts.large_steps) == (totals.steps, totals.steps_by_tier[-1])
    assert facts.latency_s == totals.latency_s + totals.unfinished_s
    assert facts.cost_usd == totals.cost_usd
    # a switch is announced before its step, which a broken run may never finish
    assert facts.switches <= totals.switches
    assert broken or facts.switches == totals.switches
    second = added_up(read(map(ev.encode, records)))
    found = {name: getattr(facts, name) for name in SECOND_OPINION}
    assert found == pytest.approx({name: second[name] for name in SECOND_OPINION})
    assert broken or facts.cost_usd == pytest.approx(second["cost_usd"])
    lists = [name for name in trace.__struct_fields__ if name != "top"]
    assert {len(getattr(trace, name)) for name in lists} == {facts.steps}
    assert trace.top == len(totals.steps_by_tier) - 1
    needed = [record for record in records if ev.event_type(record.event) in FACT_TYPES]
    assert facts_of(needed) == (facts, trace)


@pytest.mark.parametrize("case", PLAYED, ids=str)
async def test_simulated_runs_add_up(
    case: Case, world: World, tools: tuple[Tool, ...], tmp_path: Path
) -> None:
    parameters, resources = prepared(case, tmp_path)
    for task in world.tasks[::60]:
        _, journal, _ = await play(
            case.strategy, parameters, task, tools, resources=resources, seed=case.seed, max_steps=8
        )
        agrees(journal.records)


verdicts = st.lists(st.integers(0, 1), max_size=4)
plans = st.lists(
    st.builds(Round, st.lists(verdicts, max_size=3), st.integers(0, 1)), min_size=1, max_size=3
)


@settings(max_examples=60, deadline=None)
@given(plan=plans, seed=st.integers(0, 10**6), max_steps=st.integers(2, 14))
async def test_runs_of_parallel_agents_add_up(plan: Plan, seed: int, max_steps: int) -> None:
    team = Team(plan, random.Random(seed))
    terminal, journal = await work(team, limits=Limits(max_steps=max_steps))
    assert isinstance(terminal, ev.RunFinished)
    agrees(journal.records)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), which=st.integers(0, 2))
async def test_a_failed_run_adds_up(seed: int, which: int) -> None:
    plan = [Round([(1, 0), (0, 0), (1,)])]
    fails = {f"Task: 0.{which}": EndpointFailed("500 from the server")}
    terminal, journal = await work(Team(plan, random.Random(seed), fails=fails))
    assert isinstance(terminal, ev.RunFailed)
    agrees(journal.records, broken=True)


@pytest.mark.parametrize("seed", range(8))
async def test_a_cancelled_run_adds_up(seed: int) -> None:
    control = RunControl()
    plan = [Round([(1, 0), (0, 0), (1,)])]

    class Stopping(Team):
        async def complete(self, request: Any, on_delta: Any = None) -> Any:
            if len(self.requests) == 2 + seed % 5:
                control.request_cancel("alice")
            return await super().complete(request, on_delta)

    terminal, journal = await work(Stopping(plan, random.Random(seed)), control=control)
    assert isinstance(terminal, ev.RunCancelled)
    agrees(journal.records, broken=True)


def test_a_run_that_has_not_ended_has_no_facts() -> None:
    with pytest.raises(InvalidInput, match="has not ended"):
        facts_of([ev.Recorded(seq=0, at=0.0, event=ev.RunStarted())])


def test_a_run_cancelled_before_its_first_step_is_all_zero() -> None:
    end = ev.RunCancelled(totals=Totals())
    facts, trace = facts_of([ev.Recorded(seq=0, at=0.0, event=end)])
    assert (facts.steps, facts.moves, facts.large_output_tokens) == (0, 0, 0)
    assert (facts.cost_usd, facts.cached_tokens) == (None, None)
    assert trace.tiers == ()


def test_what_was_simulated_or_stood_in_for_is_marked() -> None:
    queued = ev.RunQueued(
        task=Task(question="q"),
        strategy="probe",
        parameters={},
        ladder=(TierSnapshot(name="s", model="m", simulated=True),),
        seed=0,
        limits=Limits(),
    )
    scored = ev.ScorerReturned(
        key="/0",
        step=1,
        scorer="probe",
        digest="d",
        request_digest="r",
        values=(0.5,),
        stand_in=True,
        duration_s=0.0,
    )
    log = [queued, scored, ev.RunCancelled(totals=Totals(steps_by_tier=(0,)))]
    facts, _ = facts_of([ev.Recorded(seq=n, at=0.0, event=event) for n, event in enumerate(log)])
    assert (facts.simulated, facts.stand_in) == (True, True)


async def test_by_hand() -> None:
    """Two tiers, steps large, large, small (stall), large: Eq. 5 counts 2 switches of 3 moves."""
    journal = MemoryJournal()
    await execute(
        spec("agentcollab"),
        journal,
        backend=ScriptedBackend([*map(acts, (1, 1, 0)), answers()]),
        tools=(Note(),),
    )
    facts, trace = facts_of(journal.records)
    assert trace.tiers == (1, 1, 0, 1)
    assert trace.verdicts == (1, 1, 0, 1)
    assert (facts.switches, facts.moves, facts.escalations) == (2, 3, 1)
    assert (facts.checks, facts.stalls) == (4, 1)
    assert (facts.output_tokens, facts.large_output_tokens) == (70, 50)
    assert (facts.input_tokens, facts.cached_tokens) == (500, 180)
