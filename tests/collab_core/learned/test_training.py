from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.optimize import approx_fprime

from collab_core import events as ev
from collab_core.domain import TierSnapshot
from collab_core.errors import InvalidInput, RunCancelled
from collab_core.learned.encoders import HashedEncoder
from collab_core.learned.evaluation import held_out_report
from collab_core.learned.isotonic import apply_knots
from collab_core.learned.routellm_mf import Batch, Shape, loss
from collab_core.learned.scorers import open_scorer
from collab_core.learned.store import Manifest, load
from collab_core.learned.trainer import Pair, Source
from collab_core.learned.training import TRAINERS, train
from tests.collab_core.learned.worlds import ladder, logs, predictable, question, run

Runs = dict[str, list[ev.Recorded]]


def source(runs: Runs | None = None) -> Source:
    return Source.of_logs(logs(runs or predictable()))


def made(kind: str, folder: Path, src: Source | None = None, **options: Any) -> Manifest:
    return train(kind, src or source(), folder, options, seed=1, encoder="hashed")


def figure(manifest: Manifest, name: str) -> float:
    value = manifest.report[name].value
    assert value is not None
    return value


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("routellm-mf", {}),
        ("routellm-mf", {"ties": "drop", "prefixes": False}),
        ("frugalgpt", {}),
        ("probe", {}),
        ("probe", {"head": "ridge"}),
        ("isotonic", {}),
    ],
)
def test_a_predictable_world_is_learned(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    manifest = made(kind, tmp_path / "w", **options)
    if options.get("ties") == "drop":
        assert figure(manifest, "accuracy") > 0.9
    else:
        assert figure(manifest, "auc") > 0.95
    assert manifest.trained_on.runs == 120
    assert manifest.kind == kind


def test_words_that_say_nothing_are_not_learned(tmp_path: Path) -> None:
    """The report is about tasks that were never trained on: luck stays luck."""
    runs = {
        f"small-{i}": run(question(i, hard=i % 2 == 0), [0], correct=i % 3 == 0) for i in range(150)
    }
    manifest = made("probe", tmp_path / "w", source(runs))
    auc = manifest.report["auc"]
    assert auc.low is not None
    assert auc.low < 0.65
    assert manifest.report["auc"].n == 30
    assert manifest.report["held_out_tasks"].value >= 5


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    digests = {made("routellm-mf", tmp_path / name).tensors_sha256 for name in "ab"}
    assert len(digests) == 1
    assert train("probe", source(), tmp_path / "c", {}, seed=2).seed == 2


def test_the_manifest_says_that_the_encoder_is_a_stand_in_and_the_tiers_simulated(
    tmp_path: Path,
) -> None:
    runs = predictable()
    for name, records in runs.items():
        queued = records[0].event
        assert isinstance(queued, ev.RunQueued)
        runs[name] = [replace(records[0], event=replace(queued, simulated=True)), *records[1:]]
    manifest = made("probe", tmp_path / "w", source(runs))
    assert manifest.encoder is not None
    assert manifest.encoder.stand_in
    assert manifest.trained_on.simulated
    assert "stand-in" in " ".join(manifest.notes)
    assert "simulated tiers" in " ".join(manifest.notes)


def test_the_calibration_tables_share_is_the_share_it_gives(tmp_path: Path) -> None:
    manifest = made("probe", tmp_path / "w")
    scorer = open_scorer(tmp_path / "w", kind="probe", ladder=ladder())
    point = manifest.threshold_for_share(0.5)
    shares = [p.large_share for p in manifest.calibration]
    assert (min(shares), max(shares)) == (0.0, 1.0)
    assert point.large_share == pytest.approx(0.5, abs=0.1)
    texts = tuple(f"Question: {question(i, hard=True)}\nSteps so far: 0" for i in (1, 3, 5, 7))
    assert all(score > point.threshold for score in scorer.score(texts))


@pytest.mark.parametrize("kind", ["routellm-mf", "frugalgpt", "probe"])
def test_a_loaded_scorer_tells_hard_from_easy(kind: str, tmp_path: Path) -> None:
    made(kind, tmp_path / "w")
    scorer = open_scorer(tmp_path / "w", kind=kind, ladder=ladder())
    hard, easy = scorer.score(
        tuple(f"Question: {question(n, hard=hard)}" for n, hard in ((901, True), (902, False)))
    )
    # FrugalGPT's score is P(accept), the others' is the need of the larger tier
    assert (hard < easy) if kind == "frugalgpt" else (hard > easy)
    assert scorer.stand_in
    assert len(scorer.digest) == 32


def test_the_folded_router_equals_the_bilinear_form(tmp_path: Path) -> None:
    made("routellm-mf", tmp_path / "w", dim=4)
    weights = load(tmp_path / "w")
    scorer = open_scorer(tmp_path / "w", kind="routellm-mf", ladder=ladder())
    text = "prove the river"
    hidden = HashedEncoder().encode([text])[0] @ weights.take("projection", 1024, 4)
    hidden = hidden + weights.take("bias", 4)
    models, classifier = weights.take("models", 2, 4), weights.take("classifier", 4)
    strong, weak = (float((models[m] * hidden) @ classifier) for m in (1, 0))
    assert scorer.score((text,))[0] == pytest.approx(1 / (1 + np.exp(weak - strong)), rel=1e-5)


def test_the_gradient_of_the_bilinear_form_is_right() -> None:
    random = np.random.default_rng(0)
    shape = Shape(3, 5, 2)
    batch = Batch(
        random.normal(size=(7, 5)),
        np.array([1, 2, 2, 1, 2, 1, 2]),
        np.array([0, 0, 1, 0, 1, 0, 0]),
        random.choice([0.0, 0.5, 1.0], 7),
        random.uniform(0.1, 1.0, 7),
    )
    theta = shape.start(1) + random.normal(0, 0.1, shape.start(1).shape)
    numeric = approx_fprime(theta, lambda t: loss(t, shape, batch, 0.01)[0], 1e-6)
    assert loss(theta, shape, batch, 0.01)[1] == pytest.approx(numeric, abs=1e-5)


def test_three_tiers_have_a_scorer_each_but_the_top(tmp_path: Path) -> None:
    three = ladder("small", "middle", "large")
    runs: Runs = {}
    for i in range(60):
        asked = question(i, hard=i % 2 == 1)
        for tier, right in ((0, i % 2 == 0), (1, i % 4 != 1), (2, True)):
            runs[f"{tier}-{i}"] = run(asked, [tier], correct=right, ladder_=three)
    manifest = made("frugalgpt", tmp_path / "w", source(runs), budget_frac=0.9)
    thresholds = manifest.options["thresholds"]
    assert isinstance(thresholds, list)
    assert len(thresholds) == 2
    assert load(tmp_path / "w").take("quantiles", 2, 101).min() > 0
    assert figure(manifest, "cascade_cost_frac") < 1.1


def test_agreement_with_the_larger_tier_needs_no_outcomes(tmp_path: Path) -> None:
    runs: Runs = {}
    for i in range(40):
        asked, hard = question(i, hard=i % 2 == 1), i % 2 == 1
        runs[f"s-{i}"] = run(asked, [0], correct=None, answer="no" if hard else "yes")
        runs[f"l-{i}"] = run(asked, [1], correct=None, answer="Yes.")
    manifest = made("frugalgpt", tmp_path / "w", source(runs), label="agreement", budget_frac=0.8)
    assert figure(manifest, "auc") > 0.95
    assert "as the top tier did" in manifest.label


def test_a_probe_of_progress_needs_no_outcomes(tmp_path: Path) -> None:
    runs = {
        f"r{i}": run(question(i, hard=i % 2 == 1), [0], correct=None, indicators=[1 - i % 2])
        for i in range(60)
    }
    assert figure(made("probe", tmp_path / "w", source(runs), target="progress"), "auc") > 0.9


def test_percentiles_need_no_outcomes(tmp_path: Path) -> None:
    runs = {f"r{i}": run(f"q{i}", [0], correct=None, margins=[i / 100]) for i in range(100)}
    manifest = made(
        "isotonic", tmp_path / "w", source(runs), method="percentile", signal="mean_logprob"
    )
    point = manifest.threshold_for_share(0.25)
    # mean_logprob = margin - 1, margins 0 … 0.99
    assert point.threshold == pytest.approx(-0.75, abs=0.12)
    assert manifest.encoder is None


def test_isotonic_knots_never_fall(tmp_path: Path) -> None:
    runs = {
        f"r{i}": run(f"q{i}", [0], correct=(i * 7) % 100 < i, margins=[i / 100]) for i in range(100)
    }
    made("isotonic", tmp_path / "w", source(runs))
    weights = load(tmp_path / "w")
    x, y = weights.take("x", None), weights.take("y", None)
    curve = apply_knots(np.linspace(-1, 2, 50), x, y)
    assert np.all(np.diff(curve) >= 0)
    assert curve[0] < 0.3 < 0.7 < curve[-1]


def test_preference_pairs_train_a_router(tmp_path: Path) -> None:
    pairs = tuple(
        Pair(
            prompt=question(i, hard=i % 2 == 1),
            # half of them are written the other way round
            better=1 if i % 4 < 2 else 0,
            worse=0 if i % 4 < 2 else 1,
            share=0.5 if i % 5 == 0 else (0.0, 1.0, 1.0, 0.0)[i % 4],
        )
        for i in range(80)
    )
    given = Source(ladder=ladder(), pairs=pairs, description="pairs", digest="d")
    manifest = made("routellm-mf", tmp_path / "w", given)
    assert figure(manifest, "accuracy") > 0.9
    assert manifest.trained_on.runs == 0


@pytest.mark.parametrize(
    ("kind", "runs", "options", "said"),
    [
        ("probe", {f"r{i}": run(f"q{i}", [0], correct=True) for i in range(9)}, {}, "both are needed"),
        ("frugalgpt", {f"r{i}": run(f"q{i}", [1], correct=True) for i in range(9)}, {}, "0 tasks only"),
        ("routellm-mf", {f"r{i}": run(f"q{i}", [0], correct=True) for i in range(9)}, {}, "nobody can win"),
        ("isotonic", {f"r{i}": run(f"q{i}", [0], correct=True) for i in range(9)}, {}, "has a decisive_margin"),
        ("frugalgpt", {f"r{i}": run(f"q{i}", [0], correct=i % 2 == 0) for i in range(40)}, {"budget_frac": 0.5}, "answered by every tier"),
        ("probe", {f"r{i}": run(f"q{i}", [0], correct=None) for i in range(9)}, {}, "was scored"),
    ],
)  # fmt: skip
def test_logs_that_cannot_be_learned_from_say_why(
    kind: str, runs: Runs, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        made(kind, tmp_path / "w", source(runs), **options)
    assert caught.value.hint
    assert not (tmp_path / "w").exists()


def test_ties_only_are_no_training(tmp_path: Path) -> None:
    runs = {f"{t}-{i}": run(f"q{i}", [t], correct=True) for i in range(9) for t in (0, 1)}
    with pytest.raises(InvalidInput, match="are ties"):
        made("routellm-mf", tmp_path / "w", source(runs))


def test_runs_without_a_price_have_no_budget(tmp_path: Path) -> None:
    runs = predictable()
    for name, records in runs.items():
        end = records[-1].event
        assert isinstance(end, ev.RunFinished)
        unpriced = replace(end, totals=dataclasses.replace(end.totals, cost_usd=None))
        runs[name] = [*records[:-1], replace(records[-1], event=unpriced)]
    with pytest.raises(InvalidInput, match="no cost, so a budget means nothing"):
        made("frugalgpt", tmp_path / "w", source(runs), budget_frac=0.5)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"head": "deep"}, "head"), ({"unknown": 1}, "unknown"), ({"strength": -1}, "strength")],
)
def test_a_wrong_option_is_named(options: dict[str, Any], field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        made("probe", tmp_path / "w", **options)
    assert caught.value.field == field


def test_progress_rises_to_one_and_can_stop_the_training(tmp_path: Path) -> None:
    seen: list[float] = []
    train("probe", source(), tmp_path / "w", {}, progress=lambda share, _: seen.append(share))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def stop(share: float, text: str) -> None:
        if share > 0.5:
            raise RunCancelled("stopped")

    with pytest.raises(RunCancelled):
        train("probe", source(), tmp_path / "x", {}, progress=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_every_trainers_options_have_words_and_defaults() -> None:
    for trainer in TRAINERS.values():
        assert trainer.options()
        for field in trainer.options.model_fields.values():
            assert field.title
            assert field.description


def test_one_tier_is_nothing_to_route(tmp_path: Path) -> None:
    one = (TierSnapshot(name="only", model="m"),)
    runs = {f"r{i}": run(f"q{i}", [0], correct=True, ladder_=one) for i in range(9)}
    with pytest.raises(InvalidInput, match="two tiers or more"):
        made("routellm-mf", tmp_path / "w", source(runs))


def test_few_held_out_tasks_give_a_figure_without_an_interval() -> None:
    scores, targets = np.array([0.1, 0.4, 0.35, 0.8] * 4), np.array([0.0, 0.0, 1.0, 1.0] * 4)
    few = held_out_report(scores, targets, ["a", "b"] * 8, seed=0)
    assert (few["auc"].value, few["auc"].low, few["held_out_tasks"].value) == (0.75, None, 2.0)
    many = held_out_report(scores, targets, [str(n // 2) for n in range(16)], seed=0)
    assert many["auc"].low is not None
