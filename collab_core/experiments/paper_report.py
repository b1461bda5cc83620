"""The paper's table beside ours, as Markdown: every figure with its interval, every miss named."""

from __future__ import annotations

from collections.abc import Sequence

from collab_core.experiments.paper import GOAL_POINTS, GOAL_SPEEDUP, Goal, Reproduction, Router
from collab_core.experiments.table import Measured, Row

_SIMULATED = "All models are simulated; the published rows are of real ones on other tasks.\n"
_HEAD = (
    "strategy",
    "accuracy %, 95 %",
    "published",
    "off",
    "speedup, 95 %",
    "published",
    "off",
    "large steps",
    "steps",
    "goal",
)


def markdown(made: Reproduction) -> str:
    """Return the whole report; every line of it is about simulated models."""
    made_of = f"{made.tasks} tasks, {made.seeds} seeds"
    parts = [
        f"### {made.variant}: {made.agent} agent on {made.ladder} (simulated)\n",
        f"Made {made.made} by version {made.version}: {made_of}.\n",
        _SIMULATED,
        _grid([_HEAD, *(_cells(row, made) for row in made.table.rows)]),
        _misses(made),
        _routers(made),
        *made.table.notes,
    ]
    return "\n".join(part for part in parts if part) + "\n\n"


def _cells(row: Row, made: Reproduction) -> tuple[str, ...]:
    goal = made.published.get(row.arm)
    miss = next(m for m in made.compared if m.arm == row.arm)
    share, steps = row.figure("large_step_share").value, row.figure("steps").value
    return (
        row.arm,
        _interval(row.figure("accuracy"), scale=100, digits=1),
        _published(goal, speedup=False),
        "" if miss.accuracy_points is None else f"{miss.accuracy_points:+.1f}",
        _interval(row.figure("speedup"), scale=1, digits=2, unit="x"),
        _published(goal, speedup=True),
        "" if miss.speedup is None else f"{miss.speedup:+.2f}",
        "" if share is None else f"{100 * share:.0f} %",
        "" if steps is None else f"{steps:.1f}",
        {True: "met", False: "missed", None: ""}[miss.within],
    )


def _published(goal: Goal | None, *, speedup: bool) -> str:
    if goal is None:
        return ""
    if not speedup:
        return f"{goal.accuracy:.1f}"
    return "unknown" if goal.speedup is None else f"{goal.speedup:.2f}x"


def _interval(figure: Measured, *, scale: float, digits: int, unit: str = "") -> str:
    if figure.value is None:
        return "unknown"
    text = f"{scale * figure.value:.{digits}f}{unit}"
    if figure.low is None or figure.high is None or figure.method == "definition":
        return text
    return f"{text} [{scale * figure.low:.{digits}f}, {scale * figure.high:.{digits}f}]"


def _misses(made: Reproduction) -> str:
    missed = [miss.arm for miss in made.compared if miss.within is False]
    goal = f"within {GOAL_POINTS:g} points and {GOAL_SPEEDUP:g}x of the published row"
    if not missed:
        return f"\nEvery row is {goal}.\n"
    return f"\nNot {goal}: {', '.join(missed)}. These are misses; nothing was tuned to them.\n"


def _routers(made: Reproduction) -> str:
    cost = "unknown" if made.boundary_usd is None else f"${made.boundary_usd:.2f} (invented prices)"
    learned = (
        f"The routers learned from {made.boundary_runs} runs of one model alone in two other worlds: "
        f"{made.boundary_s / 3600:.1f} hours of simulated model time, {cost}. They are not in the "
        "table's figures; rejected drafts are."
    )
    return "\n".join([learned, "", *map(_router, made.routers)]) + "\n"


def _router(router: Router) -> str:
    known = {name: value for name, value in router.held_out.items() if value is not None}
    shown = ", ".join(f"{name} {known[name]:.3f}" for name in ("auc", "base_rate") if name in known)
    stand_in = ", a stand-in that knows no meaning" if router.stand_in else ""
    splits = ", ".join(f"{size} {name}" for name, size in router.splits.items())
    took = "" if router.trained_s is None else f"; trained in {router.trained_s:.0f} s"
    return (
        f"- {router.name}: {router.runs} runs of {router.tasks} tasks ({splits} examples), encoder "
        f"{router.encoder}{stand_in}; threshold for a share of {router.target_share:g} on the "
        f"calibration split; held out: {shown}{took}."
    )


def _grid(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"
