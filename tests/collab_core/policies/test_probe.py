"""The probe: the top tier if the need of help reaches the threshold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collab_core import events as ev
from collab_core.domain import Task
from collab_core.errors import InvalidInput
from collab_core.learned.trainer import Source
from collab_core.learned.training import train
from collab_core.policies.probe import Probe
from tests.collab_core.learned.worlds import logs, predictable, question
from tests.collab_core.policies.routes import (
    build,
    context,
    killed_at_every_event,
    leaning,
    of,
    play,
    store_weights,
    table,
)
from tests.collab_core.replies import acts, answers, tiers_asked


def weights(folder: Path, **more: Any) -> Path:
    fields = {"weights": leaning("stuck"), "biases": [-4.0]}
    given = {"options": {"head": "logistic"}, "calibration": table((0.8, 0.25), (0.2, 0.75))}
    return store_weights(folder / "w", "probe", fields, **{**given, **more})


@pytest.mark.parametrize(("share", "threshold"), [(0.0, 0.8), (0.4, 0.8), (0.6, 0.2)])
def test_a_target_share_is_looked_up(share: float, threshold: float, tmp_path: Path) -> None:
    weights(tmp_path)
    policy = build("probe", tmp_path, weights="w", target_share=share)
    assert isinstance(policy, Probe)
    assert policy.threshold == threshold
    tiers = [policy.before_step(context(scores=(s,))).tier for s in (threshold - 0.01, threshold)]
    assert tiers == [0, 1]


def test_it_reads_the_trajectory(tmp_path: Path) -> None:
    weights(tmp_path)
    policy = build("probe", tmp_path, weights="w")
    assert policy.before_texts(context()) == ("Question: who?\nSteps so far: 0",)


def test_a_ridge_head_is_not_squeezed_into_a_probability(tmp_path: Path) -> None:
    fields = {"weights": leaning("stuck", 0.0), "biases": [-3.5]}
    store_weights(tmp_path / "w", "probe", fields, options={"head": "ridge"})
    policy = build("probe", tmp_path, weights="w", choose_by="threshold", threshold=-4.0)
    assert policy.scorer is not None
    assert policy.scorer.score(("anything",)) == (-3.5,)


def test_no_table_means_no_share(tmp_path: Path) -> None:
    weights(tmp_path, calibration=())
    with pytest.raises(InvalidInput, match="no calibration table"):
        build("probe", tmp_path, weights="w")


async def test_a_trained_probe_sends_the_hard_task_up(tmp_path: Path) -> None:
    train("probe", Source.of_logs(logs(predictable())), tmp_path / "w", {}, encoder="hashed")
    for number, hard in ((901, True), (902, False)):
        _, _, backend, _ = await play(
            "probe",
            tmp_path,
            [acts(arguments='{"text": "x"}'), answers()],
            task=Task(question=question(number, hard=hard)),
            parameters={"weights": "w", "choose_by": "threshold", "threshold": 0.5},
        )
        assert tiers_asked(backend.requests)[0] == ("large" if hard else "small")


async def test_killed_at_every_event_it_ends_the_same(tmp_path: Path) -> None:
    weights(tmp_path)
    replies = [
        acts(arguments='{"text": "stuck stuck stuck stuck stuck stuck"}'),
        acts(arguments='{"text": "fine"}'),
        answers(),
    ]
    parameters = {"weights": "w", "choose_by": "threshold"}
    whole = await killed_at_every_event(
        "probe", tmp_path, {"small": replies, "large": replies}, parameters=parameters
    )
    assert [step.tier for step in of(whole, ev.StepFinished)] == [0, 1, 1]
