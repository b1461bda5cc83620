"""RouteLLM: strong if P(strong wins) >= threshold, decided before the step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.errors import InvalidInput
from collab_core.learned.published import load_hf_classifier
from collab_core.policies.routellm import RouteLLM
from tests.collab_core.learned.tiny_models import tiny_classifier
from tests.collab_core.policies.routes import (
    DIM,
    build,
    context,
    killed_at_every_event,
    leaning,
    of,
    play,
    seen,
    store_weights,
    table,
)
from tests.collab_core.replies import acts, answers, ladder, tiers_asked


class Numbers:
    name, digest, stand_in = "by hand", "d", True

    def score(self, texts: tuple[str, ...]) -> tuple[float, ...]:
        return (0.0,) * len(texts)


def router(threshold: float = 0.5, reading: str = "trajectory") -> RouteLLM:
    return RouteLLM(scorer=Numbers(), threshold=threshold, reading=reading)  # type: ignore[arg-type]


def weights(folder: Path, **more: Any) -> Path:
    """P(strong) = sigmoid(40 * cosine with "stuck" - 4): large once something is stuck."""
    fields: dict[str, Any] = {
        "models": [[0.0], [1.0]],
        "projection": leaning("stuck").T,
        "bias": [-4.0],
        "classifier": [1.0],
    }
    options = {"reading": "last_message"} | more.pop("options", {})
    points = table((0.9, 0.1), (0.4, 0.5), (0.1, 1.0))
    return store_weights(
        folder / "w", "routellm-mf", fields, options=options, calibration=points, **more
    )


def test_a_score_at_the_threshold_is_strong() -> None:
    scores = [0.2, 0.6, 0.59, 0.61, 0.0, 1.0]
    tiers = [router(0.6).before_step(context(scores=(s,))).tier for s in scores]
    assert tiers == [0, 1, 0, 1, 0, 1]


def test_the_decision_tells_score_and_threshold() -> None:
    decision = router(0.6).before_step(context(scores=(0.75,)))
    assert (decision.score, decision.threshold, decision.reason) == (0.75, 0.6, "routed_up")
    assert "0.750, reaches 0.600, so t1 runs" in decision.why


def test_tiers_between_are_not_used() -> None:
    tiers = [router().before_step(context(scores=(s,), tiers=4)).tier for s in (0.1, 0.5, 0.9)]
    assert tiers == [0, 3, 3]


def test_the_native_reading_is_the_last_message() -> None:
    native = router(reading="last_message")
    assert native.before_texts(context()) == ("who?",)
    assert native.before_texts(context(steps=[seen("a page")])) == ("a page",)
    (adapted,) = router().before_texts(context(steps=[seen("a page")]))
    assert adapted.startswith("Question: who?\nSteps so far: 1\n")


@pytest.mark.parametrize(("share", "threshold"), [(0.1, 0.9), (0.5, 0.4), (0.45, 0.4), (1.0, 0.1)])
def test_a_target_share_is_looked_up(share: float, threshold: float, tmp_path: Path) -> None:
    weights(tmp_path)
    policy = build("routellm", tmp_path, weights="w", target_share=share)
    assert isinstance(policy, RouteLLM)
    assert policy.threshold == threshold
    given = build("routellm", tmp_path, weights="w", choose_by="threshold", threshold=0.77)
    assert isinstance(given, RouteLLM)
    assert given.threshold == 0.77


async def test_the_router_follows_what_the_tools_say(tmp_path: Path) -> None:
    weights(tmp_path)
    script = [
        acts(arguments='{"text": "fine"}'),
        acts(arguments='{"text": "stuck"}'),
        acts(arguments='{"text": "fine"}'),
        answers(),
    ]
    parameters = {"weights": "w", "choose_by": "threshold", "threshold": 0.5}
    terminal, journal, backend, _ = await play("routellm", tmp_path, script, parameters=parameters)
    # the last messages: the question, "noted fine", "noted stuck", "noted fine"
    assert tiers_asked(backend.requests) == ["small", "small", "large", "small"]
    scored = of(journal, ev.ScorerReturned)
    assert [event.step for event in scored] == [1, 2, 3, 4]
    assert all(event.stand_in and event.scorer == "by hand" for event in scored)
    started = of(journal, ev.StepStarted)
    assert [step.score for step in started] == [event.values[0] for event in scored]
    assert terminal.totals.scorer_calls == 4


async def test_killed_at_every_event_it_ends_the_same(tmp_path: Path) -> None:
    weights(tmp_path)
    replies = [
        acts(arguments='{"text": "stuck"}'),
        acts(arguments='{"text": "fine"}'),
        answers(),
    ]
    parameters = {"weights": "w", "choose_by": "threshold"}
    whole = await killed_at_every_event(
        "routellm", tmp_path, {"small": replies, "large": replies}, parameters=parameters
    )
    assert [step.tier for step in of(whole, ev.StepFinished)] == [0, 1, 0]


async def test_a_run_whose_weights_were_exchanged_does_not_go_on(tmp_path: Path) -> None:
    weights(tmp_path)
    script = [acts(arguments='{"text": "fine"}'), answers()]
    parameters = {"weights": "w", "choose_by": "threshold"}
    _, journal, _, _ = await play("routellm", tmp_path, script, parameters=parameters)
    (tmp_path / "w").rename(tmp_path / "old")
    weights(tmp_path, options={"reading": "last_message", "dim": 7})
    terminal, _, _, _ = await play(
        "routellm", tmp_path, script, journal.records[:-4], parameters=parameters
    )
    assert isinstance(terminal, ev.RunFailed)
    assert terminal.code == "non_deterministic_replay"


def test_another_reading_than_the_trained_one_is_refused(tmp_path: Path) -> None:
    weights(tmp_path)
    with pytest.raises(InvalidInput, match="calibrated on the reading 'last_message'"):
        build("routellm", tmp_path, weights="w", reading="trajectory")


def test_weights_for_another_ladder_fail_before_the_first_step(tmp_path: Path) -> None:
    weights(tmp_path)
    with pytest.raises(InvalidInput, match="trained for the ladder small"):
        build("routellm", tmp_path, weights="w", rungs=ladder("tiny", "huge"))


async def test_a_run_with_wrong_weights_fails_and_says_so(tmp_path: Path) -> None:
    for named, said in (("w", "no 'w' here"), ("../w", "no '../w' here"), ("", "choose what")):
        terminal, _, backend, _ = await play(
            "routellm", tmp_path, [answers()], parameters={"weights": named}
        )
        assert isinstance(terminal, ev.RunFailed)
        assert said in terminal.message
        assert not backend.requests


def test_agents_side_by_side_share_one_scorer(tmp_path: Path) -> None:
    weights(tmp_path)
    first, second = (build("routellm", tmp_path, weights="w") for _ in range(2))
    assert first.scorer is second.scorer


def test_a_damaged_tensor_is_refused(tmp_path: Path) -> None:
    fields = {"models": [[0.0], [1.0]], "projection": [[1.0]], "bias": [0.0], "classifier": [1.0]}
    store_weights(tmp_path / "w", "routellm-mf", fields)
    with pytest.raises(InvalidInput, match=f"'projection' is 1x1, not {DIM}x1"):
        build("routellm", tmp_path, weights="w")


def test_the_published_router_is_loaded_from_a_folder(tmp_path: Path) -> None:
    tiny_classifier(tmp_path / "bert", labels=3)
    policy = build("routellm", tmp_path, weights="bert", choose_by="threshold", threshold=0.3)
    assert isinstance(policy, RouteLLM)
    assert (policy.reading, policy.threshold) == ("last_message", 0.3)
    with pytest.raises(InvalidInput, match="says nothing of the share"):
        build("routellm", tmp_path, weights="bert")


def test_a_published_routers_share_comes_from_its_table(tmp_path: Path) -> None:
    classifier = load_hf_classifier(tiny_classifier(tmp_path / "bert", labels=3), "routellm")
    options = {"reading": "trajectory", "classifier_digest": classifier.digest}
    points = table((0.37, 0.2), (0.31, 0.8))
    for name, changed in (("t", {}), ("other", {"classifier_digest": "0"})):
        store_weights(
            tmp_path / name,
            "routellm-table",
            {"scores": [0.0]},
            encoder=None,
            options=options | changed,
            calibration=points,
        )
    policy = build("routellm", tmp_path, weights="bert", table="t", target_share=0.9)
    assert isinstance(policy, RouteLLM)
    assert (policy.reading, policy.threshold) == ("trajectory", 0.31)
    with pytest.raises(InvalidInput, match="for another classifier"):
        build("routellm", tmp_path, weights="bert", table="other")


def test_the_policy_has_no_state() -> None:
    assert dataclasses.is_dataclass(RouteLLM)
    assert RouteLLM.__dataclass_params__.frozen  # type: ignore[attr-defined]
