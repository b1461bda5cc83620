"""Every registered strategy, killed behind every effect, ends with the same log.

A new strategy is tested here without a line: it plays a shipped task with the simulated models. If
its defaults make long runs, give it smaller ones in ``SMALLER``; if it loads weights, ``weights.py``
says how it gets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.benchmarks.world import World, WorldTask
from collab_core.errors import InvalidInput
from collab_core.runtime.ledger import Ledger
from collab_core.strategies.base import NO_RESOURCES, AgentParameters, Resources
from collab_core.strategies.registry import STRATEGIES, build_agent, find
from collab_core.tools.base import Tool
from tests.collab_core.strategies.play import InProcess, play, simulated_ladder
from tests.collab_core.strategies.weights import MAKERS

EFFECTS = ("model.replied", "tool.returned", "scorer.returned")
MAX_STEPS = 6


@dataclass(frozen=True)
class Case:
    strategy: str
    parameters: dict[str, Any]
    seed: int = 0
    plays: str = ""
    """The reason of a decision that this run must come to."""

    def __str__(self) -> str:
        given = ",".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.strategy}({given})"


SMALLER: dict[str, list[Case]] = {
    "agentcollab": [
        Case("agentcollab", {}),
        Case("agentcollab", {"warm_prefill": "always", "warm_min_tokens": 0}),
        Case(
            "agentcollab",
            {"hand_over": "compacted", "check_mode": "separate", "warm_up_steps": 0},
            seed=9,
            plays="escalated",
        ),
        Case("agentcollab", {"hand_over": "restart", "warm_up_steps": 0}, plays="escalated"),
    ],
    "agentcollab-calibrated": [
        Case("agentcollab-calibrated", {"warm_up_steps": 0}, plays="escalated"),
        Case("agentcollab-calibrated", {"agent": "planner-executor", "seeker_steps": 3}),
    ],
    # with seeds under which nothing agrees, so that every stage is played
    "cope": [
        Case("cope", {"samples": 3, "tau1": 1.0, "tau2": 1.0}, seed=6, plays="stage_3"),
        Case(
            "cope",
            {"samples": 3, "granularity": "step", "tau1": 1.0, "tau2": 1.0},
            seed=1,
            plays="stage_3",
        ),
    ],
    "debate": [Case("debate", {"agents": 2, "rounds": 3}, plays="round_3")],
    "workflow": [
        Case("workflow", {"workflow": "gptswarm"}),
        Case("workflow", {"workflow": "maas", "over": "policy", "policy": "random"}),
    ],
}
"""What to play of a strategy, where its defaults are not enough or too much."""


def _cases() -> list[Case]:
    cases = [case for name in STRATEGIES for case in SMALLER.get(name, [Case(name, {})])]
    # the planner-executor agent under a policy that draws, and one that escalates
    cases += [
        Case(name, {"agent": "planner-executor", "seeker_steps": 3, "writer_steps": 3})
        for name in ("random", "agentcollab")
    ]
    return cases


@pytest.fixture
def task(world: World) -> WorldTask:
    return max(world.tasks, key=lambda one: one.hops)


def prepared(case: Case, folder: Path) -> tuple[dict[str, Any], Resources]:
    """Return the parameters with weights, if the strategy needs some."""
    if case.strategy not in MAKERS:
        return case.parameters, NO_RESOURCES
    weights = MAKERS[case.strategy](folder, simulated_ladder())
    return {**weights, **case.parameters}, Resources(folder=folder)


@pytest.mark.parametrize("case", _cases(), ids=str)
async def test_a_run_killed_behind_any_effect_ends_with_the_same_log(
    case: Case, task: WorldTask, tools: tuple[Tool, ...], tmp_path: Path
) -> None:
    parameters, resources = prepared(case, tmp_path)
    terminal, journal, _ = await play(
        case.strategy,
        parameters,
        task,
        tools,
        resources=resources,
        backend=InProcess(caching=False),
        max_steps=MAX_STEPS,
        seed=case.seed,
    )
    assert isinstance(terminal, ev.RunFinished), terminal
    whole = journal.records
    effects = [n for n, record in enumerate(whole) if ev.event_type(record.event) in EFFECTS]
    assert effects
    assert not case.plays or case.plays in _reasons(whole)
    for place in effects:
        kept = whole[: place + 1]
        ended, resumed, backend = await play(
            case.strategy,
            parameters,
            task,
            tools,
            history=kept,
            resources=resources,
            backend=InProcess(caching=False, order=place),
            max_steps=MAX_STEPS,
            seed=case.seed,
        )
        assert by_scope(resumed.records) == by_scope(whole), f"killed behind event {place}"
        assert len(backend.requests) == _calls(whole) - _calls(kept)
        assert ended.totals == folded(resumed.records)


def test_every_strategy_that_needs_weights_gets_some() -> None:
    for name, strategy in STRATEGIES.items():
        if name not in MAKERS:
            try:
                build_agent(name, {}, simulated_ladder())
            except InvalidInput as error:
                pytest.fail(f"{name} needs a maker in weights.py: {error.message}")
        assert find(name) is strategy
        if strategy.policy is not None:
            assert issubclass(strategy.parameters, AgentParameters)


def _reasons(records: Sequence[ev.Recorded]) -> set[str]:
    decided = (ev.StepStarted, ev.DraftDiscarded)
    return {record.event.reason for record in records if isinstance(record.event, decided)}


def _calls(records: Sequence[ev.Recorded]) -> int:
    return sum(isinstance(record.event, ev.ModelReplied) for record in records)


def folded(records: Sequence[ev.Recorded]) -> Any:
    ledger = Ledger(tiers=2)
    for record in records:
        ledger.add(record.event)
    return ledger.totals()


def by_scope(records: Sequence[ev.Recorded]) -> dict[str, list[Any]]:
    """Return what each scope's log says: all but what a clock made of it.

    Instances side by side share one count of steps; their numbers depend on who came first, so here
    they count from 1 in each instance.
    """
    places: dict[str, dict[int, int]] = {}
    out: dict[str, list[Any]] = {}
    for record in records:
        event = record.event
        if isinstance(event, ev.RunStarted | ev.RunResumed):
            continue
        scope = getattr(event, "scope", "")
        own = places.setdefault(scope.partition("~")[0], {})
        number = own.setdefault(getattr(event, "step", 0), len(own))
        out.setdefault(scope, []).append((number, *_timeless(event)))
    return out


def _timeless(event: ev.AnyEvent) -> tuple[Any, ...]:
    match event:
        case ev.ToolReturned():
            return (event.key, event.call_id, event.arguments, event.observation, event.error)
        case ev.ScorerReturned():
            return (event.key, event.scorer, event.request_digest, event.values)
        case ev.StepFinished():
            timed = (event.role, event.tier, event.reason, event.action, event.usage, event.check)
            return (*timed, event.discarded, event.latency.prefill_s, event.latency.decode_s)
        case ev.RunFinished():
            totals = event.totals
            counts = (totals.usage, totals.steps_by_tier, totals.switches, totals.drafts_discarded)
            return (event.answer, event.answer_source, event.ended_by, *counts)
    fields = {name: getattr(event, name) for name in event.__struct_fields__ if name != "step"}
    return (ev.event_type(event), tuple(fields.items()))
