"""Arms of one strategy that differ in one number only: its sweep (AgentCollab Figure 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from collab_core.experiments.definition import Arm
from collab_core.experiments.table import Measured, Row
from collab_core.strategies.registry import find, parse_parameters

Frozen = tuple[Any, ...]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter's values, rising, and what each gave; all lists have one entry a value."""

    strategy: str
    ladder: str
    parameter: str
    title: str
    """The parameter's, for people."""
    values: tuple[float, ...]
    arms: tuple[str, ...]
    figures: dict[str, tuple[Measured, ...]]
    """By column; only columns that every arm has."""
    others: dict[str, Any]
    """The parameters that all arms of the series share, defaults filled in."""


def sweeps(arms: Sequence[Arm], rows: Sequence[Row]) -> tuple[Series, ...]:
    """Return every series of at least two arms that share strategy, ladder and all parameters but
    one, which is a number; a parameter left out has its default.

    In a grid of two parameters an arm is in a series of each. Arms without a row are left out.

    Raises:
        InvalidInput: an arm's strategy or a parameter is unknown.
    """
    by_arm = {row.arm: row for row in rows}
    filled = [(arm, _filled(arm)) for arm in arms if arm.label in by_arm]
    return tuple(
        _series(name, group, by_arm)
        for name, group in _groups(filled)
        if len({parameters[name] for _, parameters in group}) == len(group) > 1
    )


def _filled(arm: Arm) -> dict[str, Any]:
    return parse_parameters(arm.strategy, arm.parameters).model_dump()


def _groups(
    filled: Sequence[tuple[Arm, dict[str, Any]]],
) -> Iterator[tuple[str, list[tuple[Arm, dict[str, Any]]]]]:
    """Yield (parameter, arms alike in all others) for every parameter that is a number."""
    groups: dict[tuple[str, Frozen], list[tuple[Arm, dict[str, Any]]]] = defaultdict(list)
    for arm, parameters in filled:
        for name, value in parameters.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                alike = (arm.strategy, arm.ladder, _frozen(_without(parameters, name)))
                groups[name, alike].append((arm, parameters))
    for (name, _), group in groups.items():
        yield name, group


def _without(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key != name}


def _frozen(value: Any) -> Any:
    """Return the value as something that can be a key."""
    if isinstance(value, Mapping):
        return tuple(sorted((key, _frozen(each)) for key, each in value.items()))
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _series(
    name: str, group: Sequence[tuple[Arm, dict[str, Any]]], rows: Mapping[str, Row]
) -> Series:
    ordered = sorted(group, key=lambda pair: float(pair[1][name]))
    first, parameters = ordered[0]
    own = [rows[arm.label] for arm, _ in ordered]
    common = [
        column
        for column in own[0].figures
        if all(row.figure(column).value is not None for row in own)
    ]
    return Series(
        strategy=first.strategy,
        ladder=first.ladder,
        parameter=name,
        title=find(first.strategy).parameters.model_fields[name].title or name,
        values=tuple(float(parameters[name]) for _, parameters in ordered),
        arms=tuple(arm.label for arm, _ in ordered),
        figures={column: tuple(row.figures[column] for row in own) for column in common},
        others=_without(parameters, name),
    )
