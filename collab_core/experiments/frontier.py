"""Which arms no other arm beats in both of two figures: the Pareto frontier."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collab_core.errors import InvalidInput
from collab_core.experiments.columns import COLUMNS, Column
from collab_core.experiments.table import Measured, Row


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """An arm in the plane of two figures."""

    arm: str
    x: Measured
    y: Measured
    on_frontier: bool
    dominated_by: tuple[str, ...] = ()
    """Arms at least as good in both figures and better in one."""
    simulated: bool = False
    stand_in: bool = False
    published: bool = False


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """What can be had: ``line`` are the frontier's points by rising x.

    Where more x is better (speedup) it falls: at each x, the best y of any arm at least that good.
    Where less is better (cost) it rises.
    """

    x: str
    y: str
    points: tuple[Point, ...]
    line: tuple[tuple[float, float], ...]
    left_out: tuple[str, ...] = ()
    """Arms without one of the two figures."""


def frontier(rows: Sequence[Row], *, x: str = "speedup", y: str = "accuracy") -> Frontier:
    """Return the rows as points, and which of them no other row beats.

    Points are compared by their values alone, whatever their intervals: two arms whose intervals
    overlap may well change places.

    Raises:
        InvalidInput: x or y is no column, or none of which more or less is better.
    """
    across, up = _directed(x, field="x"), _directed(y, field="y")
    known = [row for row in rows if None not in (row.figure(x).value, row.figure(y).value)]
    places = [(_sign(across, row.figure(x)), _sign(up, row.figure(y))) for row in known]
    points = tuple(_point(known, places, n, x, y) for n in range(len(known)))
    line = {(p.x.value or 0.0, p.y.value or 0.0) for p in points if p.on_frontier}
    return Frontier(
        x=x,
        y=y,
        points=points,
        line=tuple(sorted(line)),
        left_out=tuple(row.arm for row in rows if row not in known),
    )


def _directed(name: str, *, field: str) -> Column:
    column = COLUMNS.get(name)
    if column is None or not column.better:
        known = ", ".join(c.name for c in COLUMNS.values() if c.better)
        raise InvalidInput(
            f"{name[:60]!r} is nothing of which more or less is better.",
            field=field,
            hint=f"Choose one of: {known}.",
        )
    return column


def _sign(column: Column, figure: Measured) -> float:
    """Return the figure so that more is better."""
    value = figure.value or 0.0
    return value if column.better == "more" else -value


def _point(
    rows: Sequence[Row], places: Sequence[tuple[float, float]], n: int, x: str, y: str
) -> Point:
    row, here = rows[n], places[n]
    better = tuple(
        other.arm
        for other, there in zip(rows, places, strict=True)
        if there[0] >= here[0] and there[1] >= here[1] and there != here
    )
    return Point(
        arm=row.arm,
        x=row.figure(x),
        y=row.figure(y),
        on_frontier=not better,
        dominated_by=better,
        simulated=row.simulated,
        stand_in=row.stand_in,
        published=row.published,
    )
