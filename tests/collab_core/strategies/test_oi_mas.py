"""Turns, roles and tiers with the conductor's numbers set by hand: who acts, what it is shown."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from collab_core import events as ev
from collab_core.backends.base import ModelReply, ModelRequest
from collab_core.backends.scripted import ScriptedBackend
from collab_core.domain import Limits, Timing, ToolCall, Usage
from collab_core.learned.oi_mas import (
    EARLY_STOP,
    ROLE_INDEX,
    ROLES,
    Distributions,
    Rules,
    choose,
)
from collab_core.runtime.engine import execute
from collab_core.runtime.journal import MemoryJournal
from tests.collab_core.replies import spec
from tests.collab_core.runtime.test_engine import Note, _deterministic

R = ROLE_INDEX


def found(roles: dict[str, float], tiers: dict[str, tuple[float, float]] | None = None) -> Any:
    """The given roles share the mass as given, the others get nothing; tiers default to small."""
    shares = np.zeros(len(ROLES))
    for name, share in roles.items():
        shares[R[name]] = share
    rows = np.array([[0.6, 0.4]] * EARLY_STOP)
    for name, row in (tiers or {}).items():
        rows[R[name]] = row
    return Distributions(shares, rows)


def test_roles_are_taken_in_falling_order_until_theta() -> None:
    shares = {"generator": 0.2, "verifier": 0.15, "critique": 0.5, "refiner": 0.15}
    assert choose(found(shares), Rules(theta=0.3), turn=1, chance=None).roles == (R["critique"],)
    plan = choose(found(shares), Rules(theta=0.6), turn=1, chance=None)
    assert plan.roles == (R["critique"], R["generator"])
    # exactly theta is enough
    assert choose(found(shares), Rules(theta=0.7), turn=1, chance=None).roles == plan.roles


def test_each_role_gets_its_most_probable_tier() -> None:
    plan = choose(
        found({"generator": 0.2, "verifier": 0.8}, {"generator": (0.1, 0.9)}),
        Rules(theta=1.0),
        turn=1,
        chance=None,
    )
    assert plan.tiers == (0, 1)


def test_early_stop_among_the_roles_ends_the_run() -> None:
    plan = choose(found({"generator": 0.25, "early_stop": 0.2}), Rules(), turn=2, chance=None)
    assert plan.stops
    assert plan.tiers == ()


def test_without_the_model_router_every_role_runs_on_the_top_tier() -> None:
    plan = choose(found({"generator": 1.0}), Rules(model_router=False), turn=1, chance=None)
    assert plan.tiers == (1,)


def test_without_the_role_router_the_roles_are_fixed() -> None:
    rules = Rules(role_router=False)
    plans = [choose(found({"critique": 1.0}), rules, turn=t, chance=None) for t in (1, 2, 3, 4)]
    names = [[ROLES[role].name for role in plan.roles] for plan in plans]
    assert names == [["generator_cot"], ["verifier"], ["refiner"], ["early_stop"]]


def test_exploring_draws_with_the_given_chances() -> None:
    shares, chance = found({"generator": 0.5, "verifier": 0.5}), random.Random(0)
    plans = [choose(shares, Rules(), turn=1, chance=chance) for _ in range(2_000)]
    first = sum(plan.roles[0] == R["generator"] for plan in plans) / 2_000
    small = sum(plan.tiers[0] == 0 for plan in plans) / 2_000
    assert first == pytest.approx(0.5, abs=0.04)
    assert small == pytest.approx(0.6, abs=0.04)


# --- whole runs ---------------------------------------------------------------------------------
def reply(text: str, *calls: ToolCall, seconds: float = 1.0) -> ModelReply:
    return ModelReply(
        text=text,
        tool_calls=calls,
        usage=Usage(input_tokens=100, output_tokens=10),
        timing=Timing(decode_s=seconds, total_s=seconds),
        mean_logprob=-0.25,
    )


def told(request: ModelRequest) -> str:
    return str(request.transcript.messages[0]["content"])


def by_role(request: ModelRequest) -> ModelReply:
    """What a role says depends on its prompt only; Generators call a tool first."""
    messages = request.transcript.messages
    if "You are the Verifier" in told(request):
        return reply("<answer>Verdict: correct</answer>", seconds=2.0)
    if "Generator" in told(request) and not any(m["role"] == "tool" for m in messages):
        return reply("I note.", ToolCall(id="c", name="note", arguments='{"text": "x"}'))
    return reply("<answer>Paris</answer>")


async def solve(journal: Any = None, limits: Any = None, **parameters: Any) -> Any:
    backend, journal, tool = ScriptedBackend([by_role] * 500), journal or MemoryJournal(), Note()
    more = {"limits": limits} if limits else {}
    run = spec("oi-mas", parameters=parameters, **more)
    terminal = await execute(run, journal, backend=backend, tools=(tool,))
    return terminal, journal, backend.requests, tool


def events(journal: MemoryJournal, kind: type[Any], *, main: bool | None = None) -> list[Any]:
    of_kind = [r.event for r in journal.records if isinstance(r.event, kind)]
    return [e for e in of_kind if main is None or (not e.scope) == main]


async def test_fixed_roles_answer_check_and_refine() -> None:
    terminal, journal, requests, tool = await solve(role_router=False, model_router=False)
    assert (terminal.answer, terminal.outcome, terminal.ended_by) == ("Paris", "correct", "answer")
    turns = events(journal, ev.StepStarted, main=True)
    assert [(e.role, e.reason) for e in turns] == [("conductor", "routed")] * 3 + [
        ("conductor", "routed_stop")
    ]
    acted = [e.role for e in events(journal, ev.StepStarted, main=False)]
    # the tool call of the Generator and of the Refiner's own way to its answer
    assert acted == ["generator_cot", "generator_cot", "verifier", "refiner"]
    assert {request.tier.name for request in requests} == {"large"}
    assert tool.calls == 1


async def test_a_role_is_shown_the_task_and_what_was_written_before() -> None:
    _, _, requests, _ = await solve(role_router=False)
    refiner = next(r for r in requests if "You are the Refiner" in told(r))
    shown = refiner.transcript.messages[1]["content"]
    assert shown.startswith("Capital of France?\n\n")
    assert '<output role="generator_cot-1">\nParis\n</output>' in shown
    assert '<output role="verifier-2">\nVerdict: correct\n</output>' in shown


async def test_everything_is_charged_and_a_turn_lasts_as_long_as_its_longest_role() -> None:
    terminal, journal, requests, _ = await solve(theta=0.9)
    assert terminal.totals.model_calls == len(requests)
    assert terminal.totals.usage.input_tokens == 100 * len(requests)
    assert terminal.totals.scorer_calls == len(events(journal, ev.ScorerReturned))
    for turn in events(journal, ev.StepFinished, main=True):
        own = [
            e.latency.total_s
            for e in events(journal, ev.StepFinished, main=False)
            if turn.cumulative_s - turn.latency.total_s < e.cumulative_s <= turn.cumulative_s
        ]
        assert turn.latency.total_s >= max(own, default=0.0)
        assert turn.usage.input_tokens == 0


async def test_log_probabilities_are_asked_for() -> None:
    _, _, requests, _ = await solve(role_router=False)
    assert all(request.logprobs for request in requests)


async def test_an_untrained_conductor_says_so_in_the_log() -> None:
    _, journal, _, _ = await solve()
    assert {(e.scorer, e.stand_in) for e in events(journal, ev.ScorerReturned)} == {
        ("untrained", True)
    }


async def test_the_programmer_acts_only_with_the_python_tool() -> None:
    for seed in range(8):
        _, journal, _, _ = await solve(explore=True, theta=1.0, turns=1, untrained_seed=seed)
        acted = {e.role for e in events(journal, ev.StepStarted, main=False)}
        assert acted == {"generator", "generator_cot", "decomposer"}


async def test_before_there_is_an_answer_nobody_checks_mends_or_ends_with_it() -> None:
    for seed in range(8):
        terminal, journal, _, _ = await solve(explore=True, theta=0.01, untrained_seed=seed)
        first = events(journal, ev.ScorerReturned)[0].values
        blocked = {role.name for role, share in zip(ROLES, first, strict=False) if share == 0.0}
        wanted = {"critique", "ensembler", "verifier", "refiner", "early_stop", "programmer"}
        assert blocked == wanted
        assert terminal.answer == "Paris"


def commenting(request: ModelRequest) -> ModelReply:
    return reply("" if "You are the Gen" not in told(request) else "<answer>Paris</answer>")


async def test_a_run_without_any_answer_asks_the_generator_at_last() -> None:
    backend, journal = ScriptedBackend([commenting] * 500), MemoryJournal()
    for seed in range(20):
        journal = MemoryJournal()
        run = spec("oi-mas", parameters={"theta": 0.01, "turns": 1, "explore": True}, seed=seed)
        terminal = await execute(run, journal, backend=backend, tools=())
        assert terminal.answer == "Paris"
        if "last_answer" in [e.reason for e in events(journal, ev.StepStarted)]:
            break
    else:
        pytest.fail("no seed needed the last answer")


def by_instance(journal: MemoryJournal) -> dict[str, list[Any]]:
    """What each agent instance did, without what a clock says."""
    told: dict[str, list[Any]] = defaultdict(list)
    for record in journal.records:
        event = record.event
        if isinstance(event, ev.ScorerReturned):
            event = replace(event, duration_s=0.0)
        told[getattr(event, "scope", "run")] += _deterministic(
            MemoryJournal([replace(record, event=event)])
        )
    return told


@pytest.mark.parametrize(
    "parameters",
    [{"theta": 0.5, "turns": 2}, {"explore": True, "theta": 0.4, "turns": 3}],
)
async def test_a_run_cut_after_any_event_resumes_to_the_same_log(parameters: Any) -> None:
    _, whole, asked, _ = await solve(**parameters)
    for cut in range(len(whole.records)):
        _, resumed, again, _ = await solve(MemoryJournal(whole.records[:cut]), **parameters)
        assert by_instance(resumed) == by_instance(whole)
        known = sum(isinstance(r.event, ev.ModelReplied) for r in whole.records[:cut])
        assert len(again) == len(asked) - known


async def test_a_token_limit_ends_the_run() -> None:
    terminal, _, requests, _ = await solve(limits=Limits(max_tokens=150, max_steps=12))
    assert terminal.ended_by == "max_tokens"
    assert len(requests) < 8
