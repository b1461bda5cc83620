"""What the names in a definition stand for on the machine that runs it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from collab_core.backends.base import Backend
from collab_core.benchmarks.graders.base import Means
from collab_core.benchmarks.tasks import BenchmarkTask
from collab_core.domain import Ladder, Limits
from collab_core.errors import InvalidInput
from collab_core.experiments.definition import Arm, Definition
from collab_core.learned.published import is_classifier
from collab_core.learned.store import read_manifest
from collab_core.simulator.direct import DirectBackend
from collab_core.simulator.presets import SimulatedModel, ladder, load_preset
from collab_core.strategies.base import Resources
from collab_core.strategies.registry import find, parse_parameters
from collab_core.tools.registry import RunTools

NOWHERE = "http://127.0.0.1:9/v1"
"""The address of models that run in process: nothing listens on the discard port."""


def standing_still() -> float:
    """Return no time at all: the clock of runs whose models' time is computed."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A ladder and who answers for it."""

    ladder: Ladder
    backend: Callable[[], Backend]
    """Called once a trial."""
    shared: bool = False
    """It returns the same one each time, and somebody else closes it."""
    clock: Callable[[], float] = time.monotonic
    knobs: str = ""
    """Digest of what else decides the replies: the knobs of simulated models."""


def simulated(preset: str, models: Sequence[SimulatedModel] = ()) -> Rig:
    """Return the rig of a preset in process: no server, no waiting, times computed.

    ``models`` stand in for the preset's own. Only the models take time: tools, scorers and the engine
    take none.

    Raises:
        InvalidInput: there is no such preset.
    """
    chosen = tuple(models) or load_preset(preset).models
    return Rig(
        ladder=ladder(preset, NOWHERE),
        backend=lambda: DirectBackend(chosen),
        clock=standing_still,
        knobs=hashlib.sha256(msgspec.json.encode(chosen)).hexdigest(),
    )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """All that a definition names, found and checked."""

    tasks: tuple[BenchmarkTask, ...]
    """The chosen ones."""
    rigs: Mapping[str, Rig]
    """By the name of the ladder."""
    tools: RunTools
    resources: Resources = field(default_factory=Resources)
    graders: Means = field(default_factory=Means)
    """For answers that a judge, a critic or the sandbox has to grade after the run."""


def limits_of(definition: Definition) -> Limits:
    """Return the limits of every trial.

    Raises:
        InvalidInput: there is no such limit, or it is not a number in range.
    """
    known = {item.name for item in fields(Limits)}
    if unknown := set(definition.limits) - known:
        raise InvalidInput(
            f"There is no limit {sorted(unknown)[0][:60]!r}.",
            field="limits",
            hint=f"There are: {', '.join(sorted(known))}.",
        )
    try:
        limits = msgspec.convert(definition.limits, Limits)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"limits: {error}.", field="limits") from error
    for name, value in definition.limits.items():
        if value is not None and value <= 0:
            raise InvalidInput(f"limits: {name} must be above 0, not {value}.", field="limits")
    return limits


def check(definition: Definition, setting: Setting) -> None:
    """Find what is wrong with any arm before the first trial begins.

    Raises:
        InvalidInput: naming the arm: an unknown ladder or strategy, wrong parameters, or weights that
            are missing or made for other models.
    """
    limits_of(definition)
    for arm in definition.arms:
        try:
            _check_arm(arm, setting)
        except InvalidInput as error:
            raise InvalidInput(
                f"Arm {arm.label}: {error.message}", field=f"arms.{arm.label}", hint=error.hint
            ) from error


def _check_arm(arm: Arm, setting: Setting) -> None:
    if arm.ladder not in setting.rigs:
        raise InvalidInput(
            f"there is no ladder {arm.ladder!r} here.",
            hint="Give --simulated with a preset of that name, or --ladder and --tier.",
        )
    parameters = parse_parameters(arm.strategy, arm.parameters)
    strategy, rungs = find(arm.strategy), setting.rigs[arm.ladder].ladder
    if strategy.policy is not None:
        strategy.policy(parameters, rungs, setting.resources)
    elif strategy.method is not None:
        strategy.method(parameters, rungs, setting.resources)


def fingerprint(definition: Definition, setting: Setting) -> dict[str, str]:
    """Return what else than the definition decides the results, by name; the same gives the same.

    Addresses, prices and keys are not in it.
    """
    marks = {"tasks": _digest([msgspec.to_builtins(task) for task in setting.tasks])}
    for name in sorted({arm.ladder for arm in definition.arms}):
        rig = setting.rigs[name]
        models = [(tier.name, tier.model, tier.simulated) for tier in rig.ladder.tiers]
        marks[f"ladder {name}"] = _digest([models, rig.knobs])
    marks["tools"] = _digest([(t.name, t.description, t.parameters) for t in setting.tools.tools])
    for arm in definition.arms:
        for reference in _loaded(arm):
            marks[f"weights {reference}"] = _weights_digest(reference, setting.resources)
    return marks


def _loaded(arm: Arm) -> list[str]:
    """Return the weights that the arm's parameters name."""
    declared = find(arm.strategy).parameters.model_fields
    named = []
    for name, value in arm.parameters.items():
        extra: Any = declared[name].json_schema_extra if name in declared else None
        if value and isinstance(extra, dict) and "weights" in extra:
            named.append(str(value))
    return named


def _weights_digest(reference: str, resources: Resources) -> str:
    folder = resources.locate(reference, field="weights")
    if is_classifier(folder):
        return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    return read_manifest(folder).digest


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
