from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collab_core import events as ev
from collab_core.benchmarks.world import World, WorldTask
from collab_core.domain import Limits, Task
from collab_core.errors import InvalidInput
from collab_core.runtime.fork import prefix
from collab_core.strategies.base import NO_RESOURCES, Resources
from collab_core.strategies.registry import STRATEGIES
from collab_core.tools.base import Tool
from collab_core.whatif.replay import replay
from tests.collab_core.agents.team import Round, Team, work
from tests.collab_core.replies import answers, ladder, says
from tests.collab_core.strategies.play import play as simulate
from tests.collab_core.strategies.play import simulated_ladder
from tests.collab_core.strategies.weights import MAKERS
from tests.collab_core.whatif.logs import play, read

BY_STEP = [name for name, strategy in STRATEGIES.items() if strategy.policy is not None]
NO_WARM_UP: dict[str, Any] = {"warm_up_steps": 0}


def queued(strategy: str, parameters: dict[str, Any], task: WorldTask, steps: int) -> ev.Recorded:
    event = ev.RunQueued(
        task=Task(question=task.question),
        strategy=strategy,
        parameters=parameters,
        ladder=simulated_ladder().snapshot(),
        seed=5,
        limits=Limits(max_steps=steps),
    )
    return ev.Recorded(seq=0, at=0.0, event=event)


def cases() -> list[tuple[str, dict[str, Any]]]:
    team = {"agent": "planner-executor", "seeker_steps": 4}
    warm = {"warm_prefill": "always", "warm_min_tokens": 0}
    return [
        *((name, {}) for name in BY_STEP),
        ("agentcollab", warm | NO_WARM_UP),
        ("agentcollab", {"check_mode": "separate", "hand_over": "compacted"} | NO_WARM_UP),
        ("agentcollab", team),
        ("random", team),
    ]


@pytest.mark.parametrize(("strategy", "parameters"), cases(), ids=str)
async def test_a_run_under_its_own_strategy_never_diverges(
    strategy: str,
    parameters: dict[str, Any],
    world: World,
    tools: tuple[Tool, ...],
    tmp_path: Path,
) -> None:
    resources = NO_RESOURCES
    if strategy in MAKERS:
        parameters = {**MAKERS[strategy](tmp_path, simulated_ladder()), **parameters}
        resources = Resources(folder=tmp_path)
    task = max(world.tasks, key=lambda one: one.hops)
    end, journal, _ = await simulate(
        strategy,
        parameters,
        task,
        tools,
        history=[queued(strategy, parameters, task, 12)],
        resources=resources,
        max_steps=12,
        seed=5,
    )
    run = read(journal.records)
    found = replay(run, strategy, parameters, resources)
    assert found.divergence is None
    assert found.prefix == found.recorded
    assert found.recorded.steps == end.totals.steps == len(found.decisions)
    assert found.recorded.switches == end.totals.switches
    assert found.recorded.latency_s == pytest.approx(end.totals.latency_s)
    assert found.recorded.cost_usd == pytest.approx(end.totals.cost_usd)


def test_a_stall_is_the_first_step_that_another_strategy_gives_to_the_larger_tier() -> None:
    run = play("small", [1, 1, 0, 1, 1])
    found = replay(run, "agentcollab", NO_WARM_UP)
    where = found.divergence
    assert where is not None
    assert (where.step, where.kind, where.recorded_name, where.wanted_name) == (
        4,
        "tier",
        "small",
        "large",
    )
    assert (where.recorded_reason, where.wanted_reason) == ("fixed", "escalated")
    assert not found.exact
    # by hand: three steps of 100 input tokens, cached ones at the same price, and 20 output tokens
    assert (found.prefix.steps, found.prefix.large_steps, found.prefix.moves) == (3, 0, 2)
    three = [step.record.latency_s for step in run.instances[0].steps[:3]]
    assert found.prefix.latency_s == pytest.approx(sum(three))
    assert sum(three) >= 1.5
    assert found.prefix.output_tokens == 60
    assert found.prefix.cost_usd == pytest.approx(3 * (100 * 1.0 + 20 * 2.0) / 1e6)
    assert [decision.exact for decision in found.decisions] == [True] * 4 + [False]


def test_behind_the_divergence_the_policy_is_asked_as_if_it_took_over() -> None:
    found = replay(play("small", [0, 0, 1, 0, 1]), "agentcollab", NO_WARM_UP)
    # Eq. 1 on the recorded verdicts: levels 0, 1, 2, then back by progress
    assert [decision.level for decision in found.decisions] == [0, 1, 2, 0, 1]
    assert [decision.tier for decision in found.decisions] == [0, 1, 1, 0, 1]


def test_a_policy_without_a_state_diverges_at_the_first_other_tier() -> None:
    run = play("period", [1] * 6, {"period": 3})
    found = replay(run, "period", {"period": 2})
    assert found.divergence is not None
    assert (found.divergence.index, found.divergence.wanted_tier) == (2, 1)


def test_where_nothing_would_change_the_whole_run_is_exact() -> None:
    run = play("agentcollab", [1, 1, 1, 1])
    found = replay(run, "agentcollab-static", {"budget_base": 1})
    assert found.exact
    assert found.outcome == "correct"
    assert found.prefix == found.recorded


@settings(max_examples=40, deadline=None)
@given(
    verdicts=st.lists(st.integers(0, 1), min_size=1, max_size=11),
    warm_up=st.integers(0, 3),
    growth=st.sampled_from([0.0, 1.0, 2.5]),
    early=st.booleans(),
    source=st.sampled_from(["small", "random", "agentcollab-static"]),
)
def test_decisions_before_the_divergence_are_those_of_a_live_run(
    verdicts: list[int], warm_up: int, growth: float, early: bool, source: str
) -> None:
    parameters = {"warm_up_steps": warm_up, "growth": growth, "early_hand_back": early}
    found = replay(play(source, verdicts), "agentcollab", parameters)
    live = play("agentcollab", verdicts, parameters).instances[0].steps
    exact = [decision for decision in found.decisions if decision.exact]
    told = [(d.index, d.tier, d.reason, d.level, d.budget, d.budget_left) for d in exact]
    begun = [step.begun for step in live]
    assert told == [
        (n, b.tier, b.reason, b.level, b.budget, b.budget_left)
        for n, b in enumerate(begun[: len(exact)], start=1)
    ]
    differ = [d.index for d in found.decisions if d.recorded_tier != begun[d.index - 1].tier]
    assert (found.divergence.index if found.divergence else None) == min(differ, default=None)


@pytest.mark.parametrize("rule", ["progress", "stall"])
def test_missing_verdicts_are_told_by_the_other_strategys_rule(rule: str) -> None:
    run = play("small", [], replies=[says("I wonder."), answers(), answers()])
    found = replay(run, "agentcollab", NO_WARM_UP | {"missing_verdict": rule})
    assert found.exact == (rule == "progress")


def test_policies_are_shown_whole_steps() -> None:
    step = play("small", [0, 1]).instances[0].steps[0].record
    assert (step.index, step.tool_name, step.observation) == (1, "note", "noted x")
    assert step.check.raw.startswith("<progress>")
    assert step.usage.cached_tokens == 60
    assert step.decision.why


def test_a_policy_sees_its_own_decisions_where_the_log_agrees() -> None:
    # the warm-up's verdicts do not count: they would, had the policy been told "fixed"
    found = replay(play("large", [0, 0, 1, 1]), "agentcollab", {"warm_up_steps": 2})
    assert found.divergence is not None
    assert (found.divergence.index, found.divergence.wanted_reason) == (3, "restored")


def test_inherited_steps_of_a_fork_are_given() -> None:
    parent = play("large", [1, 0, 1])
    events = [ev.Recorded(seq=n, at=0.0, event=e) for n, e in enumerate(parent.logged.events)]
    fork = play("small", [1, 1], inherited=prefix(events, 2))
    assert [step.tier for step in fork.instances[0].steps] == [1, 1, 0, 0]
    assert replay(fork, "small", {}).exact
    found = replay(fork, "large", {})
    assert found.divergence is not None
    assert found.divergence.step == 3


def test_teams_are_exact_until_an_agent_diverges_and_beside_it() -> None:
    plan = [Round([(1, 0, 1), (1,)]), Round([()])]
    queued = ev.RunQueued(
        task=Task(question="q"),
        strategy="small",
        parameters={"agent": "planner-executor"},
        ladder=ladder().snapshot(),
        seed=7,
        limits=Limits(),
    )
    begun = [ev.Recorded(seq=0, at=0.0, event=queued)]
    _, journal = asyncio.run(work(Team(plan), begun, strategy="small"))
    run = read(journal.records)
    found = replay(run, "agentcollab", NO_WARM_UP)
    where = found.divergence
    assert where is not None
    assert (where.scope, where.role, where.index) == ("seeker-1.1", "seeker", 3)
    exact = {(d.scope, d.index) for d in found.decisions if d.exact}
    # the other seeker is as it was; the planner waits for both and its next step is another one
    assert exact == {
        ("", 1),
        *(("seeker-1.1", n) for n in (1, 2, 3)),
        ("seeker-1.2", 1),
        ("seeker-1.2", 2),
    }
    assert found.prefix.steps == 4


@pytest.mark.parametrize(
    ("strategy", "parameters", "field"),
    [
        ("cope", {}, "strategy"),
        ("nobody", {}, "strategy"),
        ("agentcollab", {"check_mode": "separate"}, "check_mode"),
        ("agentcollab", {"temperature": 0.1}, "temperature"),
        ("agentcollab", {"budget_base": 9}, ""),
        ("large-planner", {}, "agent"),
        ("margin", {}, "strategy"),
    ],
)
def test_what_the_log_cannot_tell_is_refused(
    strategy: str, parameters: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        replay(play("small", [1, 0, 1]), strategy, parameters)
    assert caught.value.field == field


def test_a_parameter_of_a_team_means_nothing_to_one_agent() -> None:
    assert replay(play("small", [1, 1]), "small", {"max_seekers": 2}).exact


def test_drafts_that_would_stand_are_a_divergence(tmp_path: Path) -> None:
    unsure = replace(answers(), mean_logprob=-1.0, decisive_margin=0.1)
    sure = replace(answers(), mean_logprob=-0.1, decisive_margin=0.9)
    run = play("margin", [], {"threshold": 0.3}, replies=[unsure, sure])
    assert replay(run, "margin", {"threshold": 0.3}).exact
    found = replay(run, "margin", {"threshold": 0.05})
    assert found.divergence is not None
    assert (
        found.divergence.kind,
        found.divergence.recorded_tier,
        found.divergence.wanted_tier,
    ) == (
        "draft",
        1,
        0,
    )
    # who never looks at drafts keeps the first one
    kept = replay(run, "small", {}).divergence
    assert kept is not None
    assert kept.kind == "draft"
