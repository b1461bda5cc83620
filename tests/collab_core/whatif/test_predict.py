from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from collab_core.errors import InvalidInput
from collab_core.whatif.measure import measure
from collab_core.whatif.predict import NAMES, Options, what_if
from collab_core.whatif.recorded import RecordedRun
from collab_core.whatif.results import WhatIf
from tests.collab_core.replies import answers
from tests.collab_core.whatif.logs import play, read_all, trails

FEW = Options(sets=10, each=4)


def test_where_nothing_diverges_every_figure_is_exact() -> None:
    runs = [play("small", [1, 1, 1]), play("small", [1, 1])]
    found = what_if(runs, "agentcollab", {"warm_up_steps": 0})
    assert (found.exact_runs, found.exact_steps, found.refused) == (2, 5, "")
    assert found.row is not None
    figures = found.row.figures
    assert all(getattr(figures, name).exact for name in NAMES)
    assert figures.steps.mean == 2.5
    assert figures.accuracy is not None
    assert figures.accuracy.mean == 1.0
    assert found.row.speedup.mean == pytest.approx(1.0)
    assert found.row.switching_ratio is not None
    assert found.row.switching_ratio.mean == 0.0
    assert found.support is None


@pytest.mark.parametrize("strategy", ["agentcollab", "small", "large", "period"])
def test_intervals_hold_what_the_strategy_really_does(
    strategy: str, drawn_runs: list[RecordedRun]
) -> None:
    real = read_all(trails(strategy, 80))
    found = measure(drawn_runs, real, options=FEW)
    assert found.pairs == found.prefixes_confirmed == 80
    assert {error.name for error in found.errors} == set(NAMES)
    missed = [error for error in found.errors if not error.covered]
    # 95 % intervals of six figures that go together: more than one miss is a fault of the model
    assert len(missed) <= 1, missed
    for error in found.errors:
        assert error.runs_covered is None or error.runs_covered > 0.8, error


def test_the_same_seed_gives_the_same_estimate(drawn_runs: list[RecordedRun]) -> None:
    first, again = (what_if(drawn_runs[:20], "small", {}, options=FEW) for _ in range(2))
    assert first == again
    assert first != what_if(
        drawn_runs[:20], "small", {}, options=msgspec.structs.replace(FEW, seed=1)
    )


def test_exact_runs_keep_their_figures_among_estimated_ones(drawn_runs: list[RecordedRun]) -> None:
    runs = read_all(trails("agentcollab-static", 30, {"warm_up_steps": 0}))
    found = what_if(runs, "agentcollab", {"warm_up_steps": 0}, pool=drawn_runs, options=FEW)
    assert 0 < found.exact_runs < found.runs
    for divergence, one, run in zip(found.divergences, found.estimates, runs, strict=True):
        assert one.figures.steps.exact == (divergence is None)
        if divergence is None:
            assert one.figures.latency_s.mean == pytest.approx(run.end.totals.latency_s)
        else:
            assert one.figures.steps.low >= divergence.index - 1


def test_all_of_it_is_plain(drawn_runs: list[RecordedRun]) -> None:
    found = what_if(drawn_runs[:20], "small", {}, options=FEW)
    assert msgspec.json.decode(msgspec.json.encode(found), type=WhatIf) == found


def refusal(
    runs: Sequence[RecordedRun],
    strategy: str,
    pool: Sequence[RecordedRun] | None = None,
    **more: object,
) -> str:
    found = what_if(runs, strategy, dict(more), pool=pool, options=FEW)
    assert found.row is None
    assert found.estimates == ()
    assert found.exact_steps < found.steps
    return found.refused


def test_a_tier_that_the_pool_never_used_is_not_guessed(small_runs: list[RecordedRun]) -> None:
    assert refusal(small_runs, "large").startswith("It needs steps on large, and the pool holds 0")


def test_situations_that_the_pool_does_not_hold_are_not_guessed(
    small_runs: list[RecordedRun],
) -> None:
    # the large tier only ever ran first
    pool = read_all(trails("first-k-large", 40, {"large_steps": 1}))
    assert "situations that the pool does not hold" in refusal(small_runs, "large", pool)


def test_a_small_pool_is_refused(drawn_runs: list[RecordedRun]) -> None:
    assert "needs 20" in refusal(drawn_runs[:19], "small")
    assert what_if(drawn_runs[:19], "small", {}, pool=drawn_runs, options=FEW).row is not None


def test_policies_that_read_what_nobody_wrote_are_refused(drawn_runs: list[RecordedRun]) -> None:
    unsure = replace(answers(), mean_logprob=-1.0, decisive_margin=0.1)
    run = play("margin", [], {"threshold": 0.3}, replies=[unsure, answers()])
    assert "texts" in refusal([run], "margin", drawn_runs, threshold=0.05)


def test_warm_prefill_is_refused(drawn_runs: list[RecordedRun]) -> None:
    assert "warm_prefill" in refusal(drawn_runs, "agentcollab", warm_prefill="always")


def test_shortened_hand_overs_are_refused(drawn_runs: list[RecordedRun]) -> None:
    run = play("random", [1, 1, 1], {"hand_over": "restart"})
    assert "hand-overs" in refusal([run, *drawn_runs], "large")


def test_no_runs_are_an_error() -> None:
    with pytest.raises(InvalidInput, match="no runs"):
        what_if([], "small", {})


def test_without_prices_or_accepted_answers_cost_and_accuracy_are_unknown() -> None:
    runs = [play("small", [1, 1, 1], gold=()) for _ in range(2)]
    found = what_if(runs, "small", {})
    assert found.row is not None
    assert found.row.figures.accuracy is None
    assert found.row.figures.cost_usd is not None
