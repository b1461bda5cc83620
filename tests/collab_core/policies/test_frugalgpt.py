"""FrugalGPT: score the draft, accept above the threshold, else the next tier writes it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.errors import InvalidInput
from collab_core.policies.base import Draft
from collab_core.policies.frugalgpt import FrugalGPT
from tests.collab_core.learned.tiny_models import tiny_classifier
from tests.collab_core.policies.routes import (
    DIM,
    build,
    context,
    killed_at_every_event,
    leaning,
    of,
    play,
    store_weights,
)
from tests.collab_core.replies import acts, answers, ladder, tiers_asked

QUANTILES = [i / 100 for i in range(101)]
BY_THRESHOLD = {"weights": "w", "choose_by": "threshold", "threshold": 0.5}


def weights(folder: Path, *, tiers: int = 2, **more: Any) -> Path:
    """P(accept) = sigmoid(4 - 40 * cosine with "bad"): a draft that says bad is not accepted."""
    fields: dict[str, Any] = {
        "weights": [(-leaning("bad", 60.0))[0]] * (tiers - 1),
        "biases": [4.0] * (tiers - 1),
        "quantiles": [QUANTILES] * (tiers - 1),
    }
    return store_weights(folder / "w", "frugalgpt", fields, **more)


def policy(*thresholds: float) -> FrugalGPT:
    class Numbers:
        name, digest, stand_in = "by hand", "d", True

        def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
            return (0.0,) * len(texts)

    return FrugalGPT(scorer=Numbers(), thresholds=thresholds)


def climbed(thresholds: tuple[float, ...], scores: tuple[float, ...]) -> int:
    """Return the tier whose draft stands, given each tier's score of its own draft."""
    chain = policy(*thresholds)
    tiers = len(thresholds) + 1
    at = chain.before_step(context(tiers=tiers)).tier
    while True:
        given = (scores[at],) if at < len(scores) else ()
        verdict = chain.after_generation(
            context(tiers=tiers), Draft(tier=at, text="x", scores=given)
        )
        if verdict.rerun_on is None:
            return at
        assert verdict.rerun_on == at + 1
        at = verdict.rerun_on


@pytest.mark.parametrize(
    ("scores", "stands"),
    [
        ((0.7, 0.9), 0),
        ((0.6, 0.9), 1),  # not above 0.6
        ((0.2, 0.9), 1),
        ((0.2, 0.5), 2),
        ((0.2, 0.8), 2),  # not above 0.8
        ((0.61, 0.0), 0),
    ],
)
def test_a_chain_of_three_tiers_by_hand(scores: tuple[float, float], stands: int) -> None:
    assert climbed((0.6, 0.8), scores) == stands


def test_the_top_tiers_draft_is_neither_read_nor_judged() -> None:
    chain = policy(0.5)
    draft = Draft(tier=1, text="x")
    assert chain.draft_texts(context(), draft) is None
    assert chain.after_generation(context(), draft).rerun_on is None
    assert policy().after_generation(context(tiers=1), Draft(tier=0, text="x")).rerun_on is None


def test_the_scorer_reads_tier_question_and_draft() -> None:
    (text,) = policy(0.5).draft_texts(context(), Draft(tier=0, text="I think so.")) or ()
    assert text == "0\nQ: Question: who?\nSteps so far: 0\nA: I think so."


async def test_a_rejected_draft_is_charged_and_its_tool_never_runs(tmp_path: Path) -> None:
    weights(tmp_path)
    script = [
        acts(arguments='{"text": "good"}'),
        acts(arguments='{"text": "bad bad bad bad"}'),
        acts(arguments='{"text": "better"}'),
        answers(),
    ]
    terminal, journal, backend, note = await play(
        "frugalgpt", tmp_path, script, parameters=BY_THRESHOLD
    )
    assert note.taken == ["good", "better"]
    assert tiers_asked(backend.requests) == ["small", "small", "large", "small"]
    (discarded,) = of(journal, ev.DraftDiscarded)
    assert (discarded.step, discarded.tier, discarded.to_tier) == (2, 0, 1)
    assert discarded.score < discarded.threshold == 0.5
    # three calls of 20 tokens, the answer of 10; 3 x 100 + 200 in (60 cached) at 1 and 2 dollars
    assert terminal.totals.usage.output_tokens == 70
    assert terminal.totals.usage.input_tokens == 500
    assert terminal.totals.cost_usd == pytest.approx((500 * 1.0 + 70 * 2.0) / 1e6)
    # the top tier's draft is not scored
    assert terminal.totals.scorer_calls == 3


async def test_three_tiers_climb_one_by_one(tmp_path: Path) -> None:
    rungs = ladder("small", "middle", "large")
    weights(tmp_path, tiers=3, rungs=rungs)
    bad = acts(arguments='{"text": "bad bad bad bad"}')
    better = acts(arguments='{"text": "better"}')
    _, journal, backend, note = await play(
        "frugalgpt",
        tmp_path,
        [bad, bad, better, answers()],
        ladder=rungs,
        parameters=BY_THRESHOLD,
    )
    assert tiers_asked(backend.requests) == ["small", "middle", "large", "small"]
    assert note.taken == ["better"]
    assert [(e.tier, e.to_tier) for e in of(journal, ev.DraftDiscarded)] == [(0, 1), (1, 2)]


async def test_killed_at_every_event_it_ends_the_same(tmp_path: Path) -> None:
    weights(tmp_path)
    small = [
        acts(arguments='{"text": "bad bad bad bad"}'),
        acts(arguments='{"text": "fine"}'),
        answers(),
    ]
    large = [acts(arguments='{"text": "better"}')] * 3
    whole = await killed_at_every_event(
        "frugalgpt", tmp_path, {"small": small, "large": large}, parameters=BY_THRESHOLD
    )
    assert [step.tier for step in of(whole, ev.StepFinished)] == [1, 0, 0]
    assert len(of(whole, ev.DraftDiscarded)) == 1


@pytest.mark.parametrize(("share", "threshold"), [(0.25, 0.25), (0.505, 0.505), (1.0, 1.0)])
def test_a_target_share_is_a_quantile_of_each_tiers_scores(
    share: float, threshold: float, tmp_path: Path
) -> None:
    weights(tmp_path)
    made = build("frugalgpt", tmp_path, weights="w", target_share=share)
    assert isinstance(made, FrugalGPT)
    assert made.thresholds == pytest.approx((threshold,))


def test_a_share_of_nothing_accepts_even_the_lowest_score(tmp_path: Path) -> None:
    weights(tmp_path)
    made = build("frugalgpt", tmp_path, weights="w", target_share=0.0)
    draft = Draft(tier=0, text="x", scores=(0.0,))
    assert made.after_generation(context(), draft).rerun_on is None


def test_a_budgets_thresholds_come_from_training(tmp_path: Path) -> None:
    rungs = ladder("small", "middle", "large")
    weights(tmp_path, tiers=3, rungs=rungs, options={"thresholds": [0.3, 0.6]})
    made = build("frugalgpt", tmp_path, weights="w", choose_by="budget", rungs=rungs)
    assert isinstance(made, FrugalGPT)
    assert made.thresholds == (0.3, 0.6)


@pytest.mark.parametrize("options", [{}, {"thresholds": [0.1, 0.2]}, {"thresholds": ["high"]}])
def test_weights_without_usable_thresholds_say_so(options: dict[str, Any], tmp_path: Path) -> None:
    weights(tmp_path, options=options)
    with pytest.raises(InvalidInput, match="trained without a budget"):
        build("frugalgpt", tmp_path, weights="w", choose_by="budget")


def test_a_fine_tuned_classifier_scores_every_tier(tmp_path: Path) -> None:
    tiny_classifier(tmp_path / "bert", labels=2)
    rungs = ladder("small", "middle", "large")
    made = build(
        "frugalgpt", tmp_path, weights="bert", choose_by="threshold", threshold=0.4, rungs=rungs
    )
    assert isinstance(made, FrugalGPT)
    assert made.thresholds == (0.4, 0.4)
    assert not made.scorer.stand_in
    with pytest.raises(InvalidInput, match="carries no thresholds"):
        build("frugalgpt", tmp_path, weights="bert")


def test_weights_of_two_tiers_do_not_fit_three(tmp_path: Path) -> None:
    fields = {"weights": [[0.0] * DIM], "biases": [0.0], "quantiles": [QUANTILES]}
    store_weights(tmp_path / "w", "frugalgpt", fields, rungs=ladder("a", "b", "c"))
    with pytest.raises(InvalidInput, match=f"'weights' is 1x{DIM}, not 2x{DIM}"):
        build("frugalgpt", tmp_path, weights="w", rungs=ladder("a", "b", "c"))
