"""AgentCollab's Table 1 on simulated models: boundary runs, routers, evaluation, what was missed.

Source: AgentCollab (arXiv 2603.26034) Tables 1 and 2, BrowseComp_zh. The models were fitted to the rows
Small and Large alone; all other rows come out as they come out. docs/paper-table-1.md has the
procedure in words.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from collab_core import __version__
from collab_core.experiments import shipped
from collab_core.experiments.definition import Definition, build
from collab_core.experiments.folder import TRIALS_FOLDER, file_name, read_trials
from collab_core.experiments.local import Means
from collab_core.experiments.published import find
from collab_core.experiments.records import Trial
from collab_core.experiments.runner import RunOptions
from collab_core.experiments.table import Table, table
from collab_core.learned.logs import read_logs
from collab_core.learned.store import Manifest, read_manifest
from collab_core.learned.trainer import Source
from collab_core.learned.training import train

TRAINING_WORLDS = ("world-2002", "world-2003")
"""Seeds of their own: no task and no document of the evaluation or the calibration is in them."""
LARGE_SHARE = 0.5
"""Of steps (RouteLLM) and of passed-on drafts (FrugalGPT) on the calibration split, as Random has; set
before anything was measured, because the paper gives none."""
ROUTERS = {"routellm": "routellm-mf", "frugalgpt": "frugalgpt"}
GOAL_POINTS = 3.0
GOAL_SPEEDUP = 0.15

RunExperiment = Callable[[Definition, Means, Path, RunOptions], Any]
"""Runs a definition to its end in a folder."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A published row: accuracy in %, speedup against Large; None = not published."""

    accuracy: float
    speedup: float | None = None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to read the table: which agent, which pair of models, which published rows."""

    name: str
    agent: str
    ladder: str
    published: dict[str, Goal]


def _goals(name: str, small: str, large: str, **others: tuple[str, str]) -> dict[str, Goal]:
    """Return a published Table 1 by the labels of our arms; ``others``: from which table and row."""
    same = ("Random", "RouteLLM", "FrugalGPT", "AgentCollab")
    places = {"Small": (name, small), "Large": (name, large), **{arm: (name, arm) for arm in same}}
    return {arm: _goal(*place) for arm, place in (places | others).items()}


def _goal(name: str, arm: str) -> Goal:
    row = next(row for row in find(name).table.rows if row.arm == arm)
    accuracy = row.figure("accuracy").value
    assert accuracy is not None
    return Goal(accuracy=round(100 * accuracy, 2), speedup=row.figure("speedup").value)


_STATIC = {"AgentCollab (static)": ("agentcollab-table-2", "AgentCollab (static)")}
DDV2 = _goals("agentcollab-table-1-ddv2-browsecomp-zh", "Small 7B", "Large 38B", **_STATIC)
WEBSAILOR = _goals("agentcollab-table-1-websailor-browsecomp-zh", "Small 7B", "Large 32B")
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(name="ddv2", agent="react", ladder="ddv2-7b-38b", published=DDV2),
        Variant(name="websailor", agent="react", ladder="websailor-7b-32b", published=WEBSAILOR),
    )
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much to run."""

    tasks: int | None = None
    """None = all."""
    seeds: int = 3
    training_tasks: int | None = None
    """Of each training world; None = all."""
    parallel: int = 8


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """What a learned router cost and how well it does where it was not trained."""

    name: str
    kind: str
    label: str
    encoder: str
    stand_in: bool
    runs: int
    tasks: int
    splits: dict[str, int]
    target_share: float
    held_out: dict[str, float | None]
    trained_s: float | None
    """Wall seconds of the training on this machine, without the runs; None = not kept."""


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """How far a row is from the published one; None = nothing to compare."""

    arm: str
    accuracy_points: float | None
    speedup: float | None
    within: bool | None
    """Within 3 points and 0.15x, as far as both are published; None = neither is."""


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """One variant's table beside the published one."""

    variant: str
    agent: str
    ladder: str
    made: str
    version: str
    tasks: int
    seeds: int
    simulated: bool
    table: Table
    published: dict[str, Goal]
    compared: tuple[Miss, ...]
    routers: tuple[Router, ...]
    boundary_runs: int
    boundary_s: float
    """Simulated seconds of model time that the routers' training runs took."""
    boundary_usd: float | None
    wall_s: float
    """Of this call; a resumed one made only what was left."""


def reproduce(variant: Variant, out: Path, size: Size, run: RunExperiment) -> Reproduction:
    """Make what is missing in ``out`` and return the table; a later call goes on where one stopped.

    Raises:
        InvalidInput: a size is out of range, or ``out`` holds something else.
    """
    began = time.monotonic()
    means = Means(cache=out / "worlds", simulated="", weights=out / variant.name / "weights")
    options = RunOptions(parallel=size.parallel, synced=False)
    place = out / variant.name
    boundary: list[Trial] = []
    for world in TRAINING_WORLDS:
        run(_boundary(variant, world, size), means, place / world, options)
        boundary += [trial for trial, _ in read_trials(place / world)[1]]
    routers = tuple(_router(name, place) for name in ROUTERS)
    definition = evaluation(variant, size)
    run(definition, means, place / "evaluation", options)
    trials = [trial for trial, _ in read_trials(place / "evaluation")[1]]
    made = table(trials, arms=[a.label for a in definition.arms], baseline=definition.baseline)
    spent = [trial.facts for trial in boundary if trial.facts]
    costs = [facts.cost_usd for facts in spent]
    return Reproduction(
        variant=variant.name,
        agent=variant.agent,
        ladder=variant.ladder,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        tasks=made.tasks,
        seeds=made.seeds,
        simulated=made.simulated,
        table=made,
        published=variant.published,
        compared=tuple(compare(made, variant.published)),
        routers=routers,
        boundary_runs=len(boundary),
        boundary_s=sum(facts.latency_s for facts in spent),
        boundary_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        wall_s=time.monotonic() - began,
    )


def evaluation(variant: Variant, size: Size) -> Definition:
    """Return the shipped definition on the variant's agent and models."""
    values = shipped.load("paper-table-1").model_dump(mode="json")
    for arm in values["arms"]:
        arm["ladder"] = variant.ladder
        arm["parameters"]["agent"] = variant.agent
    values["tasks"]["count"] = size.tasks
    values["seeds"] = list(range(size.seeds))
    return build(values)


def _boundary(variant: Variant, world: str, size: Size) -> Definition:
    values = evaluation(variant, size).model_dump(mode="json")
    values["name"] = f"{variant.name}-boundary-{world}"
    values["arms"] = [arm for arm in values["arms"] if arm["label"] in ("Small", "Large")]
    values["tasks"] = {"name": world, "count": size.training_tasks}
    return build(values | {"collection": world, "seeds": [0]})


def _router(name: str, place: Path) -> Router:
    """Train what is not there yet."""
    folder, notes = place / "weights" / name, place / "weights" / f"{name}.seconds"
    if not folder.exists():
        logs = [
            place / world / TRIALS_FOLDER / file_name(label)
            for world in TRAINING_WORLDS
            for label in ("Small", "Large")
        ]
        folder.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        train(ROUTERS[name], Source.of_logs(read_logs(logs)), folder, {}, encoder="hashed")
        notes.write_text(f"{time.monotonic() - began:.1f}", encoding="utf-8")
    seconds = float(notes.read_text(encoding="utf-8")) if notes.exists() else None
    return _described(name, read_manifest(folder), seconds)


def _described(name: str, manifest: Manifest, seconds: float | None) -> Router:
    encoder = manifest.encoder
    return Router(
        name=name,
        kind=manifest.kind,
        label=manifest.label,
        encoder=encoder.name if encoder else "",
        stand_in=bool(encoder and encoder.stand_in),
        runs=manifest.trained_on.runs,
        tasks=manifest.trained_on.tasks,
        splits=dict(manifest.trained_on.splits),
        target_share=LARGE_SHARE,
        held_out={key: figure.value for key, figure in manifest.report.items()},
        trained_s=seconds,
    )


def compare(made: Table, published: dict[str, Goal]) -> list[Miss]:
    """Return each row's distance from the published one, ours less theirs."""
    found = []
    for row in made.rows:
        goal = published.get(row.arm)
        accuracy, speedup = row.figure("accuracy").value, row.figure("speedup").value
        points = None if goal is None or accuracy is None else 100 * accuracy - goal.accuracy
        times = (
            None
            if goal is None or goal.speedup is None or speedup is None
            else speedup - goal.speedup
        )
        found.append(
            Miss(
                arm=row.arm,
                accuracy_points=points,
                speedup=times,
                within=_within((points, GOAL_POINTS), (times, GOAL_SPEEDUP)),
            )
        )
    return found


def _within(*distances: tuple[float | None, float]) -> bool | None:
    known = [abs(distance) <= most for distance, most in distances if distance is not None]
    return all(known) if known else None
