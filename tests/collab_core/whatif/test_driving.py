from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collab_core.whatif.driving import ByStep, ByVerdicts, Happened, Start, driver
from collab_core.whatif.recorded import RecordedRun
from collab_core.whatif.replay import replayed
from collab_core.whatif.wanted import wanted
from tests.collab_core.whatif.logs import play

EACH = 6
FIRST_LARGE = [1, 0, 1, 1]
CASES: list[tuple[str, dict[str, Any]]] = [
    ("agentcollab", {"warm_up_steps": 0}),
    ("agentcollab-static", {"warm_up_steps": 0, "budget_base": 1}),
    ("small", {}),
    ("random", {}),
    ("random-matched", {"large_share": 0.3}),
    ("one-way", {"after_steps": 1, "direction": "down"}),
    ("period", {"period": 2}),
]


def starts(strategy: str, parameters: dict[str, Any]) -> list[Start]:
    found = []
    for seed in range(4):
        run = play("large", FIRST_LARGE, seed=seed)
        one = replayed(run, wanted(run, strategy, parameters))
        assert one.resume is not None
        found.append(Start(one, one.resume))
    return found


def happened(run: RecordedRun, progress: Any) -> Happened:
    count = len(progress)
    records = [step.record for step in run.instances[0].steps]
    noise = np.linspace(0.1, 9.0, count)
    return Happened(
        donors=records,
        row=np.arange(count) % len(records),
        progress=progress,
        latency_s=noise,
        cost_usd=noise,
        input_tokens=noise,
        cached_tokens=noise,
        output_tokens=noise,
        prompt_tokens=noise,
        total_s=noise,
        total_usd=noise,
    )


@pytest.mark.parametrize(("strategy", "parameters"), CASES, ids=str)
def test_one_graph_decides_as_an_object_for_each_continuation(
    strategy: str, parameters: dict[str, Any]
) -> None:
    """What is shown to them differs in all but the verdicts: a policy that looks at more fails here."""
    begun = starts(strategy, parameters)
    graph, each = driver(begun, EACH), ByStep(begun, EACH)
    assert isinstance(graph, ByVerdicts)
    chance = np.random.default_rng(0)
    left = len(begun) * EACH
    while left:
        assert graph.tiers().tolist() == each.tiers().tolist()
        progress, going = chance.random(left) < 0.5, chance.random(left) < 0.9
        told = happened(begun[0].replayed.run, progress)
        graph.advance(going, told)
        each.advance(going, told)
        left = int(going.sum())


def test_a_policy_that_looks_at_more_gets_an_object_for_each() -> None:
    run = play("large", FIRST_LARGE, {})
    parameters = {"warm_up_steps": 0, "warm_prefill": "signs"}
    one = replayed(run, wanted(run, "agentcollab", parameters))
    assert one.resume is not None
    assert isinstance(driver([Start(one, one.resume)], EACH), ByStep)


def test_the_graph_is_shared_by_runs_of_a_policy_that_does_not_draw() -> None:
    begun = starts("agentcollab", {"warm_up_steps": 0})
    graph = ByVerdicts(begun, EACH)
    count = len(begun) * EACH
    graph.advance(np.ones(count, bool), happened(begun[0].replayed.run, np.zeros(count, bool)))
    assert len(set(graph._at.tolist())) == 1


@pytest.mark.parametrize("way", [ByVerdicts, ByStep])
def test_continuations_begin_in_the_state_before_the_divergence(way: Any) -> None:
    run = play("small", [0, 0, 0, 1, 0, 1])
    one = replayed(run, wanted(run, "agentcollab", {"warm_up_steps": 0}))
    assert one.resume is not None
    assert (one.resume.decision.level, one.resume.step.number) == (1, 2)
    going = way([Start(one, one.resume)], 2)
    going.advance(np.ones(2, bool), happened(run, np.asarray([False, True])))
    # by hand: a second stall stays with the large tier, progress hands back
    assert going.tiers().tolist() == [1, 0]
    going.advance(np.ones(2, bool), happened(run, np.asarray([True, False])))
    assert going.tiers().tolist() == [0, 1]
