from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from collab_core.experiments.records import Facts, Trace
from tests.webapp.experiments.material import make_experiment
from tests.webapp.personas import Room
from webapp.experiments import results
from webapp.experiments.models import Experiment, ResultCache, Trial, TrialState

pytestmark = pytest.mark.django_db


def done(made: Experiment, *, right: Callable[[Trial], bool]) -> None:
    """Let every trial of the experiment have ended after two steps of a second each."""
    facts = Facts(steps=2, moves=1, latency_s=2.0, output_tokens=20, model_calls=2, checks=2)
    trace = Trace(
        tiers=(0, 0),
        scopes=("", ""),
        latency_s=(1.0, 1.0),
        cumulative_s=(1.0, 2.0),
        output_tokens=(10, 10),
        decode_s=(0.5, 0.5),
        verdicts=(1, 0),
        top=1,
    )
    for trial in made.trials.select_related("arm", "task"):
        trial.state = TrialState.DONE
        trial.outcome = "correct" if right(trial) else "incorrect"
        trial.facts = msgspec.json.encode(facts).decode()
        trial.trace = msgspec.json.encode(trace).decode()
        trial.save()
    Experiment.objects.filter(pk=made.pk).update(status="finished", revision=made.revision + 1)
    made.refresh_from_db()


def figures(made: Experiment, baseline: str = "") -> Any:
    return msgspec.json.decode(results.body(made, baseline))


def test_every_part_of_the_page_is_there(room: Room) -> None:
    made = make_experiment(room, tasks=6, published="agentcollab-table-1-ddv2-browsecomp-zh")
    done(made, right=lambda trial: trial.arm.label == "large")
    found = figures(made)
    accuracy = [row["figures"]["accuracy"]["value"] for row in found["table"]["rows"]]
    assert accuracy == [0.0, 1.0]
    assert all(row["published"] for row in found["published"]["rows"])
    assert [test["measure"] for test in found["tests"]] == ["accuracy", "latency_s"]
    assert set(found["frontiers"]) == {"speedup"}
    assert set(found["difficulty"]) == {"label", "latency_s", "steps"}
    assert [curve["arm"] for curve in found["curves"]["step"]] == ["agentcollab", "large"]
    assert [split["arm"] for split in found["splits"]] == ["agentcollab", "large"]


def test_arms_that_differ_in_one_number_are_a_sweep(room: Room) -> None:
    arms = [
        {
            "label": f"k={growth}",
            "strategy": "agentcollab",
            "ladder": room.ladder.name,
            "parameters": {"growth": growth},
        }
        for growth in (0, 1, 2)
    ]
    made = make_experiment(room, arms=arms, baseline="k=0")
    done(made, right=lambda _: True)
    (series,) = figures(made)["sweeps"]
    assert (series["parameter"], series["values"]) == ("growth", [0, 1, 2])


def test_what_is_kept_is_used_until_a_trial_changes(room: Room) -> None:
    made = make_experiment(room, tasks=2)
    done(made, right=lambda _: True)
    first = results.body(made)
    Trial.objects.update(outcome="incorrect")
    assert results.body(made) == first, "nobody said that anything has changed"
    Experiment.objects.update(revision=made.revision + 1)
    made.refresh_from_db()
    assert figures(made)["table"]["rows"][0]["figures"]["accuracy"]["value"] == 0.0


def test_another_baseline_is_computed_and_not_kept(room: Room) -> None:
    made = make_experiment(room, tasks=2)
    done(made, right=lambda _: True)
    assert figures(made, "agentcollab")["table"]["baseline"] == "agentcollab"
    assert not ResultCache.objects.exists()
    assert figures(made)["table"]["baseline"] == "large"


def test_an_ended_experiment_is_computed_before_somebody_asks(room: Room) -> None:
    made = make_experiment(room, tasks=2)
    done(made, right=lambda _: True)
    Experiment.objects.update(finished_at="2999-01-01T00:00:00Z")
    results.warm()
    assert ResultCache.objects.filter(experiment=made, revision=made.revision).count() == 2


def test_an_experiment_of_nothing_yet_has_an_empty_table(room: Room) -> None:
    found = figures(make_experiment(room))
    assert found["tests"] == []
    assert [row["open"] for row in found["table"]["rows"]] == [3, 3]
