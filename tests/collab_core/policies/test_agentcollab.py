"""Decision sequences worked out by hand from Eq. 1-4 and Algorithm 1."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab_core.budgets import BudgetSchedule
from collab_core.domain import Limits, ProgressCheck, StepRecord, Task
from collab_core.policies.agentcollab import AgentCollab, AgentCollabRules
from collab_core.policies.base import CacheState, StepContext
from tests.collab_core.replies import ladder


def play(verdicts: list[int], *, tiers: int = 2, **rules: Any) -> tuple[list[int], list[int]]:
    """Return (tier of each step, level of each step) for these verdicts."""
    policy = AgentCollab(AgentCollabRules(**rules))
    snapshot = ladder(*(f"t{i}" for i in range(tiers))).snapshot()
    trajectory: list[StepRecord] = []
    for index, verdict in enumerate(verdicts, start=1):
        context = StepContext(
            task=Task(question="q"),
            step_index=index,
            limits=Limits(),
            trajectory=trajectory,
            tiers=snapshot,
            cache=(CacheState(),) * tiers,
            spent_usd=0.0,
            spent_s=0.0,
            random=random.Random(0),
        )
        decision = policy.before_step(context)
        step = StepRecord(
            index=index,
            decision=decision,
            text="",
            check=ProgressCheck(status="parsed", indicator=verdict, made_progress=verdict == 1),  # type: ignore[arg-type]
        )
        trajectory.append(step)
        policy.after_observation(context, step)
    return [s.decision.tier for s in trajectory], [s.decision.level for s in trajectory]


STATIC = BudgetSchedule(growth=0)


def test_warm_up_then_small_while_it_makes_progress() -> None:
    assert play([1, 1, 1, 1])[0] == [1, 1, 0, 0]


def test_verdicts_of_the_warm_up_do_not_escalate() -> None:
    assert play([0, 0, 1])[0] == [1, 1, 0]


def test_static_budget_of_two_without_progress() -> None:
    # small stalls at step 1 -> two large steps, no progress -> small again, stalls -> two large
    tiers, _ = play([0, 0, 0, 0, 0, 0], warm_up_steps=0, schedule=STATIC)
    assert tiers == [0, 1, 1, 0, 1, 1]


def test_dynamic_budget_grows_with_the_streak() -> None:
    # n=1 -> B=4; the four large stalls raise n to 5; small stalls: n=6 -> B=6
    tiers, levels = play([0] * 13, warm_up_steps=0)
    assert tiers == [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0]
    assert levels[:7] == [0, 1, 2, 3, 4, 5, 6]


def test_other_reading_of_eq3() -> None:
    tiers, _ = play([0] * 7, warm_up_steps=0, schedule=BudgetSchedule(offset=1))
    assert tiers == [0, 1, 1, 0, 1, 1, 1]


def test_progress_hands_back_early() -> None:
    assert play([0, 0, 1, 1], warm_up_steps=0)[0] == [0, 1, 1, 0]


def test_without_early_hand_back_the_budget_is_used_up() -> None:
    tiers, _ = play([0, 1, 1, 1, 1, 1], warm_up_steps=0, early_hand_back=False)
    assert tiers == [0, 1, 1, 1, 1, 0]


def test_higher_verdicts_need_not_count() -> None:
    # n stays 1 through the take-over; the next small stall makes it 2 -> B=6
    _, levels = play([0] * 7, warm_up_steps=0, higher_verdicts_count=False)
    assert levels == [0, 1, 1, 1, 1, 1, 2]


def test_recomputed_budget_grows_during_the_take_over() -> None:
    # B=4 at n=1, first large stall n=2 -> 6
    tiers, _ = play([0] * 8, warm_up_steps=0, recompute_budget=True)
    assert tiers == [0, 1, 1, 1, 1, 1, 1, 0]


def test_three_tiers_climb_one_rung_per_failed_take_over() -> None:
    tiers, _ = play([0] * 7, tiers=3, warm_up_steps=0, schedule=STATIC)
    assert tiers == [0, 1, 1, 0, 2, 2, 0]


def test_progress_starts_the_climb_anew() -> None:
    # a failed take-over, then the small tier makes progress: the next stall begins at tier 1
    tiers, _ = play([0, 0, 0, 1, 0, 0], tiers=3, warm_up_steps=0, schedule=STATIC)
    assert tiers == [0, 1, 1, 0, 0, 1]


def test_climb_to_the_top_at_once() -> None:
    tiers, _ = play([0, 0, 0], tiers=3, warm_up_steps=0, schedule=STATIC, climb="top")
    assert tiers == [0, 2, 2]


def test_a_ladder_of_one_never_switches() -> None:
    assert set(play([0] * 9, tiers=1)[0]) == {0}


@given(
    st.lists(st.sampled_from([0, 1]), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(0, 5),
    st.booleans(),
)
def test_no_take_over_exceeds_its_budget(
    verdicts: list[int], tiers: int, warm_up: int, early: bool
) -> None:
    path, _ = play(verdicts, tiers=tiers, warm_up_steps=warm_up, early_hand_back=early)
    longest = run = 0
    for tier in path[warm_up:]:
        run = run + 1 if tier else 0
        longest = max(longest, run)
    assert longest <= 6


@pytest.mark.parametrize("early", [True, False])
def test_a_policy_is_asked_without_changing_its_state(early: bool) -> None:
    rules = AgentCollabRules(early_hand_back=early, warm_up_steps=0)
    policy = AgentCollab(rules)
    context = StepContext(
        task=Task(question="q"),
        step_index=1,
        limits=Limits(),
        trajectory=[],
        tiers=ladder().snapshot(),
        cache=(CacheState(),) * 2,
        spent_usd=0.0,
        spent_s=0.0,
        random=random.Random(0),
    )
    assert policy.before_step(context) == policy.before_step(context)


def warms(steps: list[dict[str, Any]], *, lag: int = 5_000, tiers: int = 2, **rules: Any) -> Any:
    """Return the tier that is warmed beside the step behind ``steps``."""
    policy = AgentCollab(AgentCollabRules(warm_up_steps=0, **rules))
    trajectory: list[StepRecord] = []
    for index in range(1, len(steps) + 2):
        context = StepContext(
            task=Task(question="q"),
            step_index=index,
            limits=Limits(),
            trajectory=trajectory,
            tiers=ladder(*(f"t{i}" for i in range(tiers))).snapshot(),
            cache=(CacheState(last_step=1, prefix_tokens=lag), *[CacheState()] * (tiers - 1)),
            spent_usd=0.0,
            spent_s=0.0,
            random=random.Random(0),
        )
        decision = policy.before_step(context)
        if index > len(steps):
            return decision.warm_tier
        given = {"tool_name": "search", "tool_arguments": f"{index}", "observation": f"{index}"}
        fields = {"check": 1, **given, **steps[index - 1]}
        check = fields.pop("check")
        step = StepRecord(
            index=index,
            decision=decision,
            text="",
            check=ProgressCheck(
                status="missing" if check is None else "parsed",
                indicator=check,
                made_progress=check != 0,
            ),
            **fields,
        )
        trajectory.append(step)
        policy.after_observation(context, step)
    raise AssertionError("the last step is decided in the loop")


def test_warm_prefill_is_off_by_default_and_never_at_the_first_step() -> None:
    assert warms([{}]) is None
    assert warms([], warm_prefill="always") is None
    assert warms([{}], warm_prefill="always") == 1
    assert warms([{}], warm_prefill="always", tiers=1) is None


@pytest.mark.parametrize(
    ("latest", "tier"),
    [
        ({}, None),
        ({"tool_error": True}, 1),
        ({"tool_name": "", "tool_arguments": "", "observation": ""}, 1),
        ({"check": None}, 1),
        ({"tool_arguments": "1"}, 1),
        ({"observation": "1"}, 1),
    ],
)
def test_signs_of_a_stall_warm_the_next_tier(latest: dict[str, Any], tier: int | None) -> None:
    assert warms([{}, latest], warm_prefill="signs") == tier


def test_a_streak_that_goes_on_warms_the_tier_it_would_climb_to() -> None:
    # small stalls, tier 1 stalls twice and hands back: the next stall goes to tier 2
    stalls: list[dict[str, Any]] = [{"check": 0}] * 3
    assert warms(stalls, tiers=3, warm_prefill="signs", schedule=STATIC) == 2
    # in the middle of the take-over nothing is warmed
    assert warms(stalls[:2], tiers=3, warm_prefill="always", schedule=STATIC) is None


def test_a_tier_that_lags_little_is_not_warmed() -> None:
    assert warms([{}], lag=511, warm_prefill="always") is None
    assert warms([{}], lag=512, warm_prefill="always") == 1
    assert warms([{}], lag=10, warm_prefill="always", warm_min_tokens=0) == 1
