"""An answer as its page tells it: two rows, where the runs diverge, what the estimate rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from collab_core.strategies.registry import STRATEGIES
from collab_core.whatif.results import Figure, Figures
from collab_core.whatif.results import WhatIf as Answer
from webapp.runs.models import Run
from webapp.runs.templatetags.ui import seconds, usd
from webapp.schema_fields import properties_of
from webapp.whatif.models import WhatIf

SHOWN = 60


def settings(what_if: WhatIf) -> list[tuple[str, str]]:
    """Return the parameters that were asked about, with the titles of the form."""
    strategy = STRATEGIES.get(what_if.strategy)
    known = properties_of(strategy.parameters) if strategy else {}
    return [
        (str(known.get(name, {}).get("title", name)), _setting(value))
        for name, value in what_if.parameters.items()
    ]


def _setting(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


class Line(NamedTuple):
    """One figure of both rows; ``panel`` is what the picture draws."""

    title: str
    before: str
    after: str
    interval: str
    exact: bool
    panel: dict[str, Any]


class Parting(NamedTuple):
    """Where a run first does something that its log does not hold."""

    run: str
    ref: str
    step: int
    before: str
    after: str
    why: str


class Told(NamedTuple):
    """Everything of an answer."""

    answer: Answer
    exact_share: str
    lines: list[Line]
    partings: list[Parting]
    apart: int
    kinds: list[tuple[str, int]]
    picture: list[dict[str, Any]]


def told(what_if: WhatIf) -> Told:
    answer = msgspec.convert(what_if.result, Answer)
    partings = _partings(what_if, answer)
    lines = list(_lines(answer))
    kinds = Counter(
        f"{one.recorded_name} to {one.wanted_name}" for one in answer.divergences if one is not None
    )
    return Told(
        answer=answer,
        exact_share=f"{100 * answer.exact_steps / answer.steps:.1f} %" if answer.steps else "n/a",
        lines=lines,
        partings=partings[:SHOWN],
        apart=answer.runs - answer.exact_runs,
        kinds=kinds.most_common(6),
        picture=[line.panel for line in lines if line.panel],
    )


def _lines(answer: Answer) -> list[Line]:
    after = answer.row.figures if answer.row is not None else None
    found = [
        _line(title, name, unit, answer.recorded, after, answer.level)
        for name, title, unit in (
            ("accuracy", "Accuracy", "%"),
            ("latency_s", "Latency", "s"),
            ("steps", "Steps", ""),
            ("large_steps", "Large steps (number)", ""),
            ("switches", "Switches", ""),
            ("cost_usd", "Cost", "$"),
        )
    ]
    if answer.row is not None:
        speedup = answer.row.speedup
        found.insert(1, Line("Speedup over the recorded", "1.00×", f"{speedup.mean:.2f}×", f"{speedup.low:.2f} to {speedup.high:.2f}", speedup.exact, {}))  # fmt: skip
    return [line for line in found if line is not None]


def _line(
    title: str, name: str, unit: str, before: Figures, after: Figures | None, level: float
) -> Line | None:
    was: Figure | None = getattr(before, name)
    is_: Figure | None = getattr(after, name) if after is not None else None
    if was is None and is_ is None:
        return None
    exact = is_ is not None and is_.exact
    return Line(
        title=title,
        before=_words(was.mean if was else None, unit),
        after=_words(is_.mean if is_ else None, unit),
        interval=""
        if is_ is None or exact
        else f"{_words(is_.low, unit)} to {_words(is_.high, unit)}",
        exact=exact,
        panel=_panel(title, unit, was, is_, level),
    )


def _panel(
    title: str, unit: str, was: Figure | None, is_: Figure | None, level: float
) -> dict[str, Any]:
    if was is None or is_ is None:
        return {}
    scale = 100 if unit == "%" else 1
    return {
        "title": title,
        "unit": unit,
        "before": scale * was.mean,
        "after": scale * is_.mean,
        "low": scale * is_.low,
        "high": scale * is_.high,
        "level": level,
    }


def _words(value: float | None, unit: str) -> str:
    if value is None:
        return "not estimated"
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "s":
        return seconds(value)
    return usd(value) if unit == "$" else f"{value:.2f}"


def _partings(what_if: WhatIf, answer: Answer) -> list[Parting]:
    """Return the divergences in the order of the runs; which run it is, where the answer tells."""
    names = [one.run_id for one in answer.estimates]
    if len(names) != len(answer.divergences):
        # nothing was estimated: the logs were read in the order of their names, unless some were left out
        names = sorted(what_if.runs)
    if len(names) != len(answer.divergences):
        names = [""] * len(answer.divergences)
    refs: Mapping[str, str] = {
        str(run.uuid): run.ref
        for run in Run.objects.filter(uuid__in=what_if.runs).only("uuid", "number")
    }
    return [
        Parting(
            run=name if name in refs else "",
            ref=refs.get(name, "a run"),
            step=one.step,
            before=one.recorded_name,
            after=one.wanted_name,
            why=one.why or one.wanted_reason,
        )
        for name, one in zip(names, answer.divergences, strict=True)
        if one is not None
    ]
