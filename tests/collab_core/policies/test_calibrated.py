"""Decisions by hand: a model that reads one feature, so P(progress) is known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from collab_core.domain import StepRecord
from collab_core.errors import InvalidInput
from collab_core.learned.progress_model import (
    AS_OFTEN_KEY,
    CALIBRATED,
    FEATURES_KEY,
    LOGPROB,
    NAMES,
)
from collab_core.policies.agentcollab import AgentCollab
from collab_core.policies.calibrated import Calibrated
from tests.collab_core.policies.routes import build, context, store_weights, table
from tests.collab_core.replies import ladder
from tests.collab_core.review.labelled import step

HITS = "[d1] Ann\n    a town"


def stored(folder: Path, weights: dict[str, float], *, bias: float = 0.0, **more: Any) -> None:
    tensors = {
        "weights": [weights.get(name, 0.0) for name in NAMES],
        "means": [0.0] * len(NAMES),
        "scales": [1.0] * len(NAMES),
        "bias": [bias],
    }
    fields = {"options": {FEATURES_KEY: list(NAMES), AS_OFTEN_KEY: 0.4}, **more}
    store_weights(folder / "w", CALIBRATED, tensors, rungs=ladder("t0", "t1"), **fields)


def policy(folder: Path, **raw: Any) -> Calibrated:
    made = build(
        "agentcollab-calibrated",
        folder,
        rungs=ladder("t0", "t1"),
        **{"weights": "w", "warm_up_steps": 0, **raw},
    )
    assert isinstance(made, Calibrated)
    return made


def walk(policy: AgentCollab, steps: list[StepRecord]) -> list[tuple[int, str, float | None]]:
    """Return the decision before each step and after the last."""
    found = []
    for count in range(len(steps) + 1):
        decision = policy.before_step(context(steps=steps[:count]))
        found.append((decision.tier, decision.reason, decision.score))
        if count < len(steps):
            policy.after_observation(context(steps=steps[: count + 1]), steps[count])
    return found


def test_a_step_that_only_says_progress_escalates(tmp_path: Path) -> None:
    # P = sigmoid(2 repeated-judged * -2 + 1)
    stored(tmp_path, {"judged_repeated": -2.0}, bias=1.0)
    again = [step(observation=HITS), step(), step()]
    found = walk(policy(tmp_path, choose_by="threshold", threshold=0.5), again)
    right, wrong = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(1))
    assert [one[:2] for one in found] == [(0, "default")] * 3 + [(1, "escalated")]
    assert [one[2] for one in found] == [None, *map(pytest.approx, (right, right, wrong))]


def test_a_stall_that_made_progress_does_not(tmp_path: Path) -> None:
    stored(tmp_path, {"new_documents": 4.0})
    found = walk(policy(tmp_path), [step(0, observation=HITS)])
    assert [one[:2] for one in found] == [(0, "default"), (0, "default")]


def test_progress_above_gives_control_back(tmp_path: Path) -> None:
    stored(tmp_path, {"verdict_stall": -3.0}, bias=1.0)
    found = walk(policy(tmp_path), [step(0), step(1)])
    assert [one[:2] for one in found] == [(0, "default"), (1, "escalated"), (0, "restored")]


def test_the_warm_up_shows_documents_that_are_no_news_later(tmp_path: Path) -> None:
    stored(tmp_path, {"new_documents": 4.0}, bias=-1.0)
    steps = [step(observation=HITS), step(observation=HITS)]
    warm = policy(tmp_path, warm_up_steps=1)
    warmed = [
        StepRecord(**{**vars_of(steps[0]), "decision": warm.before_step(context())}),
        steps[1],
    ]
    found = walk(policy(tmp_path, warm_up_steps=1), warmed)
    assert [one[1] for one in found] == ["warm_up", "restored", "escalated"]
    assert found[2][2] == pytest.approx(1 / (1 + math.e))


def vars_of(record: StepRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def test_the_decision_says_what_it_went_by(tmp_path: Path) -> None:
    stored(tmp_path, {}, bias=-1.0)
    chosen = policy(tmp_path)
    first = step(1)
    chosen.after_observation(context(steps=[first]), first)
    decision = chosen.before_step(context(steps=[first]))
    assert (decision.threshold, decision.budget) == (0.4, 4)
    assert decision.why.endswith("P(progress) of the last step was 0.27, under 0.40.")


@pytest.mark.parametrize(
    ("raw", "threshold"),
    [
        ({}, 0.4),
        ({"choose_by": "threshold", "threshold": 0.7}, 0.7),
        ({"choose_by": "target_share", "target_share": 0.45}, 0.6),
    ],
)
def test_the_threshold_is_chosen_in_three_ways(
    raw: dict[str, Any], threshold: float, tmp_path: Path
) -> None:
    stored(tmp_path, {}, calibration=table((0.2, 0.1), (0.6, 0.5)))
    assert policy(tmp_path, **raw).threshold == threshold


def test_log_probabilities_are_asked_for_only_where_the_weights_read_them(tmp_path: Path) -> None:
    stored(tmp_path, {})
    assert not policy(tmp_path).before_step(context()).logprobs
    stored(tmp_path / "b", {NAMES[LOGPROB]: 1.0})
    assert policy(tmp_path / "b").before_step(context()).logprobs


def test_an_unknown_log_probability_is_an_average_one(tmp_path: Path) -> None:
    stored(tmp_path, {NAMES[LOGPROB]: 9.0})
    model = policy(tmp_path).model
    chosen = policy(tmp_path)
    for record in (step(), step(mean_logprob=0.0)):
        chosen.after_observation(context(steps=[record]), record)
        assert chosen.before_step(context(steps=[record])).score == 0.5
    assert model.reads_logprob


def test_weights_of_another_version_or_without_a_threshold_are_refused(tmp_path: Path) -> None:
    stored(tmp_path, {}, options={FEATURES_KEY: ["verdict"]})
    with pytest.raises(InvalidInput, match="other features"):
        policy(tmp_path)
    stored(tmp_path / "b", {}, options={FEATURES_KEY: list(NAMES)})
    with pytest.raises(InvalidInput, match="as_often"):
        policy(tmp_path / "b")
